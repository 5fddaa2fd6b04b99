import Glibc

/// How far a log has been read: enough to find the place again when the file has been renamed, packed or copied.
public struct LogPosition: Codable, Sendable, Equatable {
  /// The beginning of a file, so that it is told from another that has its inode, and known again under another.
  public struct Fingerprint: Codable, Sendable, Equatable {
    /// How many bytes it is of, at most `LogPosition.headSize`.
    public let length: Int
    public let hash: UInt64

    init(_ head: UnsafeRawBufferPointer) {
      length = head.count
      // FNV-1a: it has to tell apart what nobody chooses.
      hash = head.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    /// Nothing is told by no bytes.
    func matches(_ head: UnsafeRawBufferPointer) -> Bool {
      length <= head.count && Fingerprint(UnsafeRawBufferPointer(rebasing: head[..<length])).hash == hash
    }
  }

  static let headSize = 1_024
  /// Far more rotations than any clock goes back over.
  static let mostDone = 16

  public internal(set) var device: UInt64
  public internal(set) var inode: UInt64
  /// Of the first line that has not been handed over, in bytes; of a packed file, in its content.
  public internal(set) var offset: Int
  public internal(set) var fingerprint: Fingerprint
  /// Files that were read to their end before this one, the latest last: where a clock goes back, their names make them newer.
  public internal(set) var done: [Fingerprint]

  init(device: UInt64, inode: UInt64, offset: Int, fingerprint: Fingerprint, done: [Fingerprint] = []) {
    self.device = device
    self.inode = inode
    self.offset = offset
    self.fingerprint = fingerprint
    self.done = done
  }

  private enum CodingKeys: CodingKey { case device, inode, offset, fingerprint, done }

  /// What was stored may have been changed since.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    device = try values.decode(UInt64.self, forKey: .device)
    inode = try values.decode(UInt64.self, forKey: .inode)
    offset = try values.decode(Int.self, forKey: .offset)
    fingerprint = try values.decode(Fingerprint.self, forKey: .fingerprint)
    done = try values.decodeIfPresent([Fingerprint].self, forKey: .done) ?? []
    guard offset >= 0, (done + [fingerprint]).allSatisfy({ (0...Self.headSize).contains($0.length) }) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "no place in a log: offset \(offset)"))
    }
  }
}
