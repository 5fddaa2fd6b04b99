import Foundation

/// Plays an auth policy server, and any other receiver of JSON: it remembers what it is sent.
public final class RequestRecorder {
  public struct Request: @unchecked Sendable {
    public let path: String
    /// Its `X-Mailwarden-Token`.
    public let token: String?
    public let body: [String: Any]
  }

  public let url: String
  private let process: ChildProcess
  private let folder: TemporaryFolder

  public init(answer: String = #"{"status":0,"msg":""}"#) throws {
    let folder = try TemporaryFolder()
    self.folder = folder
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("mta/recorder.py")
    process = try ChildProcess(["python3", script.path, answer], output: folder.file("out"))
    try eventually("the recorder listens") { try folder.read("out").contains("\n") }
    url = "http://127.0.0.1:\(try folder.read("out").prefix { $0 != "\n" })/"
  }

  deinit {
    process.signal(SIGKILL)
    process.wait()
  }

  /// What it was sent so far, in the order of arrival.
  public var requests: [Request] {
    get throws {
      let lines = try folder.read("out").split(separator: "\n", omittingEmptySubsequences: false)
      // The last one may still be being written.
      return try lines.dropFirst().dropLast().map { line in
        guard let parts = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
          let path = parts["path"] as? String, let body = parts["body"] as? [String: Any]
        else { throw Shell.Failure(description: "the recorder says \(line)") }
        return Request(path: path, token: parts["token"] as? String, body: body)
      }
    }
  }
}
