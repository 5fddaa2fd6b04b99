import Foundation
import MilterClient
import WardenTestKit

/// Plays whole sessions in the milter protocol, faster than any MTA.
struct MilterPlayer {
  static let users = 200

  let socket: String
  let books: PlayedBooks
  let absence: Absence

  /// - Returns: false where nobody was there.
  func play(number: Int) throws -> Bool {
    let before = absence.mark
    let client: MilterClient
    do {
      client = try MilterClient(.unix(socket))
      try client.negotiate()
    } catch {
      guard absence.wasAway(since: before) else {
        throw SMTPPlayer.Broken(description: "the milter socket: \(error)")
      }
      return false
    }
    do {
      try perform(client, number)
    } catch {
      throw SMTPPlayer.Broken(description: "a milter session: \(error)")
    }
    return true
  }

  private func perform(_ client: MilterClient, _ number: Int) throws {
    try expect(client.connect(address: .ipv4("198.51.\(number % 4).\(number % 250 + 1)", port: 40_000)))
    books.note([.connections: 1])
    _ = try client.helo("client\(number % 50).test")
    let user = "m\(number % Self.users)"
    switch number % 8 {
    case 0: books.note([.brokenConnections: 1])
    case 1:
      try mail(client, user)
      _ = try client.recipient("<friend@far.test>", macros: Self.recipientMacros)
      _ = try client.data()
      books.note([.cutOffMessages: 1])
      try client.abort()
    case 2:
      try mail(client, user)
      try client.abort()
      // Goes on, so that nothing was cut off.
      _ = try client.unknown("XYZZY")
      books.note([.badCommands: 1])
    default:
      try mail(client, user)
      for message in 0..<number % 3 + 1 {
        if message > 0 { try expect(client.mail("<\(user)@b.test>", macros: [("{auth_authen}", user)])) }
        let recipients = number % 5 + 1
        for recipient in 0..<recipients {
          _ = try client.recipient("<friend\(recipient)@far.test>", macros: Self.recipientMacros)
        }
        _ = try client.data()
        _ = try client.header("Subject", "test")
        _ = try client.endOfHeaders()
        _ = try client.body([UInt8](repeating: 120, count: 300))
        try expect(client.endOfMessage(macros: [("i", "M\(number)")]))
        books.note { pages in
          pages.figures[.messages, default: 0] += 1
          pages.figures[.submissions, default: 0] += 1
          pages.figures[.recipients, default: 0] += recipients
          pages.users[user, default: 0] += 1
        }
      }
    }
    try client.quit()
    client.close()
  }

  private static let recipientMacros = [(name: "{rcpt_mailer}", value: "smtp"), (name: "i", value: "Q")]

  private func mail(_ client: MilterClient, _ user: String) throws {
    try expect(client.mail("<\(user)@b.test>", macros: [("{auth_authen}", user)]))
    books.note([.logins: 1])
  }

  private func expect(_ response: MilterClient.Response) throws {
    if response.isRefusal { throw SMTPPlayer.Broken(description: "refused: \(response)") }
  }
}
