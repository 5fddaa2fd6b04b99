import Testing

@testable import Milter

@Suite("SMTP replies")
struct SMTPReplyTests {
  @Test("A code outside 400 to 599 is refused", arguments: [0, 220, 250, 399, 600, 1000])
  func code(_ code: Int) {
    #expect(throws: SMTPReply.Problem.code(code)) { try SMTPReply(code: code, lines: ["x"]) }
  }

  @Test("The class of the enhanced code is the class of the code")
  func classes() throws {
    #expect(throws: SMTPReply.Problem.classMismatch(code: 550, enhancedCode: "4.7.1")) {
      try SMTPReply(code: 550, enhancedCode: "4.7.1", lines: ["x"])
    }
    #expect(try SMTPReply(code: 450, enhancedCode: "4.7.1", lines: ["x"]).isTemporary)
    #expect(try !SMTPReply(code: 550, enhancedCode: "5.7.1", lines: ["x"]).isTemporary)
  }

  @Test(
    "What is no enhanced code is refused", arguments: ["", "4", "4.7", "2.0.0", "4.7.1234", "4.a.1", "4.7.1.1", "4..1"])
  func enhanced(_ text: String) {
    #expect(throws: SMTPReply.Problem.enhancedCode(text)) { try SMTPReply(code: 450, enhancedCode: text, lines: ["x"]) }
  }

  @Test("Only printable ASCII goes out, on one line each")
  func ascii() throws {
    let reply = try SMTPReply(code: 450, lines: ["naïve\r\n250 ok\tend\u{0}\u{202e}"])
    #expect(reply.lines == ["na?ve  250 ok end??"])
  }

  @Test("A line stays below what libmilter takes, also when its percent signs are doubled")
  func length() throws {
    for text in [String(repeating: "x", count: 5_000), String(repeating: "%", count: 5_000)] {
      let reply = try SMTPReply(code: 450, lines: [text])
      #expect(reply.lines[0].replacing("%", with: "%%").utf8.count <= 980)
      #expect(reply.lines[0].utf8.count > 400)
    }
  }

  @Test("At most 32 lines, at least one")
  func lines() throws {
    #expect(try SMTPReply(code: 450, lines: Array(repeating: "x", count: 100)).lines.count == 32)
    #expect(try SMTPReply(code: 450, lines: []).lines == [""])
  }
}
