import Foundation

/// A terminal of its own, through tmux: what a person would see, and keys as they would press them.
public final class TerminalScreen {
  private let folder: TemporaryFolder
  private let environment: [String: String]

  public init(columns: Int, rows: Int) throws {
    folder = try TemporaryFolder()
    // tmux makes its socket there, so that nobody else's server is met.
    environment = ["TMUX_TMPDIR": folder.path, "LC_ALL": "C.UTF-8", "TMUX": ""]
    try tmux(
      "-f", "/dev/null", "new-session", "-d", "-x", "\(columns)", "-y", "\(rows)",
      "env PS1='prompt> ' bash --norc --noprofile")
    try eventually("the shell asks for commands") { try self.text.contains("prompt>") }
  }

  deinit { _ = try? tmux("kill-server") }

  @discardableResult
  private func tmux(_ arguments: String...) throws -> String {
    try Shell.check("tmux", ["-u"] + arguments, environment: environment)
  }

  /// Its lines, as they are shown.
  public var text: String { get throws { try tmux("capture-pane", "-p") } }

  public func type(_ text: String) throws { try tmux("send-keys", "-l", text) }

  /// Keys by tmux's names: `Enter`, `Tab`, `Escape`, `C-c`.
  public func press(_ keys: String...) throws {
    for key in keys { try tmux("send-keys", key) }
  }

  public func resize(columns: Int, rows: Int) throws {
    try tmux("resize-window", "-x", "\(columns)", "-y", "\(rows)")
  }

  public var isAlternate: Bool { get throws { try format("alternate_on") == "1" } }
  public var hasCursor: Bool { get throws { try format("cursor_flag") == "1" } }
  public var title: String { get throws { try format("pane_title") } }

  /// What the shell runs now.
  public var program: pid_t {
    get throws {
      let pid = try Shell.check("pgrep", ["-P", format("pane_pid")]).trimmingCharacters(in: .newlines)
      guard let pid = pid_t(pid) else { throw Shell.Failure(description: "the shell runs \(pid), not one program") }
      return pid
    }
  }

  private func format(_ name: String) throws -> String {
    try tmux("display-message", "-p", "#{\(name)}").trimmingCharacters(in: .newlines)
  }

  /// Waits until the screen is as it should be.
  @discardableResult
  public func shows(_ what: String, within seconds: Int = 30, where isSo: ((String) -> Bool)? = nil) throws -> String {
    var last = ""
    do {
      try eventually("the screen shows \(what)", within: seconds) {
        last = try text
        return isSo?(last) ?? last.contains(what)
      }
    } catch { throw Shell.Failure(description: "\(error); it shows:\n\(last)") }
    return last
  }
}
