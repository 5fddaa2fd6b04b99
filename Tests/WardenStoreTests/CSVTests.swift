import Testing

@testable import WardenStore

@Suite("Comma-separated values")
struct CSVTests {
  @Test(
    "A client's words are never a formula, another cell or a control character",
    arguments: [
      ("user:alice", "user:alice"), ("", ""), ("26", "26"), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""),
      ("=1+1", "\"'=1+1\""), ("+1", "\"'+1\""), ("-1", "\"'-1\""), ("@SUM(A1)", "\"'@SUM(A1)\""),
      ("\t=1", "\"'\\u{9}=1\""), ("\r=1", "\"'\\u{d}=1\""), ("\n=1", "\"'\\u{a}=1\""), ("＝1", "\"'＝1\""),
      ("=\u{301}1", "\"'=\u{301}1\""), ("a\r\nb", "a\\u{d}\\u{a}b"), ("\u{1b}[2J", "\\u{1b}[2J"),
      ("\u{9b}2J", "\\u{9b}2J"),
      ("a=1", "a=1"),
    ])
  func cells(text: String, expected: String) { #expect(CSV.cell(text) == expected) }

  @Test("Lines end as the standard says, and are equally long")
  func lines() { #expect(CSV.text([["a", "b", "c"], ["1"], ["2", "3", "4"]]) == "a,b,c\r\n1,,\r\n2,3,4") }
}
