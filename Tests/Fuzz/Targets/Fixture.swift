import Foundation

@testable import WardenCore
@testable import WardenPolicy

/// What every target's engine runs.
enum Fixture {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()

  /// Every kind of rule, at limits that a short input reaches.
  static let policy: Policy = {
    let file = folder.appending(path: "policy.yaml")
    let read = PolicyReader.read(try! String(contentsOf: file, encoding: .utf8), file: "policy.yaml")
    guard let configuration = read.configuration else { fatalError("\(read.diagnostics)") }
    return configuration.policy
  }()

  /// 2026-11-24T10:14:05.123457Z
  static let start = Timestamp(microseconds: 1_795_515_245_123_457)

  static let bounds = Engine.Bounds(penalties: 8, episodes: 8, orders: 4)

  static func engine() -> Engine { Engine(policy: policy, bounds: bounds) }
}
