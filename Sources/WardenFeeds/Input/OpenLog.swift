import Glibc

/// A log file that is open for reading at any place; a packed one is unpacked on the way.
final class OpenLog {
  let path: String
  let device: UInt64
  let inode: UInt64
  private let file: Int32
  private let child: Child?
  /// The beginning of what a packed file has in it: read when it was opened.
  private var packedHead: [UInt8] = []
  /// What of a packed file has come out of the unpacker.
  private var unpacked = 0
  /// Where in the content it is read next.
  private(set) var offset = 0

  init(_ path: String) throws(InputProblem) {
    self.path = path
    // A pipe would make us wait for its writer.
    file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw .system(errno, doing: "read \(path)") }
    var status = stat()
    fstat(file, &status)
    (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(file)
      throw InputProblem("\(path) is no file")
    }
    do throws(InputProblem) {
      child = try Compression(of: file).unpack(file)
    } catch {
      close(file)
      throw error
    }
    if child != nil { readPackedHead() }
  }

  deinit { close(file) }

  var isPacked: Bool { child != nil }

  /// In bytes, on the disk.
  var size: Int {
    var status = stat()
    return fstat(file, &status) == 0 ? Int(status.st_size) : 0
  }

  /// For the kernel's watch: it follows the file wherever it is moved.
  var descriptor: Int32 { file }

  func withHead<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    if isPacked { return packedHead.withUnsafeBytes(body) }
    return withUnsafeTemporaryAllocation(byteCount: LogPosition.headSize, alignment: 1) { room in
      let count = pread(file, room.baseAddress, room.count, 0)
      return body(UnsafeRawBufferPointer(rebasing: room[..<max(0, count)]))
    }
  }

  var fingerprint: LogPosition.Fingerprint { withHead { LogPosition.Fingerprint($0) } }

  /// Whether it is the file that begins so, and of which so much was read.
  func holds(_ offset: Int, after fingerprint: LogPosition.Fingerprint) -> Bool {
    (isPacked || size >= offset) && withHead { fingerprint.matches($0) }
  }

  /// Where the last line begins that is not finished.
  var lastLineEnd: Int {
    let size = size
    return withUnsafeTemporaryAllocation(byteCount: LineSplitter.longestLine, alignment: 1) { room in
      let start = max(0, size - room.count)
      let count = pread(file, room.baseAddress, size - start, off_t(start))
      guard let newline = room[..<max(0, count)].lastIndex(of: 0x0A) else { return start == 0 ? 0 : size }
      return start + newline + 1
    }
  }

  func seek(to offset: Int) { self.offset = offset }

  /// - Returns: how much was read, 0 at the end, and -1 with `errno`; nothing while the way to the place is skipped.
  func read(into room: UnsafeMutableRawBufferPointer) -> Int? {
    guard let child else { return advanced(pread(file, room.baseAddress, room.count, off_t(offset))) }
    if offset < packedHead.count {
      let part = packedHead[offset...].prefix(room.count)
      part.withUnsafeBytes { room.copyMemory(from: $0) }
      return advanced(part.count)
    }
    let count = Glibc.read(child.output, room.baseAddress, room.count)
    let skipped = min(max(0, count), max(0, offset - unpacked))
    unpacked += max(0, count)
    guard skipped > 0 else { return advanced(count) }
    guard skipped < count else { return nil }
    memmove(room.baseAddress!, room.baseAddress! + skipped, count - skipped)
    return advanced(count - skipped)
  }

  private func advanced(_ count: Int) -> Int {
    offset += max(0, count)
    return count
  }

  /// Once it has been read to its end: why that was too soon.
  func failure() -> String? { child?.failure() }

  private func readPackedHead() {
    packedHead = [UInt8](unsafeUninitializedCapacity: LogPosition.headSize) { room, filled in
      while filled < room.count {
        let count = Glibc.read(child!.output, room.baseAddress! + filled, room.count - filled)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        filled += count
      }
    }
    unpacked = packedHead.count
  }
}

/// What is at a path.
enum LogPlace {
  case file(device: UInt64, inode: UInt64, size: Int)
  case missing
  case other(why: String)

  init(_ path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      self = errno == ENOENT ? .missing : .other(why: String(cString: strerror(errno)))
      return
    }
    self =
      if status.st_mode & S_IFMT == S_IFREG {
        .file(device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int(status.st_size))
      } else {
        .other(why: "it is no file")
      }
  }
}
