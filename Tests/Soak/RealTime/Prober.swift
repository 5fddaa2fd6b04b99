import WardenTestKit

/// Knocks from addresses that are blocked, without a pause: not one MAIL may be taken, by whichever MTA.
struct Prober {
  static let byRule = "127.0.66.1"
  static let byOrder = "127.0.66.2"

  let mta: MTA
  let books: PlayedBooks

  /// - Returns: what it was told; a reply to MAIL is good news for nobody but the abuser.
  func knock(from address: String) throws -> (isAccepted: Bool, words: String) {
    let client = try SMTPClient(port: mta.port, from: address)
    defer { client.drop() }
    books.note { $0.probes += 1 }
    if client.banner.code != 220 {
      // 421 is the penalty's word; where the daemon is away, an MTA greets and refuses later.
      if client.banner.code == 421 { books.note([.connections: 1]) }
      return (false, "\(client.banner.code) \(client.banner.text)")
    }
    try client.command("EHLO robot.test")
    let reply = try client.command("MAIL FROM:<robot@far.test>")
    _ = try? client.command("QUIT")
    return (reply.code < 400, "\(reply.code) \(reply.text)")
  }
}
