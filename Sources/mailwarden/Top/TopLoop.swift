import Foundation
import WardenControl
import WardenCore
import WardenScreen

/// `mailwarden top` on a terminal: one thread waits for keys, signals and news, and draws.
struct TopLoop {
  private let feed: TopFeed
  private let glyphs = Terminal.glyphs
  private let isColoured = Terminal.isColoured
  private var state: TopState
  private var known = Snapshot(at: wallTime())
  /// What is on the screen: what is known, or was when it was paused.
  private var shown = Snapshot(at: wallTime())
  private var keys = KeystrokeReader()
  private var isAsking = false
  private var nextLook = DispatchTime.now()

  /// An escape sequence arrives at once; an ESC after which nothing comes is the key.
  private static let escapeMilliseconds: Int32 = 50

  init(_ client: ControlClient, delay: TimeSpan) {
    feed = TopFeed(client)
    state = TopState(delay: delay)
  }

  /// Until `q`, a signal to end, or the end of the terminal.
  mutating func run() {
    let signals = Terminal.takeSignals()
    Terminal.enter()
    defer { Terminal.leave() }
    feed.listen(decisions: ["refused", "held", "delayed", "blocked", "observed", "alert", "run"])
    while true {
      lookIfTime()
      guard draw() else { return }
      var waits = [STDIN_FILENO, signals, feed.bell].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      let found = poll(&waits, nfds_t(waits.count), keys.isWaiting ? Self.escapeMilliseconds : 1_000)
      if found < 0 { continue }
      for number in Terminal.arrivedSignals() where !takes(signal: number) { return }
      for item in feed.take() { hear(item) }
      var pressed: [Keystroke] = []
      if waits[0].revents != 0 {
        guard let typed = Terminal.typed() else { return }
        pressed = keys.take(typed)
      } else if found == 0 {
        pressed = keys.flush()
      }
      for key in pressed where !takes(key) { return }
    }
  }

  private mutating func draw() -> Bool {
    known.at = Self.wallTime()
    if !state.isPaused { shown = known }
    // What was asked for while it stands still is shown all the same.
    shown.explain = known.explain
    let lines = TopScreen(shown, state, Terminal.size, glyphs).lines
    return Terminal.put(ANSI.screen(lines, isColoured: isColoured))
  }

  private mutating func lookIfTime() {
    guard !isAsking, !state.isPaused || state.openKey != nil, DispatchTime.now() >= nextLook else { return }
    isAsking = true
    feed.look(order: state.order, openKey: state.openKey)
  }

  private mutating func hear(_ news: TopFeed.News) {
    switch news {
    case .looked(let look):
      known.status = look.status
      known.keys = look.keys
      known.episodes = look.episodes
      known.penalties = look.penalties
      known.trouble = nil
      if let explained = look.explained { known.explain = explained }
      ended()
    case .unanswered(let why):
      known.trouble = why
      ended()
    case .record(let record): known.recent.take(record)
    case .unheard(let why): known.unheard = why
    case .told(let words):
      state.message = words
      nextLook = .now()
    }
  }

  private mutating func ended() {
    isAsking = false
    nextLook = .now() + .microseconds(state.delay.microseconds)
  }

  private mutating func takes(_ key: Keystroke) -> Bool {
    switch state.press(key, shown, Terminal.size) {
    case .quit: return false
    case .refresh: nextLook = .now()
    case .carryOut(let order): feed.carryOut(order)
    case nil: break
    }
    return true
  }

  private func takes(signal number: Int32) -> Bool {
    switch number {
    case SIGTSTP: Terminal.stop()
    case SIGCONT: Terminal.enter()
    case SIGWINCH: break
    default: return false
    }
    return true
  }

  private static func wallTime() -> Timestamp {
    Timestamp(microseconds: Int(Date().timeIntervalSince1970 * 1_000_000))
  }
}
