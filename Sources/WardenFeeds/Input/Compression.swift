import Glibc

/// How a log is packed, told by its first bytes.
public enum Compression: Sendable {
  case plain, gzip, xz, zstd

  init(head: UnsafeRawBufferPointer) {
    self =
      if head.starts(with: [0x1F, 0x8B]) { .gzip } else if head.starts(with: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) {
        .xz
      } else if head.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) { .zstd } else { .plain }
  }

  /// Of a file that can be read at any place.
  init(of file: Int32) {
    self = withUnsafeTemporaryAllocation(byteCount: 6, alignment: 1) { head in
      let count = pread(file, head.baseAddress, head.count, 0)
      return Compression(head: UnsafeRawBufferPointer(rebasing: head[..<max(0, count)]))
    }
  }

  /// What unpacks its standard input; nothing where there is nothing to unpack.
  var unpacker: (program: String, arguments: [String], package: String)? {
    switch self {
    case .plain: nil
    case .gzip: ("gzip", ["-dc"], "gzip")
    case .xz: ("xz", ["-dc"], "xz-utils")
    case .zstd: ("zstd", ["-dcq"], "zstd")
    }
  }

  /// Starts unpacking a file.
  func unpack(_ file: Int32) throws(InputProblem) -> Child? {
    guard let unpacker else { return nil }
    return try Child(unpacker.program, unpacker.arguments, package: unpacker.package, input: file)
  }
}
