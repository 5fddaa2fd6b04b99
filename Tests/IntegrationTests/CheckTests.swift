import Foundation
import Testing
import WardenCore
import WardenTestKit

@Suite("mailwarden check")
struct CheckTests {
  private func mailwarden(_ arguments: String...) throws -> Shell.Result {
    try Shell.run(builtProgram("mailwarden"), arguments)
  }

  @Test("--signals lists all that rules can count, without a policy, and the page lists the same")
  func signals() throws {
    let result = try mailwarden("check", "--signals", "--config", "/nonexistent")
    #expect(result.status == 0 && result.errors == "")
    let lines = result.output.split(separator: "\n")
    let page = try String(
      contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../docs/policy.md").standardizedFileURL, encoding: .utf8)
    for signal in Signal.allCases {
      #expect(lines.contains { $0.hasPrefix("\(signal.name) ") && $0.contains(signal.declaration.help) })
      #expect(page.contains("`\(signal.name)`"))
    }
    for attribute in Attribute.allCases {
      for word in ["distinct"] + (attribute.isRemembered ? ["new"] : []) {
        #expect(lines.contains { $0.hasPrefix("\(word) \(attribute.name) ") })
      }
      #expect(page.contains("`\(attribute.name)`"))
    }
    #expect(
      lines.last
        == "keys: user, ip, network, helo, sender, sender-domain, recipient, recipient-domain, server, and pairs of them"
    )
  }

  @Test("--signals --json has the fields that tools rely on")
  func signalsAsJSON() throws {
    let result = try mailwarden("check", "--signals", "--json")
    let list = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    let signals = try #require(list["signals"] as? [[String: Any]])
    #expect(signals.count == Signal.allCases.count + 2 * Attribute.allCases.count - 1)
    for signal in signals { #expect(Set(signal.keys) == ["name", "meaning", "counts", "stages", "shown_by"]) }
    let dnsbl = try #require(signals.first { $0["name"] as? String == "dnsbl-rejections" })
    #expect(dnsbl["counts"] as? String == "as it happens" && dnsbl["shown_by"] as? String == "Postfix; feeds: log")
    #expect(dnsbl["stages"] as? [String] == ["RCPT", "a reply at RCPT", "refused RCPT"])
    #expect(signals.first { $0["name"] as? String == "messages" }?["stages"] as? [String] == [])
    #expect((list["keys"] as? [String])?.contains("recipient-domain") == true)
  }

  @Test("Exits 0 for a policy that can be used, warnings or not; 1 for one that cannot; 64 for wrong usage")
  func exitCodes() throws {
    let folder = try TemporaryFolder()
    let file = folder.file("p.yaml")
    try folder.write("rules: []\n", to: "p.yaml")
    let warned = try mailwarden("check", file)
    #expect(warned.status == 0 && warned.errors.contains("p.yaml:1:8: warning: there are no rules"), "\(warned.errors)")
    #expect(warned.output == "\(file): good: 0 rules, 0 enforced, 0 observed\n")
    try folder.write("rules: x\n", to: "p.yaml")
    let bad = try mailwarden("check", "--json", file)
    #expect(bad.status == 1 && bad.errors == "")
    let report = try JSONSerialization.jsonObject(with: Data(bad.output.utf8)) as? [String: Any]
    #expect(report?["ok"] as? Bool == false)
    let finding = (report?["findings"] as? [[String: Any]])?.first
    #expect(Set((finding ?? [:]).keys) == ["file", "line", "column", "severity", "message"])
    #expect(try mailwarden("check", folder.file("none.yaml")).status == 1)
    #expect(try mailwarden("check", "--nonsense").status == 64)
  }
}
