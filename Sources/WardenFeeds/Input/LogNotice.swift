/// What happens to a log that is followed, and what is done about it.
public enum LogNotice: Sendable, Equatable, CustomStringConvertible {
  case missing(path: String)
  case unreadable(path: String, why: String)
  /// After one of the two.
  case appeared(path: String)
  case rotated(path: String)
  case truncated(path: String)
  /// The file that was read last is gone with what was not read of it.
  case lost(path: String)
  /// A rotated file could not be unpacked.
  case damaged(path: String, why: String)

  /// Whether somebody should look.
  public var isTrouble: Bool {
    switch self {
    case .missing, .unreadable, .lost, .damaged: true
    case .appeared, .rotated, .truncated: false
    }
  }

  public var description: String {
    switch self {
    case .missing(let path): "cannot follow \(path): it is not there; it is read as soon as it is"
    case .unreadable(let path, let why): "cannot follow \(path): \(why); it is tried again each second"
    case .appeared(let path): "\(path) can be read now and is followed"
    case .rotated(let path): "\(path) was rotated: the old one is read to its end, then the new one is followed"
    case .truncated(let path): "\(path) was truncated: it is read from its beginning"
    case .lost(let path):
      "cannot go on in \(path): it is another file than the one read last, which is not beside it; lines may be lost, "
        + "and it is read from its beginning"
    case .damaged(let path, let why): "cannot read \(path) to its end: \(why); the next file is read"
    }
  }
}
