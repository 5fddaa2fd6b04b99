import ArgumentParser
import WardenCore

/// Random senders beyond number, against the bound of memory: what matters has to stay.
struct SprayBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "spray", abstract: "50 million random senders against a bound of 256 MB.")

  @Flag(help: "5 million against 64 MB.")
  var quick = false

  struct Broken: Error, CustomStringConvertible {
    let description: String
  }

  func run() throws {
    let bound = quick ? 64_000_000 : 256_000_000
    let sprayed = quick ? 5_000_000 : 50_000_000
    let limit = Limit(count: 100, window: .days(1))
    let engine = Engine(
      policy: Policy(
        rules: [
          Rule(
            name: "senders", count: .messages, per: KeyShape(.sender), limits: [limit],
            then: Consequences(refusal: .tempfail)),
          Rule(
            name: "addresses", count: .connections, per: KeyShape(.ip), limits: [limit],
            then: Consequences(block: Block([.days(3)]))),
        ], memory: bound))
    let start = Timestamp(microseconds: 1_800_000_000_000_000)
    let before = resident()

    var subject = Subject()
    func message(_ sender: String, at now: Timestamp) {
      subject.sender = sender
      _ = engine.decide(Event(at: now, step: .endOfMessage, subject: subject, wants: [.messages: 1]))
    }
    // A thousand that are half-way to their limit, and as many that are blocked.
    let busy = (0..<1_000).map { "busy\($0)@example.org" }
    for sender in busy { for _ in 0..<50 { message(sender, at: start) } }
    for index in 0..<1_000 {
      let address = IPAddress(v4: 0x0a00_0000 + UInt32(index))
      guard engine.block(Key(.ip(address)), for: .days(3), note: "bench", at: start) != nil else {
        throw Broken(description: "the penalty box has no room for 1,000")
      }
    }
    var random = SplitMix(state: 42)
    var largest = 0
    let time = CoreBench.time {
      for index in 0..<sprayed {
        let number = random.next()
        message(
          "\(String(number, radix: 36))@\(String(number >> 40, radix: 36)).example",
          at: start + .seconds(index / 20_000))
        if index % 1_000_000 == 0 { largest = max(largest, resident()) }
      }
    }
    largest = max(largest, resident())
    let end = start + .seconds(sprayed / 20_000)
    let kept = busy.filter { engine.standings(of: Key(.sender($0)), at: end).contains { $0.count == 50 } }.count
    let status = engine.status(at: end)
    print("sprayed            \(sprayed) senders, \(number(time / Double(sprayed))) ns each")
    print("bound              \(bound / 1_000_000) MB; counters take \(status.memory / 1_000_000) MB")
    print(
      "resident           \(largest / 1_000_000) MB at most (\(before / 1_000_000) MB before): "
        + "\(number(Double(largest) / Double(bound), 2)) of the bound")
    print("keys               \(status.keys) kept, \(status.evictedKeys) evicted")
    print("busy keys intact   \(kept) of \(busy.count)")
    print("penalties intact   \(status.penalties) of 1000")
    if largest > bound * 5 / 4 || kept < busy.count || status.penalties < 1_000 {
      throw Broken(description: "the bound or what matters was not kept")
    }
  }
}
