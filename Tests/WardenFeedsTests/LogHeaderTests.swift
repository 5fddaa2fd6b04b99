import Foundation
import Testing
import WardenCore

@testable import WardenFeeds

/// What stands before a daemon's own words.
@Suite("Log headers")
struct LogHeaderTests {
  private let at = "2026-11-21T02:34:04Z"

  @Test("Every form of one line says the same")
  func forms() {
    let head = Head(at: at, host: "mx", program: "postfix/smtpd", pid: 108, message: "connect from unknown[192.0.2.7]")
    for line in [
      "2026-11-21T02:34:04.418501+00:00 mx postfix/smtpd[108]: connect from unknown[192.0.2.7]",
      "2026-11-21T03:34:04+01:00 mx postfix/smtpd[108]: connect from unknown[192.0.2.7]",
      "2026-11-20T21:04:04-0530 mx postfix/smtpd[108]: connect from unknown[192.0.2.7]",
      "2026-11-21T02:34:04Z mx postfix/smtpd[108]: connect from unknown[192.0.2.7]",
      "Nov 21 02:34:04 mx postfix/smtpd[108]: connect from unknown[192.0.2.7]",
      "Nov 21 02:34:04 mx postfix/smtpd[108]: [ID 197553 mail.info] connect from unknown[192.0.2.7]",
      "Nov 21 02:34:04 <mail.info> mx postfix/smtpd[108]: connect from unknown[192.0.2.7]",
      "Nov 21 02:34:04 <2.6> mx postfix/smtpd[108]: connect from unknown[192.0.2.7]\r\n",
      "<22>Nov 21 02:34:04 mx postfix/smtpd[108]: connect from unknown[192.0.2.7]",
      "<22>2026-11-21T02:34:04.978466+00:00 mx postfix/smtpd[108]: connect from unknown[192.0.2.7]\n",
      "<22>1 2026-11-21T02:34:04.418501+00:00 mx postfix/smtpd 108 - -  connect from unknown[192.0.2.7]",
      #"<22>1 2026-11-21T02:34:04Z mx postfix/smtpd 108 - [a@1 b="]\"x"][c d="e"] connect from unknown[192.0.2.7]"#,
      "<22>1 2026-11-21T02:34:04Z mx postfix/smtpd 108 - - \u{FEFF}connect from unknown[192.0.2.7]",
      #"{"ts":"2026-11-21T02:34:04.418501+00:00","host":"mx","tag":"postfix\/smtpd[108]:","pid":"108","sev":"info","msg":" connect from unknown[192.0.2.7]"}"#,
      #"{"ts":"Nov 21 02:34:04","host":"mx","tag":"postfix/smtpd","pid":108,"msg":"connect from unknown[192.0.2.7]"}"#,
      #"{"_PID":"9","SYSLOG_PID":"108","_HOSTNAME":"mx","X":{"y":["]",null,{}]},"__REALTIME_TIMESTAMP":"1795228444418501","SYSLOG_IDENTIFIER":"postfix/smtpd","PRIORITY":"6","MESSAGE":"connect from unknown[192.0.2.7]"}"#,
    ] {
      #expect(Lines.head(line) == head, "\(line)")
    }
  }

