import Glibc
import WardenCore

/// A log of the past: a file, packed or not, or a stream.
public final class PastLog {
  /// `-` is standard input.
  public let path: String
  /// A stream's is `plain`.
  public let compression: Compression
  /// Nothing for a stream.
  public let modified: Timestamp?
  /// On the disk, in bytes; nothing for a stream.
  public let size: Int?
  /// Of `size`, packed or not.
  public private(set) var bytesRead = 0
  /// Lines that were too long to be handed over whole.
  public private(set) var cutLines = 0
  private let device: UInt64
  private let inode: UInt64

  /// For people.
  public var name: String { path == "-" ? "standard input" : path }

  private init(_ path: String) throws(InputProblem) {
    self.path = path
    var status = stat()
    guard path == "-" ? fstat(0, &status) == 0 : stat(path, &status) == 0 else { throw Self.missing(path, errno) }
    (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
    switch status.st_mode & S_IFMT {
    case S_IFDIR:
      let folder = path.hasSuffix("/") ? String(path.dropLast()) : path
      throw InputProblem("cannot read \(path): it is a folder; name the logs in it, for example '\(folder)/mail.log*'")
    case S_IFREG where path != "-":
      let file = open(path, O_RDONLY | O_CLOEXEC)
      guard file >= 0 else { throw .system(errno, doing: "read \(path)") }
      compression = Compression(of: file)
      close(file)
      modified = Timestamp(microseconds: status.st_mtim.tv_sec * 1_000_000 + status.st_mtim.tv_nsec / 1_000)
      size = Int(status.st_size)
    default:
      (compression, modified, size) = (.plain, nil, nil)
    }
  }

  // MARK: - Finding

  /// - Parameter arguments: paths, patterns as of a shell, and `-` for standard input.
  /// - Returns: the oldest first, as far as times and names tell; streams last.
  public static func find(_ arguments: [String]) throws(InputProblem) -> [PastLog] {
    var logs: [PastLog] = []
    for argument in arguments {
      for path in try paths(of: argument) {
        let log = try PastLog(path)
        if let other = logs.first(where: { $0.device == log.device && $0.inode == log.inode }) {
          let both =
            other.path == log.path ? "\(log.name) is named twice" : "\(other.name) and \(log.name) are one file"
          throw InputProblem("cannot read the same lines twice: \(both)")
        }
        logs.append(log)
      }
    }
    return sorted(logs)
  }

  private static func paths(of argument: String) throws(InputProblem) -> [String] {
    guard argument.contains(where: { "*?[".contains($0) }), access(argument, F_OK) != 0 else { return [argument] }
    var found = glob_t()
    defer { globfree(&found) }
    let code = glob(argument, 0, nil, &found)
    guard code == 0 || code == GLOB_NOMATCH else {
      throw InputProblem("cannot look for \(argument): the folder cannot be read")
    }
    let paths = (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
    // A pattern's folders are not meant.
    let logs = paths.filter { path in
      var status = stat()
      return stat(path, &status) != 0 || status.st_mode & S_IFMT != S_IFDIR
    }
    guard !logs.isEmpty else { throw InputProblem("cannot read \(argument): no file has such a name") }
    return logs
  }

  private static func missing(_ path: String, _ code: Int32) -> InputProblem {
    guard code == ENOENT else { return .system(code, doing: "read \(path)") }
    let (folder, name) = split(path)
    let names = LogFamily.names(in: folder.isEmpty ? "." : folder)
    guard !names.isEmpty || access(folder.isEmpty ? "." : folder, F_OK) == 0 else {
      return InputProblem("cannot read \(path): there is no folder \(folder)")
    }
    return InputProblem("cannot read \(path): there is no such file\(Suggestion.phrase(for: name, among: names))")
  }

  /// The folder, with its `/`, and the name.
  private static func split(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return ("", path) }
    return (String(path[...slash]), String(path[path.index(after: slash)...]))
  }

  /// By the time of the last change. Within a rotated set the names are surer: copies have the times of the copying.
  private static func sorted(_ logs: [PastLog]) -> [PastLog] {
    struct Place {
      let log: PastLog
      let rotation: Rotation
      var time: Int
    }
    var places = logs.map { log in
      let (folder, name) = split(log.path)
      let rotation = Rotation(name)
      return (folder + rotation.base, Place(log: log, rotation: rotation, time: log.modified?.microseconds ?? .max))
    }
    let sets = Dictionary(grouping: places.indices, by: { places[$0].0 })
    for set in sets.values where set.allSatisfy({ a in set.allSatisfy { orderIsKnown(places[a].1, places[$0].1) } }) {
      let times = set.map { places[$0].1.time }.sorted()
      let byName = set.sorted { places[$0].1.rotation.isOlder(than: places[$1].1.rotation) ?? false }
      for (index, time) in zip(byName, times) { places[index].1.time = time }
    }
    func orderIsKnown(_ a: Place, _ b: Place) -> Bool { a.rotation.isOlder(than: b.rotation) != nil }
    return places.map(\.1).sorted { a, b in
      if a.time != b.time { return a.time < b.time }
      if let isOlder = a.rotation.isOlder(than: b.rotation), a.rotation != b.rotation { return isOlder }
      return a.log.path < b.log.path
    }.map(\.log)
  }

  // MARK: - Reading

  /// Calls `body` for each line, without `\n` and without the `\r` before it; its bytes are valid until it returns.
  /// A file can be read again, a stream cannot.
  ///
  /// - Throws: `InputProblem`, after all lines that could be read, or what `body` throws.
  public func forEachLine(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    let file = path == "-" ? fcntl(0, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw InputProblem.system(errno, doing: "read \(name)") }
    defer { close(file) }
    let child: Child?
    do { child = try compression.unpack(file) } catch { throw InputProblem("cannot unpack \(name): \(error)") }
    var lines = LineSplitter()
    bytesRead = 0
    cutLines = 0
    defer { cutLines = lines.cutLines }
    var isFirst = true
    while true {
      let count = read(child?.output ?? file, lines.room.baseAddress, LineSplitter.blockSize)
      if count < 0, errno == EINTR { continue }
      let code = errno
      if isFirst, count > 0, child == nil { try refusePacked(lines.room[..<count]) }
      isFirst = false
      // The program reads on from where the file is, which is one for both.
      bytesRead = child == nil ? bytesRead + max(0, count) : lseek(file, 0, SEEK_CUR)
      guard count > 0 else {
        try lines.finish(body)
        if count < 0 { throw InputProblem.system(code, doing: "read on in \(name)") }
        break
      }
      try lines.split(count, body)
    }
    if let failure = child?.failure() {
      throw InputProblem("cannot unpack \(name) to its end: it is damaged, or cut short (\(failure))")
    }
  }

  /// A stream cannot be handed to another program once its beginning has been read.
  private func refusePacked(_ head: Slice<UnsafeMutableRawBufferPointer>) throws(InputProblem) {
    guard let unpacker = Compression(head: UnsafeRawBufferPointer(rebasing: head)).unpacker else { return }
    let command = ([unpacker.program] + unpacker.arguments).joined(separator: " ")
    throw InputProblem("cannot read \(name): it is packed; name the file itself, or unpack it on the way (\(command))")
  }
}
