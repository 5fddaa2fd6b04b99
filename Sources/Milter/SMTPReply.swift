import CLibmilter
import Glibc

/// A 4xx or 5xx reply for the SMTP client, made safe for both MTAs.
///
/// - Only printable ASCII goes out (Sendmail mangles anything else); other characters become `?`, line ends a space.
/// - `%` is doubled on the way: Sendmail throws a reply with a single one away, Postfix drops the sign.
/// - The class of the enhanced code is the class of the code: Postfix answers `451 4.3.5` to a mismatch.
public struct SMTPReply: Sendable, Hashable {
  /// 400…599.
  public let code: Int
  /// RFC 3463, for example `4.7.1`. Sendmail adds `4.0.0` or `5.0.0` where there is none.
  public let enhancedCode: String?
  /// At least one line; at most 32 of at most 900 bytes each, in which a `%` takes two.
  public let lines: [String]

  /// Why these cannot be a reply.
  public enum Problem: Error, Equatable, CustomStringConvertible {
    /// Not from 400 to 599.
    case code(Int)
    /// Not of RFC 3463's form, or not of class 4 or 5.
    case enhancedCode(String)
    /// The enhanced code is of another class than the code.
    case classMismatch(code: Int, enhancedCode: String)

    public var description: String {
      switch self {
      case .code(let code): "\(code) is not a refusing reply code (400 to 599)"
      case .enhancedCode(let text): "\"\(text)\" is not an enhanced status code such as 4.7.1"
      case .classMismatch(let code, let enhanced): "\(enhanced) does not belong to the class of \(code)"
      }
    }
  }

  /// libmilter refuses a line of more than 980 bytes; the codes go in front of it.
  static let lineBytes = 900
  static let maximumLines = Int(MLREPLY_LINES)

  /// Checks the codes, and makes the lines safe for both MTAs: what is too long or too much is left out.
  public init(code: Int, enhancedCode: String? = nil, lines: [String]) throws(Problem) {
    guard (400...599).contains(code) else { throw .code(code) }
    if let enhancedCode {
      guard Self.isEnhancedCode(enhancedCode) else { throw .enhancedCode(enhancedCode) }
      guard Int(enhancedCode.prefix(1)) == code / 100 else {
        throw .classMismatch(code: code, enhancedCode: enhancedCode)
      }
    }
    self.code = code
    self.enhancedCode = enhancedCode
    let safe = lines.prefix(Self.maximumLines).map(Self.printable)
    self.lines = safe.isEmpty ? [""] : safe
  }

  /// Whether the client may try again: a 4xx code.
  public var isTemporary: Bool { code < 500 }

  static func isEnhancedCode(_ text: String) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "4" || parts[0] == "5" else { return false }
    return parts.dropFirst().allSatisfy { (1...3).contains($0.count) && $0.utf8.allSatisfy { (48...57).contains($0) } }
  }

  static func printable(_ line: String) -> String {
    var bytes: [UInt8] = []
    var sent = 0
    for scalar in line.unicodeScalars {
      sent += scalar == "%" ? 2 : 1
      if sent > lineBytes { break }
      switch scalar.value {
      case 0x20...0x7e: bytes.append(UInt8(scalar.value))
      case 0x09, 0x0a, 0x0d: bytes.append(0x20)
      default: bytes.append(UInt8(ascii: "?"))
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Hands the reply to libmilter, which sends it with the answer that follows.
  func set(on context: OpaquePointer) -> Bool {
    var copies: [UnsafeMutablePointer<CChar>?] = lines.map { line in strdup(line.replacing("%", with: "%%")) }
    defer { for copy in copies { free(copy) } }
    copies += Array(repeating: nil, count: Self.maximumLines - copies.count)
    return smfi_setmlreply_lines(context, String(code), enhancedCode, copies) == MI_SUCCESS
  }
}
