import ArgumentParser
import WardenCore

/// Messages through the engine under policies of different size, interleaved.
struct EngineBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "engine", abstract: "Messages a second through the engine with 1, 10 and 50 rules.")

  @Flag(help: "Fewer messages.")
  var quick = false

  /// Rules as a large site has them: most are about somebody or something else than the message in hand.
  private static func policy(_ count: Int) -> Policy {
    let user = KeyShape(.user)
    let cap = Consequences(refusal: .tempfail)
    var rules = [
      Rule(name: "cap", count: .messages, per: user, limits: [Limit(count: 1_000_000, window: .hours(1))], then: cap)
    ]
    for index in 1..<max(2, count) where rules.count < count {
      let limits = [Limit(count: 1_000_000, window: .hours(1))]
      switch index % 5 {
      case 0:
        rules.append(Rule(name: "r\(index)", count: .recipients, per: user, limits: limits, then: cap))
      case 1:
        rules.append(
          Rule(
            name: "r\(index)", per: KeyShape(.senderDomain), parts: [Part(.measure(.signal(.messages)), limits)],
            filter: Filter(only: [.senderDomain("customer\(index).example")]), then: cap))
      case 2:
        rules.append(
          Rule(
            name: "r\(index)", per: user, parts: [Part(.measure(.signal(.messages)), limits)],
            filter: Filter(only: [.daemon("submission\(index)")]), then: cap))
      case 3:
        rules.append(Rule(name: "r\(index)", count: .badCommands, per: KeyShape(.ip), limits: limits, then: cap))
      default:
        rules.append(
          Rule(
            name: "r\(index)", per: user, parts: [Part(.measure(.signal(.messages)), limits)],
            filter: Filter(only: [.user("vip\(index)@example.org")]), then: cap))
      }
    }
    return Policy(rules: rules)
  }

  func run() throws {
    let counts = [1, 10, 50]
    let engines = counts.map { Engine(policy: Self.policy($0)) }
    var times = Array(repeating: 0.0, count: counts.count)
    let each = 10_000
    let rounds = quick ? 10 : 50
    for round in 0..<rounds {
      for (place, engine) in engines.enumerated() {
        var sessions = (0..<each).map { _ in SMTPSession(SMTPSession.Setup(needs: engine.needs)) }
        let now = Timestamp(microseconds: 1_800_000_000_000_000 + round * 1_000_000)
        for index in sessions.indices {
          _ = sessions[index].connect(
            at: now, address: IPAddress(v4: 0x0a00_0000 + UInt32(index)), port: 1, host: nil, daemon: "MSA")
        }
        times[place] += try nanoseconds(throwing: {
          for index in sessions.indices {
            _ = engine.decide(
              try sessions[index].mail(
                at: now, sender: "<user\(index % 1_000)@example.org>", login: "user\(index % 1_000)@example.org"))
            _ = engine.decide(try sessions[index].endOfMessage(at: now, refusals: nil))
          }
        })
      }
    }
    print("rules   ns a message   messages/s   to one rule")
    for (place, count) in counts.enumerated() {
      let time = times[place] / Double(rounds * each)
      print(
        column("\(count)", 5), column(number(time), 14), column(number(1e9 / time), 12),
        column(number(times[place] / times[0], 2), 13))
    }
  }

  private func nanoseconds(throwing work: () throws -> Void) throws -> Double {
    var failure: (any Error)?
    let time = CoreBench.time { do { try work() } catch { failure = error } }
    if let failure { throw failure }
    return time
  }
}
