import Testing
import WardenCore
import WardenTestKit

@testable import WardenControl
@testable import WardenScreen

@Suite("The screen of top")
struct ScreenTests {
  private static let glyphs: Set<Unicode.Scalar> = ["█", "░", "─"]
  private static let keys: [Keystroke] =
    [.up, .down, .pageUp, .pageDown, .home, .end, .enter, .tab, .backTab, .backspace, .escape]
    + "jkgGqsbr/?p+-y1hx ".map { .character($0) }

  private func expectSound(_ lines: [Line], _ size: ScreenSize, _ state: TopState) {
    #expect(lines.count == size.rows)
    for line in lines {
      let scalars = line.text.unicodeScalars
      #expect(scalars.count == line.width && line.width <= size.columns, "\(state.mode): \(line.text)")
      #expect(scalars.allSatisfy { (" "..."~").contains($0) || Self.glyphs.contains($0) }, "\(state.mode)")
    }
    // With our own sequences taken away, no control character is left.
    let written = ANSI.screen(lines, isColoured: true)
    let bare = written.replacing(/\u{1b}\[[0-9;]*[mHKJ]/, with: "").replacing("\r\n", with: "")
    #expect(bare.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f })
  }

  @Test("Whatever clients are called and whatever is pressed, on a screen of any size", arguments: 0..<60)
  func everything(seed: Int) {
    var make = RandomSnapshots(random: SeededGenerator(seed: seed))
    var state = TopState(delay: .seconds(2))
    var snapshot = make.snapshot()
    for step in 0..<25 {
      let size = ScreenSize(
        columns: Int.random(in: 20...300, using: &make.random), rows: Int.random(in: 5...100, using: &make.random))
      if step % 8 == 7 { snapshot = make.snapshot() }
      if let key = state.openKey { snapshot.explain = make.explained(key) }
      let lines = TopScreen(snapshot, state, size, step % 2 == 0 ? .unicode : .ascii).lines
      expectSound(lines, size, state)
      if state.mode == .lists || state.mode == .filter, !state.pane.rows(snapshot, filter: state.filter).isEmpty {
        #expect(lines.count { line in line.spans.contains { $0.style == .selected } } == 1, "\(size) \(state.pane)")
      }
      if state.press(Self.keys.randomElement(using: &make.random)!, snapshot, size) == .quit { state.mode = .lists }
    }
  }

  @Test("A screen of one column or one row is drawn, too", arguments: [1, 2, 3, 4], [1, 2, 3, 4])
  func tiny(columns: Int, rows: Int) {
    var make = RandomSnapshots(random: SeededGenerator(seed: columns * 10 + rows))
    let size = ScreenSize(columns: columns, rows: rows)
    let state = TopState(delay: .seconds(2))
    expectSound(TopScreen(make.snapshot(), state, size, .unicode).lines, size, state)
  }

  @Test("A key's nearest limit is a bar, full only where the limit is reached")
  func bars() {
    var snapshot = Snapshot(at: Timestamp(microseconds: 0))
    snapshot.keys = [("user:a", 24), ("user:b", 25), ("user:c", 0)].map { key, count in
      CounterReport(
        key: key, rule: "cap", mode: "enforce", signal: "messages", window: "2h", window_seconds: 7_200, count: count,
        limit: 25, limit_text: "", origin: nil, left: 0, free_at: "")
    }
    let text = TopScreen(
      snapshot, TopState(delay: .seconds(2)), ScreenSize(columns: 80, rows: 24), .ascii
    ).lines.map(\.text)
    #expect(text.contains { $0.contains("user:a") && $0.contains(" #########. ") && $0.contains("24/25 2h   cap") })
    #expect(text.contains { $0.contains("user:b") && $0.contains(" ########## ") })
    #expect(text.contains { $0.contains("user:c") && $0.contains(" .......... ") })
  }

  @Test("What is far above the usual is marked, also without colour")
  func usual() {
    let rates: [String: StatusReport.Rate] = [
      "messages": .init(total: 9, last_minute: 1, last_hour: 600, usual_hour: 100),
      "recipients": .init(total: 9, last_minute: 1, last_hour: 120, usual_hour: 100),
      "connections": .init(total: 9, last_minute: 100, last_hour: 100, usual_hour: 100),
    ]
    var make = RandomSnapshots(random: SeededGenerator(seed: 1))
    var status: StatusReport?
    while status == nil { status = make.snapshot().status }
    let lines = RateTable.lines(status!.with(rates), 80, rows: 4).map(\.text)
    #expect(lines.contains { $0.contains("messages                1    600!   100") })
    #expect(lines.contains { $0.contains("recipients              1    120    100") })
    #expect(lines.contains { $0.contains("connections           100    100!   100") })
  }

  @Test("The chosen line stays chosen when others come before it, and goes along with an order only once confirmed")
  func choosing() {
    var snapshot = Snapshot(at: Timestamp(microseconds: 0))
    func counter(_ key: String) -> CounterReport {
      CounterReport(
        key: key, rule: "cap", mode: "enforce", signal: "messages", window: "2h", window_seconds: 7_200, count: 1,
        limit: 25, limit_text: "", origin: nil, left: 0, free_at: "")
    }
    snapshot.keys = ["user:a", "user:b", "user:c"].map(counter)
    let size = ScreenSize(columns: 80, rows: 24)
    var state = TopState(delay: .seconds(2))
    #expect(state.press(.down, snapshot, size) == nil)
    snapshot.keys = ["user:x", "user:y", "user:a", "user:b", "user:c"].map(counter)
    _ = state.press(.character("b"), snapshot, size)
    #expect(state.mode == .span(key: "user:b", text: "1h"))
    // The list changes while it asks; the question stays about the same key.
    snapshot.keys = ["user:x"].map(counter)
    for key: Keystroke in [.backspace, .backspace, .character("3"), .character("d"), .enter] {
      #expect(state.press(key, snapshot, size) == nil)
    }
    #expect(state.press(.character("y"), snapshot, size) == .carryOut(.block(key: "user:b", span: "3d")))
    #expect(state.mode == .lists)
    _ = state.press(.character("r"), snapshot, size)
    #expect(state.mode == .confirm(.release(key: "user:x")))
    #expect(state.press(.enter, snapshot, size) == nil, "Enter is no yes")
    #expect(state.message == "nothing was done")
  }

  @Test("Without anything chosen the first line is, whatever comes to stand there")
  func firstLine() {
    var make = RandomSnapshots(random: SeededGenerator(seed: 3))
    let state = TopState(delay: .seconds(2))
    for _ in 0..<20 {
      let rows = Pane.users.rows(make.snapshot(), filter: "")
      #expect(state.place(in: rows, of: .users) == 0)
    }
  }

  @Test("A span that is none is said to be none")
  func badSpan() {
    var snapshot = Snapshot(at: Timestamp(microseconds: 0))
    snapshot.penalties = [
      PenaltyReport(key: "user:a", rule: "cap", reason: "", since: "", until: "", attempts: 0)
    ]
    let size = ScreenSize(columns: 80, rows: 24)
    var state = TopState(delay: .seconds(2))
    for _ in 0..<3 { _ = state.press(.tab, snapshot, size) }
    for key: Keystroke in [.character("b"), .character("x"), .enter] { _ = state.press(key, snapshot, size) }
    #expect(state.mode == .span(key: "user:a", text: "1hx"))
    #expect(state.message?.contains("not a time span") == true)
  }

  @Test("The same rule on the same key is one line, the latest first, and the list is bounded")
  func recent() {
    var recent = Recent()
    for number in 0..<1_000 {
      for key in ["user:a", "user:\(number)"] {
        let notice = EventRecord.NoticeRecord(
          kind: "refused", rule: "cap", key: key, reason: "", until: "", command: nil)
        recent.take(
          .event(
            EventRecord(
              at: "", stage: "mail", source: "milter", decision: "refused", queue_id: nil, ip: nil, network: nil,
              user: nil, sender: nil, helo: nil, recipients: 0, counted: [:], rule: nil, key: nil, reason: nil,
              until: nil, notices: [notice])))
      }
    }
    #expect(recent.happenings.count == Recent.most)
    #expect(recent.happenings[0].key == "user:999")
    #expect(recent.happenings[1].key == "user:a" && recent.happenings[1].times == 1_000)
  }

  @Test("Numbers take five columns at most")
  func short() {
    for number in [0, 99_999, 100_000, 999_499, 999_500, 9_949_999, 9_950_000, 999_499_999, 999_500_000, Int.max] {
      #expect(Figures.short(number).count <= 5, "\(number): \(Figures.short(number))")
    }
    #expect(Figures.short(123_456) == "123k" && Figures.short(4_510_000) == "4.5M")
  }
}

extension StatusReport {
  fileprivate func with(_ rates: [String: Rate]) -> StatusReport {
    StatusReport(
      version: version, pid: pid, started: started, uptime_seconds: uptime_seconds, policy_file: policy_file,
      last_reload: last_reload, sessions_open: sessions_open, totals: rates, rules: rules, penalties: penalties,
      keys: keys, memory_bytes: memory_bytes, memory_bound_bytes: memory_bound_bytes, watchers: watchers, state: state,
      alerts: alerts, feeds: feeds, distress: distress, faults: faults)
  }
}
