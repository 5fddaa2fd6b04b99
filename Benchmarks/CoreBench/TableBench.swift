import ArgumentParser
import Foundation
import WardenCore

/// The table of keys beside Swift's dictionary with the same payload, in one interleaved run.
struct TableBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "table", abstract: "Nanoseconds an update and bytes a key, beside a dictionary; then by threads.")

  @Flag(help: "1 k and 1 M keys only.")
  var quick = false
  @Option(help: "So many keys instead.")
  var keys: [Int] = []
  @Option(help: "How often each key is seen in the second row.")
  var seen = 50

  /// What one counter of one key is: the slot in hand, and those before it.
  private struct Payload {
    struct Slot {
      var number: Int
      var count: Int
    }
    var last: Slot
    var before: [Slot] = []
  }

  private static let window = TimeSpan.hours(2)
  private static let start = Timestamp(microseconds: 1_800_000_000_000_000)
  private static let meter = Meter.count(window: window, limit: 25)
  private static let layout = Shard.Layout(meters: [meter])
  private static let chunk = 10_000

  /// 25 bytes, as logins are.
  private static func name(_ index: Int) -> String {
    let digits = String(index)
    return "user" + String(repeating: "0", count: 9 - digits.count) + digits + "@example.org"
  }

  func run() {
    say("keys       seen   table ns  dictionary ns  ratio   table B/key  dictionary B/key")
    let all = quick ? [1_000, 1_000_000] : [1_000, 1_000_000, 10_000_000]
    for count in keys.isEmpty ? all : keys { compare(count) }
    threads()
  }

  private func compare(_ count: Int) {
    let table = KeyTable(bound: 16_000_000_000)
    var tableBytes = 0
    var dictionaryBytes = 0
    var dictionary: [String: Payload] = [:]
    for (seen, rounds) in [(1, 0..<1), (seen, 1..<seen)] {
      var (own, other, updates) = (0.0, 0.0, 0)
      for round in rounds {
        // 50 times within an hour: a handful of slots.
        let now = Self.start + .seconds(round * 3600 / seen)
        for from in stride(from: 0, to: count, by: Self.chunk) {
          let names = (from..<min(count, from + Self.chunk)).map { Self.name(scattered($0, of: count)) }
          let keys = names.map { Key(.user($0)) }
          let was = resident()
          own += nanoseconds { for key in keys { Self.update(table, key, now) } }
          let afterTable = resident()
          other += nanoseconds { for name in names { Self.update(&dictionary, name, now) } }
          tableBytes += afterTable - was
          dictionaryBytes += resident() - afterTable
          updates += keys.count
        }
      }
      say(
        column("\(count)", 10), column("\(seen)", 5), column(number(own / Double(updates)), 10),
        column(number(other / Double(updates)), 14), column(number(own / other, 2), 6),
        column(number(Double(tableBytes) / Double(count)), 13),
        column(number(Double(dictionaryBytes) / Double(count)), 17)
      )
    }
    withExtendedLifetime(table) {}
  }

  private static func update(_ table: KeyTable, _ key: Key, _ now: Timestamp) {
    table.with(key, at: now) { held, name, names in
      guard let record = held.record(for: name, in: names, roomFor: 1, layout) else { return }
      var cells = record.cells
      meter.add(1, to: &cells, at: now)
      record.cells = cells
    }
  }

  private static func update(_ dictionary: inout [String: Payload], _ name: String, _ now: Timestamp) {
    let slot = now.microseconds * 60 / window.microseconds
    guard let place = dictionary.index(forKey: name) else {
      dictionary[name] = Payload(last: .init(number: slot, count: 1))
      return
    }
    if dictionary.values[place].last.number == slot {
      dictionary.values[place].last.count += 1
    } else {
      dictionary.values[place].before.append(dictionary.values[place].last)
      dictionary.values[place].last = .init(number: slot, count: 1)
    }
  }

  // MARK: - Threads

  private func threads() {
    let count = 1_000_000
    let each = quick ? 1_000_000 : 4_000_000
    let table = KeyTable(bound: 1_000_000_000)
    let keys = (0..<10_000).map { Key(.user(Self.name($0 * (count / 10_000)))) }
    say("\nthreads   million updates/s")
    for threads in [1, 2, 4, 8, 16, 32, 64] {
      let time = nanoseconds {
        DispatchQueue.concurrentPerform(iterations: 1) { _ in
          let group = DispatchGroup()
          for thread in 0..<threads {
            group.enter()
            Thread.detachNewThread {
              var random = SplitMix(state: UInt64(thread))
              for _ in 0..<each / threads {
                Self.update(table, keys[Int(random.next() % UInt64(keys.count))], Self.start)
              }
              group.leave()
            }
          }
          group.wait()
        }
      }
      say(column("\(threads)", 7), column(number(Double(each) / time * 1e3, 2), 19))
    }
  }
}
