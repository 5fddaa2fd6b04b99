import Foundation
import WardenCore
import WardenTestKit

/// Plays whole SMTP sessions to a real MTA, one after the other, and enters in the books what it was answered.
struct SMTPPlayer {
  enum Play: CaseIterable {
    case mail, strangersMail, capped, paced, unknownRecipient, relaying, cutOff, reset, guess
    /// The daemon alone can tell that such a session was there: none is played while it is away.
    case broken
  }

  /// A reply that nothing explains: the session was broken.
  struct Broken: Error, CustomStringConvertible {
    let description: String
  }
  /// The MTA had to answer by itself.
  private struct Unfiltered: Error {}

  static let paceLimit = 12
  static let cap = 25

  let mta: MTA
  let address: String
  let books: PlayedBooks
  /// Of the daemon, and of a Postfix that reloads.
  let absence: Absence
  let reloading: Absence

  static func plays(on kind: MTA.Kind) -> [Play] {
    // Sendmail refuses recipients by itself without a word, and nobody follows its log.
    kind == .postfix ? Play.allCases : [.mail, .strangersMail, .capped, .paced, .cutOff, .reset, .broken]
  }

  func play(_ play: Play, number: Int) throws {
    let before = absence.mark
    do {
      try perform(play, number)
    } catch is Unfiltered where absence.wasAway(since: before) {
      books.note { $0.unfiltered += 1 }
    } catch is Unfiltered {
      throw Broken(description: "\(mta.kind), \(play): the MTA answered by itself, with the daemon there")
    } catch let broken as Broken {
      throw broken
    } catch {
      throw Broken(description: "\(mta.kind), \(play): \(error)")
    }
  }

  /// Nothing where a Postfix that is just being reloaded lets a connection go that it has not greeted, nor shown to anybody:
  /// else the daemon's count of connections would tell.
  private func connect() throws -> SMTPClient? {
    let before = reloading.mark
    do { return try SMTPClient(port: mta.port, from: address) } catch {
      guard reloading.wasAway(since: before) else { throw error }
      return nil
    }
  }

  private func perform(_ play: Play, _ number: Int) throws {
    guard let client = try connect() else { return }
    defer { client.drop() }
    guard client.banner.code == 220 else {
      // Nobody who plays here is blocked.
      if client.banner.code / 100 == 4 { throw Unfiltered() }
      throw Broken(description: "\(mta.kind), \(play): greeted with \(client.banner)")
    }
    try expect([250], client.command("EHLO client.test"), "EHLO")
    var figures: PlayedBooks.Figures = [.connections: 1]
    switch play {
    case .mail:
      let user = ["alice", "bob", "carol", "dave"][number % 4]
      try logIn(client, user)
      for message in 0...(number % 3) {
        try begin(client, user, isFirst: message == 0, &figures)
        let recipients = number % 2 == 0 ? ["alice@local.test"] : ["bob@local.test", "friend@far.test"]
        for recipient in recipients { try expect([250], client.command("RCPT TO:<\(recipient)>"), "RCPT") }
        try expect([250], client.message(bytes: 500), "the end of a message")
        enter(message: user, recipients: recipients.count)
      }
    case .strangersMail:
      try begin(client, nil, isFirst: true, &figures)
      try expect([250], client.command("RCPT TO:<alice@local.test>"), "RCPT")
      try expect([250], client.message(bytes: 500), "the end of a message")
      enter(message: nil, recipients: 1)
    case .capped, .paced:
      let user = play == .capped ? "frank" : "erin"
      try logIn(client, user)
      let tried = ContinuousClock.now
      let mail = try client.command("MAIL FROM:<\(user)@local.test>")
      if mail.code == 450, mail.text.contains("\(user): ") {
        figures.merge([.logins: 1], uniquingKeysWith: +)
        books.note(figures)
        figures = [:]
        try refused(user, tried)
        break
      }
      if mail.code / 100 == 4 { throw Unfiltered() }
      try expect([250], mail, "MAIL")
      books.note([.connections: 1, .logins: 1])
      figures = [:]
      try expect([250], client.command("RCPT TO:<alice@local.test>"), "RCPT")
      let sent = ContinuousClock.now
      let end = try client.message(bytes: 500)
      // Others were faster.
      if end.code == 450, end.text.contains("\(user): ") { break }
      try expect([250], end, "the end of a message")
      enter(message: user, recipients: 1)
      if play == .paced {
        let passed = PlayedBooks.Passed(sent: sent, answered: .now)
        books.note { $0.paced[$0.paced.count - 1].append(passed) }
      }
    case .unknownRecipient, .relaying:
      try begin(client, nil, isFirst: true, &figures)
      let isRelaying = play == .relaying
      try expect(
        [550, 554], client.command("RCPT TO:<\(isRelaying ? "victim@far.test" : "nobody@local.test")>"), "a bad RCPT")
      books.note([.badRecipients: 1, isRelaying ? .relayAttempts : .unknownRecipients: 1])
      try expect([250], client.command("RSET"), "RSET")
    case .cutOff:
      try begin(client, nil, isFirst: true, &figures)
      try expect([250], client.command("RCPT TO:<alice@local.test>"), "RCPT")
      try expect([354], client.command("DATA"), "DATA")
      try client.sendBytes("Subject: half\r\n\r\nhal")
      books.note([.cutOffMessages: 1])
      return
    case .reset:
      try begin(client, nil, isFirst: true, &figures)
      try expect([250], client.command("RCPT TO:<alice@local.test>"), "RCPT")
      try expect([250], client.command("RSET"), "RSET")
    case .guess:
      let reply = try client.logIn("carol", password: "guess\(number)")
      if reply.code / 100 == 4 { throw Unfiltered() }
      try expect([535], reply, "a wrong password")
      // The log tells of it, whether the daemon is there or not.
      books.note { pages in
        pages.figures[.authFailures, default: 0] += 1
        pages.guesses[address, default: 0] += 1
      }
      try begin(client, nil, isFirst: true, &figures)
      try expect([250], client.command("RSET"), "RSET")
    case .broken: figures[.brokenConnections] = 1
    }
    books.note(figures)
    try expect([221], client.command("QUIT"), "QUIT")
  }

