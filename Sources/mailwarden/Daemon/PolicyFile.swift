import Foundation
import Milter
import WardenPolicy

/// A policy file on disk.
struct PolicyFile {
  let path: String

  /// Larger than any policy; a mistyped path to a log must not be read whole.
  private static let largest = 4 << 20

  func read() -> ReadResult {
    func unreadable(_ why: String) -> ReadResult {
      ReadResult(
        configuration: nil,
        diagnostics: [Diagnostic(file: path, line: 0, column: 0, message: "cannot be read: \(why)")])
    }
    // A pipe in the place of the file must not hold anything up.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0, let file = fdopen(descriptor, "r") else {
      return unreadable(String(cString: strerror(errno)))
    }
    defer { fclose(file) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      return unreadable("it is not a plain file")
    }
    var bytes = [UInt8](repeating: 0, count: Self.largest + 1)
    let count = fread(&bytes, 1, bytes.count, file)
    if ferror(file) != 0 { return unreadable(String(cString: strerror(errno))) }
    if count > Self.largest { return unreadable("it is larger than \(Self.largest >> 20) MiB") }
    guard let text = String(validating: bytes[..<count], as: UTF8.self) else {
      return unreadable("it is not UTF-8 text")
    }
    return PolicyReader.read(text, file: path) { socket in
      do throws(MilterSocket.Problem) {
        _ = try MilterSocket(socket)
        return nil
      } catch {
        return error.description
      }
    }
  }
}