  @Test("A datagram has no host, and RFC 5424 no place for all of the program's name")
  func fields() {
    #expect(
      Lines.head("<22>Nov 21 02:34:04 postfix/smtpd[9]: text")
        == Head(at: at, host: nil, program: "postfix/smtpd", pid: 9, message: "text"))
    #expect(
      Lines.head("<22>1 2026-11-21T02:34:04Z - postfix - - -  text: more")
        == Head(at: at, host: nil, program: "postfix", pid: 0, message: "text: more"))
    #expect(
      Lines.head("Nov 21 02:34:04 mx dovecot: imap-login: Login")
        == Head(at: at, host: "mx", program: "dovecot", pid: 0, message: "imap-login: Login"))
    #expect(
      Lines.head("Nov 21 02:34:04 2001:db8::1 sm-mta[5]: a\nb")
        == Head(at: at, host: "2001:db8::1", program: "sm-mta", pid: 5, message: "a\nb"))
  }

  @Test("Dovecot's own file names neither host nor Dovecot")
  func dovecot() {
    #expect(
      Lines.head("Nov 21 02:34:04 auth-worker(22401): Info: sql(a,192.0.2.7): unknown user")
        == Head(
          at: at, host: nil, program: "auth-worker", pid: 0, message: "(22401): Info: sql(a,192.0.2.7): unknown user"))
    #expect(
      Lines.head("2026-11-21 03:34:04 imap-login: Info: Login: user=<a>", "Europe/Berlin")
        == Head(at: at, host: nil, program: "imap-login", pid: 0, message: "Info: Login: user=<a>"))
    // A login with spaces in it does not become a host and a program.
    #expect(
      Lines.head("Nov 21 02:34:04 imap(a postfix/smtpd[1]: connect from x[192.0.2.7]): Info: x")?.program == "imap")
  }

  @Test("The day may be padded with a space, with a zero, or not")
  func days() {
    for day in [" 4", "04", "4"] {
      #expect(Lines.head("Jan \(day) 00:00:01 mx postfix/smtpd[1]: x")?.at == "2026-01-04T00:00:01Z")
    }
    #expect(Lines.head("Jun 30 23:59:60 mx postfix/smtpd[1]: x")?.at == "2026-06-30T23:59:59Z")
  }

  @Test("A line without a year has the latest that is not later than the newest can be")
  func years() {
    let may = Timestamp(microseconds: 1_778_000_000_000_000)  // 2026-05-05
    var reader = Lines.reader(newest: may)
    func at(_ date: String) -> String? { Lines.head("\(date) mx postfix/smtpd[1]: x", &reader)?.at }
    #expect(at("Dec 31 23:59:59") == "2025-12-31T23:59:59Z")
    #expect(at("Jan  1 00:00:00") == "2026-01-01T00:00:00Z")
    // A clock set back, or a line that comes late.
    #expect(at("Dec 31 23:59:58") == "2025-12-31T23:59:58Z")
    #expect(at("Jan  1 00:00:01") == "2026-01-01T00:00:01Z")
    // A clock a little ahead.
    #expect(at("May  5 20:00:00") == "2026-05-05T20:00:00Z")
    #expect(at("May  7 00:00:00") == "2025-05-07T00:00:00Z")
    #expect(at("Feb 29 12:00:00") == "2024-02-29T12:00:00Z")
    #expect(at("Feb 30 12:00:00") == nil)
  }

  @Test("What is newest moves on: the same date is then of the next year")
  func nextYear() {
    var reader = Lines.reader(newest: Timestamp(microseconds: 1_767_225_000_000_000))  // 2025-12-31T23:50:00Z
    #expect(Lines.head("Mar  1 00:00:00 mx a/smtpd[1]: x", &reader)?.at == "2025-03-01T00:00:00Z")
    reader.newest = Lines.newest
    #expect(Lines.head("Mar  1 00:00:00 mx a/smtpd[1]: x", &reader)?.at == "2026-03-01T00:00:00Z")
  }

  @Test("Local time is the zone's, in summer, in winter, and while the clock is changed")
  func zones() {
    var reader = Lines.reader("Europe/Berlin")
    func at(_ date: String) -> String? { Lines.head("\(date) mx postfix/smtpd[1]: x", &reader)?.at }
    #expect(at("Jan 15 12:00:00") == "2026-01-15T11:00:00Z")
    #expect(at("Jul 15 12:00:00") == "2026-07-15T10:00:00Z")
    // 02:30 does not exist on that day.
    #expect(at("Mar 29 01:59:59") == "2026-03-29T00:59:59Z")
    #expect(at("Mar 29 02:30:00") == "2026-03-29T01:30:00Z")
    #expect(at("Mar 29 03:00:00") == "2026-03-29T01:00:00Z")
    // 02:30 is there twice: the clock goes back.
    #expect(at("Oct 25 02:30:00") == "2026-10-25T00:30:00Z")
    #expect(at("Oct 25 02:59:59") == "2026-10-25T00:59:59Z")
    #expect(at("Oct 25 02:00:00") == "2026-10-25T01:00:00Z")
    #expect(at("Oct 25 02:30:00") == "2026-10-25T01:30:00Z")
    #expect(at("Oct 25 03:00:00") == "2026-10-25T02:00:00Z")
  }

  @Test("journalctl has texts that are no UTF-8 as numbers, and long ones not at all")
  func journal() {
    let rest = #""__REALTIME_TIMESTAMP":"1795228444000000","SYSLOG_IDENTIFIER":"sendmail"}"#
    #expect(Lines.head(#"{"MESSAGE":[65, 85,84,72,237],"# + rest)?.message == "AUTH\u{FFFD}")
    #expect(Lines.head(#"{"MESSAGE":null,"# + rest) == nil)
    #expect(Lines.head(#"{"MESSAGE":["a","b"],"# + rest) == nil)
    #expect(Lines.head(#"{"MESSAGE":[256],"# + rest) == nil)
    #expect(
      Lines.head(#"{"MESSAGE":"a\nb\"\\\/\t\u00e9\ud83d\ude00\ud83d\u0000","# + rest)?.message
        == "a\nb\"\\/\té😀\u{FFFD}\0")
    #expect(Lines.head(#"{"MESSAGE":"a\u00zz","# + rest) == nil)
  }

  @Test("A text with escapes is valid until the next line, also where that is longer")
  func scratch() {
    var reader = Lines.reader()
    for count in [10, 9_000, 20, 20_000] {
      let text = String(repeating: #"\u0041"#, count: count)
      let line = #"{"ts":"2026-11-21T02:34:04Z","tag":"a\/smtpd:","msg":"\#(text)"}"#
      #expect(Lines.head(line, &reader)?.message == String(repeating: "A", count: count))
      #expect(Lines.head(line, &reader)?.program == "a/smtpd")
    }
  }

  @Test("What is no such line is none")
  func others() {
    for line in [
      "", "\n", " ", "\u{0}\u{0}", "Nov", "Nov 21", "Nov 21 02:34:04", "Nov 21 02:34:04 ", "Nov 21 02:34:04 mx",
      "Nov 21 02:34:04 mx postfix/smtpd", "Nov 21 02:34:04 mx postfix/smtpd[1",
      "Nov 21 02:34:04 mx postfix/smtpd[a]: x",
      "Nov 21 02:34:04 mx last message repeated 2 times", "Foo 21 02:34:04 mx a: b", "Nov 21 24:00:00 mx a: b",
      "Nov 32 02:34:04 mx a: b", "Nov: 21 02:34:04 mx a: b", "2026-13-01T02:34:04Z mx a: b",
      "2026-02-29T00:00:00Z mx a: b",
      "2026-11-21T02:34:04+24:00 mx a: b", "2026-11-21T02:34:04.Z mx a: b", "2026-11-21T02:34:04+0 mx a: b",
      "<22>", "<22", "<x>Nov 21 02:34:04 mx a: b", "<22>1 - mx a - - - x", "<22>1 2026-11-21T02:34:04Z mx a - - [x",
      "{", "{}", #"{"msg":"x"}"#, #"{"ts":"2026-11-21T02:34:04Z","tag":"a:","msg":"x""#,
      #"{"ts":1,"tag":"a:","msg":"x"}"#,
      #"{"ts":"2026-11-21T02:34:04Z","tag":"a:","msg":"x\"}"#, #"{"ts":"2026-11-21T02:34:04Z x","tag":"a:","msg":"x"}"#,
      "Nov 21 02:34:04 (a) postfix/smtpd[1]: connect", "# comment",
    ] {
      #expect(Lines.head(line) == nil, "\(line)")
    }
  }
}
