import Foundation
import Testing
import WardenTestKit

/// What `replay` and `suggest` say of the files that they are given.
@Suite("Logs of the past")
struct PastLogTests {
  private static let policy = """
    realms: [example.org]
    rules:
      - {name: cap, count: messages, per: user, limit: 25 per 1h, then: tempfail}
      - {name: strangers, count: new recipients, per: user, limit: 25 per 1h, then: alert}
      - {name: helos, count: distinct helos, per: ip, limit: 5 per 1h, then: alert}
    """
  private static let postfix = """
    2026-11-16T09:00:00.000000+00:00 mx postfix/smtpd[10]: connect from client.test[192.0.2.7]
    2026-11-16T09:00:01.000000+00:00 mx postfix/smtpd[10]: disconnect from client.test[192.0.2.7] ehlo=1 quit=1 commands=2

    """
  private static let sendmail = """
    2026-11-16T09:00:00.000000+00:00 mx sm-mta[11]: AUTH=server, relay=client.test [192.0.2.7], authid=bob, mech=PLAIN, bits=0

    """

  private func replay(_ log: String, _ arguments: [String] = []) throws -> Shell.Result {
    let folder = try TemporaryFolder()
    try folder.write(Self.policy, to: "policy.yaml")
    try folder.write(log, to: "mail.log")
    return try Shell.run(
      builtProgram("mailwarden"),
      ["replay", folder.file("mail.log"), "--policy", folder.file("policy.yaml")] + arguments)
  }

  @Test("What a log cannot show is said of the MTA whose lines were read, and why")
  func blindness() throws {
    let output = try replay(Self.postfix).output
    #expect(!output.contains("Sendmail"))
    #expect(
      output.contains(
        "  The rule strangers is not tried: a log names a message's recipients only as it is delivered.\n"))
    #expect(output.contains("  The rule helos is not tried: no log shows distinct helos.\n"))
    #expect(try replay(Self.sendmail).output.contains("\n  Sendmail logs connections without mail, and recipients"))
  }

  @Test("A report ends with its last line", arguments: [[], ["--json"], ["--csv"]])
  func end(arguments: [String]) throws {
    let output = try replay(Self.postfix, arguments).output
    let last = output.utf8.suffix(2)
    #expect(last.last == UInt8(ascii: "\n") && last.first != UInt8(ascii: "\n"))
  }

  @Test("A file that is no mail log is not taken for a quiet one", arguments: ["replay", "suggest"])
  func noLog(command: String) throws {
    let folder = try TemporaryFolder()
    try folder.write(Self.policy, to: "policy.yaml")
    try folder.write(String(repeating: "def main():\n", count: 500), to: "make.py")
    let policy = command == "replay" ? "--policy" : "--config"
    let result = try Shell.run(
      builtProgram("mailwarden"), [command, folder.file("make.py"), policy, folder.file("policy.yaml")])
    #expect(result.status == 65 && result.output == "")
    #expect(result.errors.contains("make.py: no mail log: of 500 lines none was understood"))
  }
}
