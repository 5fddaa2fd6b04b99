import Foundation
import Testing
import WardenTestKit

@Suite("mailwarden test")
struct TestCommandTests {
  private let folder: TemporaryFolder

  private static let policy = """
    rules:
      - {name: cap, count: messages, per: user, limit: 1 per 1h, then: tempfail}
      - {name: broken, count: broken-connections, per: ip, limit: 1 per 1h, then: block for 1h}
      - {name: watch, count: logins, per: user, limit: 1 per 1h, then: tempfail, mode: observe}

    """
  private static let cap = """
    use ../../p.yaml
    from 192.0.2.1
    login alice
    mail alice@far.test
    message 10
    mail alice@far.test => refused 450 by cap: 2 messages in 1h (limit 1)

    """
  private static let broken = """
    use ../../p.yaml
    from 192.0.2.1
    drop
    from 192.0.2.1
    drop => blocked broken

    """

  init() throws {
    folder = try TemporaryFolder()
    try FileManager.default.createDirectory(
      atPath: folder.file("tests/p"), withIntermediateDirectories: true)
    try folder.write(Self.policy, to: "p.yaml")
  }

  private func mailwarden(_ arguments: String...) throws -> Shell.Result {
    try Shell.run(builtProgram("mailwarden"), arguments)
  }

