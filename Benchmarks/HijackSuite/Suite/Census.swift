import HijackTraffic

/// What the traffic consists of.
struct Census {
  private let traffic: Traffic

  init(_ traffic: Traffic) { self.traffic = traffic }

  var table: Table {
    var counts: [String: (messages: Int, recipients: Int, refused: Int)] = [:]
    for mail in traffic.mail where mail.at >= Traffic.warmUpEnd {
      let name =
        switch mail.origin {
        case .honest(let occasion): "\(traffic.accounts[mail.account].kind.rawValue): \(occasion.rawValue)"
        case .hijack(let number): "hijack: \(traffic.hijacks[number].style.rawValue)"
        }
      counts[name, default: (0, 0, 0)].messages += 1
      counts[name]!.recipients += mail.recipients.count
      counts[name]!.refused += mail.recipients.count { $0.isRefused }
    }
    var table = Table(
      title:
        "Seed \(traffic.seed), digest \(String(traffic.digest, radix: 16)), \(traffic.mail.count) messages with the warm-up",
      head: ["origin", "messages", "recipients", "refused by the MTA"])
    for (name, count) in counts.sorted(by: { $0.key < $1.key }) {
      table.rows.append([name, "\(count.messages)", "\(count.recipients)", "\(count.refused)"])
    }
    return table
  }
}
