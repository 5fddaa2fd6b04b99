import MilterClient

/// One SMTP session from connect to quit, over a milter connection of its own.
struct SMTPSession {
  private let client: MilterClient
  private let negotiated: MilterClient.Negotiated
  private var traffic: Traffic
  private var macros: SessionMacros

  /// Plays the whole session. A fault ends it; the messages not yet sent then remain uncounted.
  static func play(at place: MilterPlace, shape: Scenario, seed: UInt64, into tally: inout Tally) {
    do {
      var session = try SMTPSession(place, seed: seed, &tally)
      try session.run(shape, &tally)
    } catch {
      tally.faults.append("\(error)")
    }
  }

  private init(_ place: MilterPlace, seed: UInt64, _ tally: inout Tally) throws(MilterClientError) {
    client = try MilterClient(place)
    let start = nanoseconds()
    negotiated = try client.negotiate()
    tally.latencies.append(UInt32(clamping: nanoseconds() - start))
    traffic = Traffic(seed: seed)
    macros = SessionMacros(client: traffic.client())
  }

  private mutating func run(_ shape: Scenario, _ tally: inout Tally) throws(MilterClientError) {
    let greeting = try greet(&tally)
    var left = shape.messages
    if greeting == .onward {
      while left > 0 {
        left -= 1
        let course = try message(recipients: shape.recipients, &tally)
        tally.messages += 1
        if course != .onward { tally.stoppedMessages += 1 }
        if course == .hungUp { break }
      }
    }
    // After a refusal of the client these are refused, after its acceptance the filter does not see them.
    tally.messages += left
    if greeting != .unwatched { tally.stoppedMessages += left }
    try client.quit()
  }

  private func greet(_ tally: inout Tally) throws(MilterClientError) -> Tally.Course {
    let caller = macros.client
    let course = try tally.measure { () throws(MilterClientError) in
      try client.connect(
        host: caller.name, address: .ipv4(caller.address, port: caller.port),
        macros: macros.values(at: 0, for: negotiated))
    }
    guard course == .onward else { return course }
    return try tally.measure { () throws(MilterClientError) in
      try client.helo(caller.name, macros: macros.values(at: 1, for: negotiated))
    }
  }

  /// Returns `onward` for a message that is let through.
  private mutating func message(recipients: Int, _ tally: inout Tally) throws(MilterClientError) -> Tally.Course {
    macros.sender = macros.client.sender
    defer {
      macros.sender = nil
      macros.recipient = nil
      macros.queueID = nil
    }
    let course = try envelope(recipients: recipients, &tally)
    guard course == .onward else { return course == .unwatched ? .onward : course }
    let verdict = try content(&tally)
    return verdict == .unwatched ? .onward : verdict
  }

  private mutating func envelope(recipients: Int, _ tally: inout Tally) throws(MilterClientError) -> Tally.Course {
    let sender = macros.client.sender
    let course = try tally.measure { [macros] () throws(MilterClientError) in
      try client.mail("<\(sender)>", arguments: ["SIZE=2900"], macros: macros.values(at: 2, for: negotiated))
    }
    guard course == .onward else { return course }
    var taken = 0
    for number in 0..<recipients {
      if number == 1 { macros.queueID = traffic.queueID() }
      let domain = traffic.recipientDomain()
      let address = "\(traffic.recipientName())@\(domain)"
      macros.recipient = (address, domain)
      let course = try tally.measure { [macros] () throws(MilterClientError) in
        try client.recipient("<\(address)>", macros: macros.values(at: 3, for: negotiated))
      }
      switch course {
      case .onward: taken += 1
      case .refused: break
      case .unwatched, .hungUp: return course
      }
    }
    if taken > 0 { return .onward }
    try client.abort()
    return .refused
  }

  private mutating func content(_ tally: inout Tally) throws(MilterClientError) -> Tally.Course {
    macros.recipient = nil
    if macros.queueID == nil { macros.queueID = traffic.queueID() }
    let client = client
    let (data, end, headersEnd) = (values(4), values(5), values(6))

    var course = try tally.measure { () throws(MilterClientError) in try client.data(macros: data) }
    for (name, value) in Message.headers where course == .onward {
      course = try tally.measure { () throws(MilterClientError) in try client.header(name, value) }
    }
    if course == .onward {
      course = try tally.measure { () throws(MilterClientError) in try client.endOfHeaders(macros: headersEnd) }
    }
    if course == .onward {
      course = try tally.measure { () throws(MilterClientError) in try client.body(Message.body) }
    }
    if course == .onward {
      course = try tally.measure { () throws(MilterClientError) in try client.endOfMessage(macros: end) }
    }
    return course
  }

  private func values(_ stage: Int32) -> MilterClient.Macros { macros.values(at: stage, for: negotiated) }
}