  @Test("A line a file, and which enforcing rules were seen to act")
  func good() throws {
    try folder.write(Self.cap, to: "tests/p/cap.session")
    let one = try mailwarden("test", folder.file("tests/p/cap.session"))
    #expect(
      one.output == """
        \(folder.path)/tests/p/cap.session: good (5 actions)
        \(folder.path)/p.yaml: 1 of 2 enforcing rules were seen to act; without a test: broken

        """)
    #expect(one.status == 0 && one.errors == "")
    try folder.write(Self.broken, to: "tests/p/broken.session")
    for arguments in [[folder.file("tests")], ["--config", folder.file("p.yaml")]] {
      let all = try Shell.run(builtProgram("mailwarden"), ["test"] + arguments)
      #expect(
        all.output == """
          \(folder.path)/tests/p/broken.session: good (4 actions)
          \(folder.path)/tests/p/cap.session: good (5 actions)
          \(folder.path)/p.yaml: 2 of 2 enforcing rules were seen to act

          """)
      #expect(all.status == 0 && all.errors == "")
    }
  }

  @Test("What came, what was expected and why; exit 1")
  func failure() throws {
    try folder.write(Self.cap.replacing("450 by cap: 2", with: "450 by cap: 3"), to: "tests/p/cap.session")
    try folder.write(Self.broken.replacing("by", with: "").replacing("broken", with: "brokn"), to: "tests/p/x.session")
    let result = try mailwarden("test", folder.file("tests"))
    #expect(
      result.output == """
        \(folder.path)/tests/p/cap.session: FAILED
          \(folder.path)/tests/p/cap.session:6: mail alice@far.test: got refused 450 by cap: user alice: 2 messages in 1h (limit 1); try again in 1h1m, expected refused 450 by cap: 3 messages in 1h (limit 1)
              user alice: 2 messages in 1h (limit 1)
        \(folder.path)/tests/p/x.session: FAILED
          \(folder.path)/tests/p/x.session:5: the policy has no rule "brokn" (did you mean "broken"?)
        \(folder.path)/p.yaml: 0 of 2 enforcing rules were seen to act; without a test: cap, broken

        """)
    #expect(result.status == 1 && result.errors == "")
  }

  @Test("What cannot be played; exit 2")
  func unusable() throws {
    func errors(_ arguments: String...) throws -> String {
      let result = try Shell.run(builtProgram("mailwarden"), ["test"] + arguments)
      #expect(result.status == 2, "\(result)")
      return result.errors.replacing(folder.path + "/", with: "")
    }
    let script = folder.file("a.session")
    #expect(try errors(script) == "a.session: cannot be read: No such file or directory\n")
    #expect(try errors(folder.file("tests")) == "tests: no tests (*.session) here\n")
    try folder.write(Self.policy, to: "q.yaml")
    #expect(try errors("--config", folder.file("q.yaml")) == "tests/q: no tests (*.session) here\n")
    try folder.write("form 192.0.2.1\nwait x\n", to: "a.session")
    #expect(
      try errors(script) == """
        a.session:1: "form" is no action (did you mean "from"?)
        a.session:2: "x" is not a time; write 90s, 30m, 2h, 3d or 1h30m

        """)
    try folder.write("from 192.0.2.1\n", to: "a.session")
    #expect(try errors(script) == "a.session: the script names no policy; write use FILE\n")
    try folder.write("use none.yaml\nfrom 192.0.2.1\n", to: "a.session")
    #expect(try errors(script) == "none.yaml: cannot be read: No such file or directory\n")
    // The place of a problem in the script's own policy is its place in the script.
    try folder.write("policy\n  rules:\n    - nme: x\nfrom 192.0.2.1\n", to: "a.session")
    #expect(try errors(script).contains("a.session:3:"))
    // A bad policy is told once, not once a script.
    try folder.write("rules: x\n", to: "p.yaml")
    try folder.write(Self.cap, to: "tests/p/cap.session")
    try folder.write(Self.broken, to: "tests/p/broken.session")
    #expect(try errors(folder.file("tests")).split(separator: "\n").count == 1)
  }

  @Test("--config plays against another policy than the script's own")
  func otherPolicy() throws {
    try folder.write(Self.cap, to: "tests/p/cap.session")
    try folder.write(Self.policy.replacing("limit: 1", with: "limit: 9"), to: "other.yaml")
    let result = try mailwarden("test", "--config", folder.file("other.yaml"), folder.file("tests"))
    #expect(result.status == 1)
    #expect(result.output.contains("got go-on, expected refused 450"))
    #expect(result.output.contains("other.yaml: 0 of 2 enforcing rules"))
  }

  @Test("--json has all of it")
  func json() throws {
    try folder.write(Self.cap.replacing("450", with: "550"), to: "tests/p/cap.session")
    try folder.write("form\n", to: "tests/p/x.session")
    let result = try mailwarden("test", "--json", folder.file("tests"))
    #expect(result.status == 2)
    let report = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    #expect(report["ok"] as? Bool == false)
    let files = try #require(report["files"] as? [[String: Any]])
    #expect(files.map { $0["file"] as? String } == ["cap", "x"].map { folder.file("tests/p/\($0).session") })
    #expect(files[0]["policy"] as? String == folder.file("p.yaml"))
    let failure = try #require((files[0]["failures"] as? [[String: Any]])?.first)
    #expect(failure["line"] as? Int == 6)
    #expect(failure["reasons"] as? [String] == ["user alice: 2 messages in 1h (limit 1)"])
    #expect((files[1]["problems"] as? [String])?.count == 1)
    let policies = try #require(report["policies"] as? [[String: Any]])
    #expect(policies.map { $0["untested"] as? [String] } == [["cap", "broken"]])
  }

  @Test("mailwarden check warns of enforcing rules without a test")
  func check() throws {
    func warnings() throws -> String {
      let result = try mailwarden("check", folder.file("p.yaml"))
      #expect(result.status == 0)
      return result.errors.replacing(folder.path + "/", with: "")
    }
    #expect(
      try warnings() == "p.yaml: warning: no tests found in tests/p; enforcing rules without a test: cap, broken\n")
    try folder.write(Self.cap, to: "tests/p/cap.session")
    #expect(
      try warnings() == "p.yaml: warning: no test in tests/p expects the enforcing rule \"broken\" to act\n")
    try folder.write(Self.broken, to: "tests/p/broken.session")
    #expect(try warnings() == "")
    try folder.write("form\n", to: "tests/p/x.session")
    #expect(try warnings() == "tests/p/x.session:1:1: warning: \"form\" is no action (did you mean \"from\"?)\n")
    // The policy can name another folder.
    try folder.write("tests: elsewhere\n" + Self.policy, to: "p.yaml")
    #expect(
      try warnings() == "p.yaml: warning: no tests found in elsewhere; enforcing rules without a test: cap, broken\n")
    try FileManager.default.moveItem(atPath: folder.file("tests/p"), toPath: folder.file("elsewhere"))
    try FileManager.default.removeItem(atPath: folder.file("elsewhere/x.session"))
    #expect(try warnings() == "")
  }
}
