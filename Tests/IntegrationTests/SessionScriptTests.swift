import Foundation
import Testing
import WardenCore
import WardenPolicy
import WardenScript
import WardenTestKit

/// Each script under `Sessions/`, at three levels: the same decisions at the same stages.
@Suite("Scripted sessions")
struct SessionScriptTests {
  static let scripts: [SessionScript] = {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Sessions")
    let files = try! FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    return files.filter { $0.pathExtension == "session" }.sorted { $0.path < $1.path }.map {
      try! SessionScript(file: $0)
    }
  }()

  @Test("There are scripts")
  func scriptsExist() { #expect(Self.scripts.count >= 15) }

  @Test("On the engine in memory", arguments: scripts)
  func engine(_ script: SessionScript) throws {
    let read = PolicyReader.read(script.policy, file: script.file)
    let policy = try #require(read.configuration?.policy, "\(read.diagnostics)")
    #expect(script.run(on: EngineDriver(policy: policy)) == [])
  }

  @Test("Through the milter protocol", arguments: scripts)
  func protocolClient(_ script: SessionScript) throws {
    let daemon = try TestDaemon(policy: script.policy)
    #expect(script.run(on: MilterDriver(daemon)) == [])
    #expect(try daemon.stop() == 0)
  }
}

extension SessionScript: CustomTestStringConvertible {
  public var testDescription: String { name }
}
