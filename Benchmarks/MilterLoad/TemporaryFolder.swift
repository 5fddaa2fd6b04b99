import Glibc

/// A folder of our own for sockets and logs.
struct TemporaryFolder {
  let path: String

  init() throws {
    let place = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(place)/milter-load.XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else {
      throw Child.Failure(description: "no folder in \(place): \(String(cString: strerror(errno)))")
    }
    path = String(cString: made)
  }

  /// Removes the folder and what the comparison has put into it.
  func remove() {
    for name in ["tested", "bare", "bare-unanswered", "beside"] {
      for kind in ["log", "sock"] { unlink("\(path)/\(name).\(kind)") }
    }
    rmdir(path)
  }
}
