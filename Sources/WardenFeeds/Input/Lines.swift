/// Lines that were read at once. Their bytes are valid until the call that brings them returns.
public struct Lines {
  private let bring: ((UnsafeRawBufferPointer) -> Void) -> Void

  /// Without `\n` and without the `\r` before it. They can be had once.
  public func forEach(_ body: (UnsafeRawBufferPointer) -> Void) { bring(body) }

  /// Lines that nobody takes are had all the same.
  static func hand(
    to handle: (Lines) -> Void, _ bring: @escaping ((UnsafeRawBufferPointer) -> Void) -> Void
  ) {
    var isBrought = false
    let lines = Lines { body in
      guard !isBrought else { return }
      isBrought = true
      bring(body)
    }
    handle(lines)
    lines.forEach { _ in }
  }
}
