import Foundation

/// A text file that somebody wrote by hand.
enum PlainFile {
  struct Unreadable: Error, CustomStringConvertible {
    let description: String
  }

  /// Larger than any of them; a mistyped path to a log must not be read whole.
  private static let largest = 4 << 20

  static func read(_ path: String) throws(Unreadable) -> String {
    // A pipe in the place of the file must not hold anything up.
    let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0, let file = fdopen(descriptor, "r") else {
      throw Unreadable(description: String(cString: strerror(errno)))
    }
    defer { fclose(file) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw Unreadable(description: "it is not a plain file")
    }
    var bytes = [UInt8](repeating: 0, count: largest + 1)
    let count = fread(&bytes, 1, bytes.count, file)
    if ferror(file) != 0 { throw Unreadable(description: String(cString: strerror(errno))) }
    if count > largest { throw Unreadable(description: "it is larger than \(largest >> 20) MiB") }
    guard let text = String(validating: bytes[..<count], as: UTF8.self) else {
      throw Unreadable(description: "it is not UTF-8 text")
    }
    return text
  }
}
