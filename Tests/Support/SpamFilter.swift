import Foundation

/// The milter `spam-filter`: it refuses each message whose subject bears `mark`, as SpamAssassin's milter would.
public final class SpamFilter: Sendable {
  public static let mark = "SPAMTEST"

  private let folder: TemporaryFolder
  private nonisolated(unsafe) let process: ChildProcess

  public init() throws {
    let folder = try TemporaryFolder()
    self.folder = folder
    let path = folder.file("filter.sock")
    process = try ChildProcess([builtProgram("spam-filter"), "unix:\(path)", Self.mark], output: folder.file("out"))
    try eventually("the spam filter listens") { chmod(path, 0o666) == 0 }
  }

  deinit {
    process.signal(SIGKILL)
    process.wait()
  }

  var socket: String { "unix:\(folder.file("filter.sock"))" }
}
