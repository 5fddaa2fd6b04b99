import Glibc

/// Why lines could not be had.
public struct InputProblem: Error, Sendable, Equatable, CustomStringConvertible {
  /// `cannot read mail.log.2.gz: it is damaged (gzip: stdin: unexpected end of file)`.
  public let description: String
  init(_ description: String) { self.description = description }

  /// What a call to the system left in `errno`.
  static func system(_ code: Int32, doing: String) -> InputProblem {
    InputProblem("cannot \(doing): \(String(cString: strerror(code)))")
  }
}
