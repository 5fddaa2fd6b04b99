import ArgumentParser
import Foundation
import WardenCore
import WardenFeeds

/// Lines to facts.
struct Parse: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Read a log's lines.")

  @Argument(help: "The log.")
  var file: String

  func run() throws {
    var understood = 0
    let reading = try Reading(file) { _, _ in understood += 1 }
    print("\(reading): \(understood) understood")
  }
}

/// Lines to events.
struct Join: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Read a log's lines and join them to events.")

  @Argument(help: "The log.")
  var file: String
  @Flag(help: "Only what the milter cannot see.")
  var live = false
  @Flag(help: "Also take out what is told twice.")
  var sieve = false

  func run() throws {
    var joiner = LogJoiner(live ? .live : .replay, SMTPSession.Setup(realms: LocalRealms(listed: ["example.org"])))
    var sieve = EventSieve()
    var events = 0
    var steps = Array(repeating: 0, count: Step.allCases.count)
    let isSieved = self.sieve
    func tell(_ event: Event, _ teller: Teller) -> Bool {
      if isSieved {
        sieve.sift(event, from: teller) {
          events += 1; steps[Int($0.step.rawValue)] += 1
        }
      } else {
        events += 1
        steps[Int(event.step.rawValue)] += 1
      }
      return true
    }
    let reading = try Reading(file) { joiner.join($0, $1, tell) }
    joiner.finish(tell)
    let counts = Step.allCases.map { "\($0.name) \(steps[Int($0.rawValue)])" }.joined(separator: ", ")
    print("\(reading): \(events) events (\(counts)), \(joiner.dropped) forgotten")
  }
}

/// A pass through a log, and the processor's time that it took: other programs may be busy, too.
private struct Reading: CustomStringConvertible {
  private var lines = 0
  private var seconds = 0.0

  init(_ file: String, _ body: (LogHeader, LogFact) -> Void) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: file), options: .alwaysMapped)
    var reader = LogHeaderReader(zone: TimeZone(identifier: "UTC")!, newest: Timestamp(microseconds: .max / 2))
    let start = clock()
    data.withUnsafeBytes { bytes in
      var start = 0
      while start < bytes.count, let newline = memchr(bytes.baseAddress! + start, 10, bytes.count - start) {
        let end = UnsafeRawPointer(newline) - bytes.baseAddress!
        lines += 1
        if let header = reader.read(UnsafeRawBufferPointer(rebasing: bytes[start..<end])),
          let fact = LogGrammar.read(header)
        {
          body(header, fact)
        }
        start = end + 1
      }
    }
    seconds = Double(clock() - start) / Double(CLOCKS_PER_SEC)
  }

  var description: String {
    "\(lines) lines in \(String(format: "%.3f", seconds)) s, \(Int(Double(lines) / seconds)) lines/s"
  }
}
