// A whole milter in one file: it adds `X-Recipients: n` to each message, tells senders without a domain to try again
// later, and refuses more recipients than it is told.
//
//     recipient-count unix:/run/recipient-count.sock 50
import Glibc
import Milter

final class RecipientCount: MilterSession {
  private let most: Int
  private var recipients = 0
  private static let macros: MacroLists = [.mail: [.authUser]]

  /// Made when an MTA opens a session; settles what this milter wants to see and do.
  init(most: Int, _ negotiation: inout Negotiation) {
    self.most = most
    negotiation.stages = [.mail, .recipient]  // and the end of the message, which always comes
    negotiation.actions = .addHeaders
    negotiation.macros = Self.macros
  }

  func mail(_ sender: EnvelopeArguments, _ context: Context) throws -> Answer {
    recipients = 0
    guard sender.path.contains("@") || sender.path == "<>" || context.value(.authUser) != nil else {
      return .refuse(
        try SMTPReply(code: 451, enhancedCode: "4.1.8", lines: ["Who is \(sender.path)?", "Try again later."]))
    }
    return .continue
  }

  func recipient(_ recipient: EnvelopeArguments, _ context: Context) throws -> Answer {
    guard recipients < most else {
      return .refuse(
        try SMTPReply(code: 550, enhancedCode: "5.5.3", lines: ["\(most) recipients are 100% of what is allowed"]))
    }
    recipients += 1
    return .continue
  }

  func endOfMessage(_ context: Context) throws -> Answer {
    try context.addHeader("X-Recipients", String(recipients))
    return .continue
  }
}

@Sendable func complain(_ text: String) {
  _ = "recipient-count: \(text)\n".withCString { write(STDERR_FILENO, $0, strlen($0)) }
}

// libmilter takes SIGTERM as the order to stop.
guard CommandLine.arguments.count == 3, let most = Int(CommandLine.arguments[2]) else {
  complain("usage: recipient-count SOCKET MOST-RECIPIENTS")
  exit(64)
}
do {
  let server = MilterServer(
    name: "recipient-count", socket: try MilterSocket(CommandLine.arguments[1]),
    reportFault: { fault, _ in complain("\(fault)") },
    makeSession: { RecipientCount(most: most, &$0) })
  try server.open()
  try server.run()
} catch {
  complain("\(error)")
  exit(1)
}
