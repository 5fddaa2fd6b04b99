import Foundation
import Testing
import WardenCore
import WardenTestKit

@testable import WardenPolicy

/// docs/mailwarden.schema.json: what editors are told, against what the reader knows.
@Suite("The policy's JSON Schema")
struct SchemaTests {
  private static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  private static let schema = repository.appending(path: "docs/mailwarden.schema.json")
  private static let tests = repository.appending(path: "Tests/WardenPolicyTests")

  /// What a JSON Schema validator says of each file.
  private func problems(in files: [String]) throws -> [String: [String]] {
    try Shell.check(Self.repository.appending(path: "Scripts/python-tools.sh").path, [])
    let output = try Shell.check(
      Self.repository.appending(path: ".build/python-tools/bin/python").path,
      [Self.repository.appending(path: "Tests/Schema/validate.py").path, Self.schema.path] + files)
    return try JSONDecoder().decode([String: [String]].self, from: Data(output.utf8))
  }

  private func policies(below folder: String) throws -> [String] {
    let root = Self.repository.appending(path: folder)
    let names = try #require(FileManager.default.enumerator(atPath: root.path)?.allObjects as? [String])
    return names.filter { $0.hasSuffix(".yaml") }.map { root.appending(path: $0).path }
  }

  @Test("The file is what the program prints: mailwarden check --schema > docs/mailwarden.schema.json")
  func written() throws {
    #expect(try String(contentsOf: Self.schema, encoding: .utf8) == PolicySchema.text + "\n")
  }

  @Test("Every policy that is shipped or measured is good to it, and so is one that says everything there is")
  func good() throws {
    let folder = try TemporaryFolder()
    var files: [String] = []
    for (number, text) in Self.everything.enumerated() {
      // Spaces around a word are for the reader alone.
      try folder.write(text.replacing("\" tempfail\"", with: "tempfail"), to: "\(number).yaml")
      files.append(folder.file("\(number).yaml"))
      #expect(PolicyReader.read(text, file: "\(number).yaml", socketCheck: socketCheck).errors == [])
    }
    files += try ["Examples/policies", "Examples/Demo", "Benchmarks/HijackSuite/Policies"].flatMap(policies)
    #expect(files.count > 10)
    for (file, problems) in try problems(in: files) { #expect(problems == [], "\(file)") }
  }

  /// What `PolicyText.full` has no room for.
  private static let rest = """
    listen: {web: {at: "127.0.0.1:8025", read-without-login: false, names: [warden.example.org], beyond-loopback: false}}
    state: /var/lib/mailwarden
    history: {minutes: 1d, hours: 30d, days: 365d, decisions: 60d, size: 500MB}
    commands: {page: /usr/local/bin/page}
    alerts:
      mail: {to: postmaster, from: a@example.org, program: [/usr/sbin/sendmail, -f, a], subject: "{{summary}}", body: x}
      webhook: {url: https://hooks.example.org/x, secret-file: /etc/secret}
      run: page
      wait: 10s
      interval: 5m
      repeat: 4h
      at-most: 12 per 1h
      silence: off
    feeds:
      dovecot-policy: {listen: "127.0.0.1:4001", token-file: /etc/token}
      mail-log: {from: [/var/log/mail.log], trusted: true, time-zone: Europe/Berlin}
    rules:
      - {name: slow, count: auth-failures, per: ip, limit: 5 per 1h, then: delay for 3s}

    """

  private static let everything = [
    PolicyText.full, rest,
    rest.replacing("program: [/usr/sbin/sendmail, -f, a]", with: "smtp: \"mail.example.org:25\""),
  ]

  @Test("These together say every key that there is")
  func everyKey() throws {
    let said = Set(Self.everything.joined().matches(of: /([a-z][a-z0-9 -]*):/).map { String($0.1) })
    for mapping in [
      PolicyMapping.policy, .listen, .milterSocket, .web, .history, .exemptions, .networkPrefix, .alerts, .mail,
      .webhook, .feeds, .dovecot, .mailLog, .rule, .part,
    ] {
      #expect(mapping.names.filter { !said.contains($0) } == [], "\(mapping.name)")
    }
  }

  @Test("A bad policy is bad to it, too, or listed as having a fault beyond its shape")
  func bad() throws {
    let listed = try String(contentsOf: Self.tests.appending(path: "beyond-the-schema.txt"), encoding: .utf8)
      .split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init)
    let found = try problems(in: policies(below: "Tests/WardenPolicyTests/BadPolicies"))
    #expect(found.count == BadPolicy.all.count)
    let unseen = found.filter(\.value.isEmpty).keys.map { URL(filePath: $0).deletingPathExtension().lastPathComponent }
    #expect(Set(unseen).symmetricDifference(listed) == [])
  }

  @Test(
    "The reader knows every filter and action that the schema tells of", arguments: PolicyMapping.filters.map(\.name))
  func filter(name: String) throws {
    let filter = try #require(PolicyMapping.filters.first { $0.name == name })
    let text = ([name] + [filter.example].compactMap { $0 }).joined(separator: " ")
    let signal = name == "failed-logins" ? "auth-failures" : "messages"
    let rule = PolicyText.rule(count: signal, per: name == "failed-logins" ? "ip" : "user")
      .replacing("then:", with: "only: \(text)\n    then:")
    let read = PolicyReader.read("groups: {staff: [alice]}\n\(PolicyText.feeds)\(rule)", file: "good.yaml")
    #expect(read.errors == [])
  }

  @Test("The schema tells of every filter that stands alone")
  func filters() {
    #expect(
      Set(PolicyMapping.filters.filter { $0.example == nil }.map(\.name)) == Set(Match.words.map(\.name)))
  }

  @Test("The reader knows every action that the schema tells of", arguments: PolicyMapping.actions.map(\.example))
  func action(example: String) throws {
    let signal = example.hasPrefix("delay") ? "auth-failures" : "messages"
    let rule = PolicyText.rule(count: signal, per: "ip", then: example)
    let read = PolicyReader.read("commands: {NAME: /bin/true}\n\(PolicyText.feeds)\(rule)", file: "good.yaml")
    #expect(read.errors == [])
  }
}