  private func logIn(_ client: SMTPClient, _ user: String) throws {
    let reply = try client.logIn(user, password: "secret-\(user)")
    if reply.code / 100 == 4 { throw Unfiltered() }
    try expect([235], reply, "AUTH")
  }

  /// MAIL; from here on the daemon has the session.
  private func begin(
    _ client: SMTPClient, _ user: String?, isFirst: Bool, _ figures: inout PlayedBooks.Figures
  ) throws {
    let reply = try client.command("MAIL FROM:<\(user ?? "someone")@\(user == nil ? "far" : "local").test>")
    if isFirst, reply.code / 100 == 4 { throw Unfiltered() }
    try expect([250], reply, "MAIL")
    if isFirst {
      if user != nil { figures[.logins] = 1 }
      books.note(figures)
    }
    figures = [:]
  }

  private func enter(message user: String?, recipients: Int) {
    books.note { pages in
      pages.figures[.messages, default: 0] += 1
      pages.figures[.recipients, default: 0] += recipients
      guard let user else { return }
      pages.figures[.submissions, default: 0] += 1
      pages.users[user, default: 0] += 1
    }
  }

  /// Whether a refusal is due.
  private func refused(_ user: String, _ tried: ContinuousClock.Instant) throws {
    let pages = books.now
    if user == "frank" {
      // One message may be on its way from every player.
      guard pages.users[user, default: 0] >= Self.cap - 8 else {
        throw Broken(description: "frank was refused after \(pages.users[user, default: 0]) messages")
      }
      return
    }
    let lately = pages.paced.joined().count { $0.answered >= tried - .seconds(61) }
    // The answer may be on its way that fills the limit.
    guard lately >= Self.paceLimit - 8 else {
      throw Broken(description: "erin was refused after \(lately) messages in the last 61 s")
    }
  }

  private func expect(_ codes: [Int], _ reply: SMTPClient.Reply, _ what: String) throws {
    guard codes.contains(reply.code) else {
      throw Broken(description: "\(mta.kind), \(what): \(reply.code) \(reply.text)")
    }
  }
}

/// When the daemon is not there, as announced.
final class Absence: Sendable {
  struct Mark: Equatable { var number = 0, isAway = false }
  private let state = Locked(Mark())
  var mark: Mark { state.withLock { $0 } }
  func begin() { state.withLock { $0 = Mark(number: $0.number + 1, isAway: true) } }
  func end() { state.withLock { $0.isAway = false } }
  func wasAway(since mark: Mark) -> Bool { mark.isAway || self.mark != mark }
}
