import MilterClient

/// The macros of one SMTP session as Postfix has them, up to the point that the session has reached.
struct SessionMacros {
  let client: Traffic.Client
  /// Set from MAIL on.
  var sender: String?
  /// Set from RCPT on.
  var recipient: (address: String, domain: String)?
  /// Set from the second RCPT or DATA on.
  var queueID: String?

  /// Those that Postfix sends at a stage (`SMFIM_`): what the filter asked for, or else its defaults.
  func values(at stage: Int32, for negotiated: MilterClient.Negotiated) -> MilterClient.Macros {
    (negotiated.macros[stage] ?? Self.defaults[stage] ?? []).compactMap { name in value(name).map { (name, $0) } }
  }

  private static let defaults: [Int32: [String]] = [
    0: ["j", "{daemon_name}", "{daemon_addr}", "v", "_"],
    2: ["i", "{auth_type}", "{auth_authen}", "{mail_addr}", "{mail_host}", "{mail_mailer}"],
    3: ["i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"],
    4: ["i"], 5: ["i"], 6: ["i"],
  ]

  private func value(_ name: String) -> String? {
    switch name {
    case "j": "mx.example"
    case "v": "Postfix 3.7.11"
    case "_": "\(client.name) [\(client.address)]"
    case "i": queueID
    case "{daemon_name}": "mx.example"
    case "{daemon_addr}": "203.0.113.1"
    case "{daemon_port}": "587"
    case "{client_addr}": client.address
    case "{client_name}", "{client_ptr}": client.name
    case "{client_port}": String(client.port)
    case "{client_resolve}": "OK"
    case "{client_connections}": "0"
    case "{auth_type}": sender != nil && client.login != nil ? "PLAIN" : nil
    case "{auth_authen}": sender == nil ? nil : client.login
    case "{mail_addr}": sender
    case "{mail_host}": sender == nil ? nil : "mail.example"
    case "{mail_mailer}", "{rcpt_mailer}": (name == "{mail_mailer}" ? sender : recipient?.address) == nil ? nil : "smtp"
    case "{rcpt_addr}": recipient?.address
    case "{rcpt_host}": recipient?.domain
    default: nil
    }
  }
}
