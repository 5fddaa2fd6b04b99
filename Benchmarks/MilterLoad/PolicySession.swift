import MilterClient

/// What Postfix asks a policy server about one SMTP session.
struct PolicySession {
  private let client: PolicyClient
  private let caller: Traffic.Client
  private var traffic: Traffic

  /// Plays the whole session: asks once a message, at DATA, or else for each recipient.
  static func play(
    over client: PolicyClient, atData: Bool, shape: Scenario, seed: UInt64, into tally: inout Tally
  ) throws(MilterClientError) {
    var traffic = Traffic(seed: seed)
    var session = PolicySession(client: client, caller: traffic.client(), traffic: traffic)
    for _ in 0..<shape.messages {
      let passes = try session.message(recipients: shape.recipients, atData: atData, &tally)
      tally.messages += 1
      if !passes { tally.stoppedMessages += 1 }
    }
  }

  private mutating func message(
    recipients: Int, atData: Bool, _ tally: inout Tally
  ) throws(MilterClientError) -> Bool {
    let queueID = traffic.queueID()
    if atData {
      // Postfix names the recipient only where there is a single one.
      let recipient = recipients == 1 ? recipient() : ""
      return try ask(("DATA", recipient, recipients, queueID), &tally)
    }
    var passes = false
    for number in 0..<recipients where try ask(("RCPT", recipient(), 0, number == 0 ? "" : queueID), &tally) {
      passes = true
    }
    return passes
  }

  private mutating func recipient() -> String {
    let domain = traffic.recipientDomain()
    return "\(traffic.recipientName())@\(domain)"
  }

  private typealias Request = (stage: String, recipient: String, count: Int, queueID: String)

  private func ask(_ request: Request, _ tally: inout Tally) throws(MilterClientError) -> Bool {
    let attributes = attributes(request)
    let start = nanoseconds()
    let action = try client.ask(attributes)
    tally.latencies.append(UInt32(clamping: nanoseconds() - start))
    // `dunno` and `ok`, in any case of letters; all else holds the mail up.
    let passes = ["dunno", "ok"].contains(action.lowercased())
    if passes { tally.verdicts.continued += 1 } else { tally.verdicts.refused += 1 }
    return passes
  }

  /// Those of Postfix 3.7, in its order.
  private func attributes(_ request: Request) -> [(String, String)] {
    [
      ("request", "smtpd_access_policy"), ("protocol_state", request.stage), ("protocol_name", "ESMTP"),
      ("client_address", caller.address), ("client_name", caller.name), ("client_port", String(caller.port)),
      ("reverse_client_name", caller.name), ("server_address", "203.0.113.1"), ("server_port", "587"),
      ("helo_name", caller.name), ("sender", caller.sender), ("recipient", request.recipient),
      ("recipient_count", String(request.count)), ("queue_id", request.queueID),
      ("instance", "123.\(caller.port).0"), ("size", "2900"), ("etrn_domain", ""), ("stress", ""),
      ("sasl_method", caller.login == nil ? "" : "PLAIN"), ("sasl_username", caller.login ?? ""),
      ("sasl_sender", ""), ("ccert_subject", ""), ("ccert_issuer", ""), ("ccert_fingerprint", ""),
      ("ccert_pubkey_fingerprint", ""), ("encryption_protocol", ""), ("encryption_cipher", ""),
      ("encryption_keysize", "0"), ("policy_context", ""),
    ]
  }
}
