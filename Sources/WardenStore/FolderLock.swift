import Foundation

/// Holds a state folder for one process: two daemons that write what they each know would undo each other's work.
///
/// The system lets go of it when the process ends, however that happens.
final class FolderLock: Sendable {
  private let file: Int32

  init(_ folder: String) throws(StoreProblem) {
    let path = folder + "/lock"
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw .system(errno, doing: "make", path: path) }
    guard Self.take(file) else {
      let code = errno
      close(file)
      if code == EWOULDBLOCK {
        throw StoreProblem(.locked, doing: "use", path: folder, why: "another mailwarden runs with this folder")
      }
      throw .system(code, doing: "lock", path: path)
    }
  }

  /// Waits as long as for SQLite's own locks: who is just ending still holds it.
  private static func take(_ file: Int32) -> Bool {
    for _ in 0..<20 {
      if flock(file, LOCK_EX | LOCK_NB) == 0 { return true }
      guard errno == EWOULDBLOCK else { return false }
      usleep(50_000)
    }
    return flock(file, LOCK_EX | LOCK_NB) == 0
  }

  deinit {
    // A program that is being started has the file open too, for a moment.
    flock(file, LOCK_UN)
    close(file)
  }
}
