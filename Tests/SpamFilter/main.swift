// A milter for the tests that refuses each message whose subject has a mark in it, at its end and in the words of
// SpamAssassin's milter.
//
//     spam-filter unix:/run/spam-filter.sock SPAMTEST
import Glibc
import Milter

final class SpamFilter: MilterSession {
  private let mark: String
  private var isSpam = false

  init(mark: String, _ negotiation: inout Negotiation) {
    self.mark = mark
    negotiation.stages = [.mail, .header]  // and the end of the message, which always comes
  }

  func mail(_ sender: EnvelopeArguments, _ context: Context) throws -> Answer {
    isSpam = false
    return .continue
  }

  func header(_ name: UnsafePointer<CChar>, _ value: UnsafePointer<CChar>, _ context: Context) throws -> Answer {
    if strcasecmp(name, "Subject") == 0, strstr(value, mark) != nil { isSpam = true }
    return .continue
  }

  func endOfMessage(_ context: Context) throws -> Answer {
    guard isSpam else { return .continue }
    return .refuse(try SMTPReply(code: 550, enhancedCode: "5.7.1", lines: ["Blocked by SpamAssassin"]))
  }
}

@Sendable func complain(_ text: String) {
  _ = "spam-filter: \(text)\n".withCString { write(STDERR_FILENO, $0, strlen($0)) }
}

guard CommandLine.arguments.count == 3 else {
  complain("usage: spam-filter SOCKET MARK")
  exit(64)
}
let mark = CommandLine.arguments[2]
do {
  let server = MilterServer(
    name: "spam-filter", socket: try MilterSocket(CommandLine.arguments[1]),
    reportFault: { fault, _ in complain("\(fault)") },
    makeSession: { SpamFilter(mark: mark, &$0) })
  try server.open()
  try server.run()
} catch {
  complain("\(error)")
  exit(1)
}
