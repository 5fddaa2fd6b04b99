import Glibc

/// A log and the files that it was rotated into, in its folder.
struct LogFamily {
  /// With its `/`.
  let folder: String
  private let live: String

  /// Rotated files that are looked into: each packed one takes a process.
  private static let mostOpened = 64
  /// A shorter beginning may be another file's, too; a line's time and host take about as much.
  static let leastTelling = 32

  /// - Parameter path: where the log itself is, past any link.
  init(of path: String) {
    if let slash = path.lastIndex(of: "/") {
      folder = String(path[...slash])
      live = String(path[path.index(after: slash)...])
    } else {
      folder = "./"
      live = path
    }
  }

  /// The file that was read so far, under whichever name, packed or not. It is at the place.
  func find(_ position: LogPosition) -> OpenLog? {
    func opened(_ path: String) -> OpenLog? {
      guard let log = try? OpenLog(path), log.holds(position.offset, after: position.fingerprint) else { return nil }
      log.seek(to: position.offset)
      return log
    }
    if let path = path(device: position.device, inode: position.inode), let log = opened(path) { return log }
    guard position.fingerprint.length >= Self.leastTelling else { return nil }
    for path in ([live] + rotated().reversed()).prefix(Self.mostOpened) {
      if let log = opened(folder + path) { return log }
    }
    return nil
  }

  /// Where a file is now.
  func path(device: UInt64, inode: UInt64) -> String? {
    Self.names(in: folder).lazy.map { folder + $0 }.first { path in
      guard case .file(device, inode, _) = LogPlace(path) else { return false }
      return true
    }
  }

  /// The rotated file that was written to after this one; nothing after the newest.
  func next(after path: String) -> String? {
    let rotation = Rotation(String(path[(path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex)...]))
    guard rotation.base == live else { return nil }
    return rotated().first { rotation.isOlder(than: Rotation($0)) == true }.map { folder + $0 }
  }

  /// The oldest first. Of one that is just being packed only the plain one.
  private func rotated() -> [String] {
    let members = Self.names(in: folder).map { ($0, Rotation($0)) }.filter { $1.base == live && $1.mark != .live }
    let sorted = members.sorted { a, b in
      a.1 == b.1 ? a.0.utf8.count < b.0.utf8.count : a.1.isOlder(than: b.1) ?? (a.0 < b.0)
    }
    return zip(sorted.indices, sorted).filter { $0 == 0 || sorted[$0 - 1].1 != $1.1 }.map(\.1.0)
  }

  // MARK: - Names

  /// How many names of a folder are looked at.
  private static let mostNames = 10_000

  /// In no order; none where the folder cannot be read.
  static func names(in folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while names.count < mostNames, let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }
}
