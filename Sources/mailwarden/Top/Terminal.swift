import Foundation
import WardenScreen

/// The terminal while a screen is on it. Given back as it was, however the process ends but by SIGKILL.
///
/// Signals arrive as bytes in a pipe, one at a time, beside the keys: a handler may do little else.
enum Terminal {
  /// That end the screen, stop it, or change it.
  private static let handled = [SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH]
  private static let fatal = [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE]
  // Written before there are handlers, read by them.
  nonisolated(unsafe) private static var before = termios()
  nonisolated(unsafe) private static var isEntered = false
  nonisolated(unsafe) private static var ends: [Int32] = [-1, -1]
  nonisolated(unsafe) private static var entrance: Int32 = -1
  private static let leaving = Array(ANSI.leave.utf8)

  /// Whether a screen can be drawn and keys can be read.
  static var isScreen: Bool {
    let kind = getenv("TERM").map { String(cString: $0) } ?? ""
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && kind != "" && kind != "dumb"
  }

  /// no-color.org: whatever it says, unless it is empty.
  static var isColoured: Bool {
    isatty(STDOUT_FILENO) == 1 && (getenv("NO_COLOR").map { $0.pointee == 0 } ?? true)
  }

  static var glyphs: Glyphs {
    setlocale(LC_CTYPE, "")
    return String(cString: nl_langinfo(nl_item(CODESET))) == "UTF-8" ? .unicode : .ascii
  }

  static var size: ScreenSize {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
      return ScreenSize(columns: 80, rows: 24)
    }
    return ScreenSize(columns: Int(size.ws_col), rows: Int(size.ws_row))
  }

  /// - Returns: where the numbers of signals arrive.
  static func takeSignals() -> Int32 {
    pipe(&ends)
    for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
    entrance = ends[1]
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { number in
      let error = errno
      var byte = UInt8(truncatingIfNeeded: number)
      _ = write(Terminal.entrance, &byte, 1)
      errno = error
    }
    action.sa_flags = SA_RESTART
    for number in handled { sigaction(number, &action, nil) }
    action.__sigaction_handler.sa_handler = { number in
      Terminal.leave()
      signal(number, SIG_DFL)
      raise(number)
    }
    for number in fatal { sigaction(number, &action, nil) }
    signal(SIGPIPE, SIG_IGN)
    return ends[0]
  }

  /// Keys one by one and unseen; Ctrl-C and Ctrl-Z go on to be signals.
  static func enter() {
    if !isEntered { tcgetattr(STDIN_FILENO, &before) }
    var raw = before
    raw.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN)
    raw.c_iflag &= ~tcflag_t(IXON | ICRNL | INLCR | IGNCR | ISTRIP)
    isEntered = true
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw)
    _ = put(ANSI.enter)
  }

  /// Also called by a handler of fatal signals: does only what one may do there.
  static func leave() {
    guard isEntered else { return }
    isEntered = false
    leaving.withUnsafeBytes { _ = write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    tcsetattr(STDIN_FILENO, TCSANOW, &before)
  }

  /// As the shell's Ctrl-Z; returns once the shell lets us go on.
  static func stop() {
    leave()
    kill(getpid(), SIGSTOP)
    enter()
  }

  /// - Returns: false when nobody reads any more.
  static func put(_ text: String) -> Bool { Output.write(text) }

  /// What has been typed, or nothing where nobody types any more.
  static func typed() -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 1_024)
    let count = read(STDIN_FILENO, &bytes, bytes.count)
    if count < 0 && (errno == EINTR || errno == EAGAIN) { return [] }
    return count > 0 ? Array(bytes.prefix(count)) : nil
  }

  static func arrivedSignals() -> [Int32] {
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = read(ends[0], &bytes, bytes.count)
    return count > 0 ? bytes.prefix(count).map(Int32.init) : []
  }
}
