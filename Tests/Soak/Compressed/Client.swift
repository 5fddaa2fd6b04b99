import WardenCore

/// Somebody who comes again and again, and what they are doing now.
struct Client {
  enum Kind {
    /// A person, from two addresses of one network.
    case person(user: Int)
    /// Somebody with a user's password, from anywhere, as fast as it goes.
    case hijacker(user: Int)
    /// Connects and leaves.
    case robot
    /// Tries names.
    case harvester
    /// Tries passwords, of which a feed tells.
    case guesser
    /// Another address each time.
    case stranger
    /// Knocks once, just before or just after the end of a block.
    case witness
  }

  let kind: Kind
  var address: UInt32
  var visit: Visit?

  /// A session under way.
  struct Visit {
    enum Stage { case greeting, mail, recipients(left: Int), message, leaving }
    var session: SMTPSession
    var stage = Stage.greeting
    var messages: Int
    var recipients: Int
    var unknown = 0
    /// Whether to go away in the middle of the last message, and whether that has happened.
    var isCutOff = false
    var wasCutOff = false
    var accepted = 0
    var hadMail = false
    var hasLoggedIn = false
  }

  var user: Int? {
    switch kind {
    case .person(let user), .hijacker(let user): user
    case .robot, .harvester, .guesser, .stranger, .witness: nil
    }
  }

  /// How many seconds until the next visit.
  func pause(using random: inout some RandomNumberGenerator) -> Int {
    switch kind {
    case .person(let user):
      // One in a hundred is close to the limits.
      Int.random(in: user % 100 == 0 ? 200...3_000 : 3_000...20_000, using: &random)
    case .hijacker: Int.random(in: 5...60, using: &random)
    case .robot: Int.random(in: 60...1_200, using: &random)
    case .harvester: Int.random(in: 300...5_000, using: &random)
    case .guesser: Int.random(in: 20...400, using: &random)
    case .stranger: Int.random(in: 5...60, using: &random)
    case .witness: 0
    }
  }
}
