import GRDB
import Glibc

/// Why the store could not do what was asked.
public struct StoreProblem: Error, Sendable, CustomStringConvertible {
  public enum Kind: Sendable, Equatable {
    /// The file is no database, or not a whole one: it has to be set aside.
    case damaged
    /// Another process holds it.
    case locked
    /// No room on the disk.
    case full
    /// No permission to write there, or nothing there can be written at all.
    case forbidden
    /// It was removed or replaced while it was open: it has to be opened anew, and everything written again.
    case moved
    case other
  }

  public let kind: Kind
  /// What was attempted: `write to`.
  public let doing: String
  public let path: String
  /// What the system said.
  public let why: String

  public init(_ kind: Kind, doing: String, path: String, why: String) {
    self.kind = kind
    self.doing = doing
    self.path = path
    self.why = why
  }

  /// `cannot write to /var/lib/mailwarden/mailwarden.sqlite: no room is left on its disk (database or disk is full)`.
  public var description: String { "cannot \(doing) \(path): \(sentence) (\(why))" }

  private var sentence: String {
    switch kind {
    case .damaged: "the file is damaged"
    case .locked: "another process holds it"
    case .full: "no room is left on its disk"
    case .forbidden: "nothing can be written there"
    case .moved: "it was removed or replaced"
    case .other: "it failed"
    }
  }
}

extension StoreProblem {
  init(_ error: any Error, doing: String, path: String) {
    if let problem = error as? StoreProblem {
      self = problem
    } else if let error = error as? DatabaseError {
      self.init(Self.kind(of: error, path), doing: doing, path: path, why: error.message ?? "\(error.resultCode)")
    } else if let error = error as? RowDecodingError {
      self.init(.damaged, doing: doing, path: path, why: "\(error)")
    } else {
      self.init(.other, doing: doing, path: path, why: "\(error)")
    }
  }

  /// What a call to the system left in `errno`.
  static func system(_ code: Int32, doing: String, path: String) -> StoreProblem {
    let kind: Kind =
      switch code {
      case EACCES, EPERM, EROFS, ENOTDIR: .forbidden
      case ENOSPC, EDQUOT: .full
      default: .other
      }
    return StoreProblem(kind, doing: doing, path: path, why: String(cString: strerror(code)))
  }

  private static func kind(of error: DatabaseError, _ path: String) -> Kind {
    switch error.resultCode {
    case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_FORMAT, .SQLITE_MISMATCH, .SQLITE_TOOBIG: return .damaged
    case .SQLITE_BUSY, .SQLITE_LOCKED: return .locked
    case .SQLITE_FULL: return .full
    // The file was removed or put elsewhere under us.
    case .SQLITE_READONLY where error.extendedResultCode == .SQLITE_READONLY_DBMOVED: return .damaged
    case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH: return .forbidden
    // A full disk shows in several ways, depending on what SQLite was about.
    case .SQLITE_CANTOPEN: return isFull(path) ? .full : .forbidden
    case .SQLITE_IOERR: return isFull(path) ? .full : .other
    // Tables do not go by themselves, and nothing that we count grows that large.
    case .SQLITE_ERROR where error.message?.hasPrefix("no such") ?? false: return .damaged
    case .SQLITE_ERROR where error.message == "integer overflow": return .damaged
    default: return .other
    }
  }

  private static func isFull(_ path: String) -> Bool {
    var figures = statvfs()
    guard statvfs(path, &figures) == 0 else { return false }
    return figures.f_bavail == 0 || figures.f_files > 0 && figures.f_favail == 0
  }
}
