import WardenCore

/// Logins as the engine's events. Pure: the caller brings the time.
struct LoginEvents {
  private let setup: SMTPSession.Setup

  init(_ setup: SMTPSession.Setup) { self.setup = setup }

  /// Somebody wants to log in.
  func asked(login: String, from address: IPAddress, at time: Timestamp) -> Event {
    Event(at: time, step: .login, subject: subject(login, address), source: .dovecot)
  }

  /// Somebody has tried to log in.
  /// - Returns: nothing where that says nothing about the client.
  func told(_ outcome: LoginOutcome, login: String, from address: IPAddress, at time: Timestamp) -> Event? {
    let subject = subject(login, address)
    return switch outcome {
    case .success:
      Event(at: time, step: .heard, subject: subject, happened: [.authSuccesses: 1], source: .dovecot)
    case .failure(let password):
      Event(
        at: time, step: .heard, subject: subject, happened: [.authFailures: 1], source: .dovecot, password: password)
    case .noMatter: nil
    }
  }

  /// The key that a login, an address or both together are counted under.
  func key(login: String, address: IPAddress?) -> Key? {
    let user = login.isEmpty ? nil : KeyPart.user(user(login))
    guard let first = user ?? address.map(KeyPart.ip) else { return nil }
    return Key(first, user == nil ? nil : address.map(KeyPart.ip))
  }

  private func subject(_ login: String, _ address: IPAddress) -> Subject {
    var subject = Subject()
    subject.address = address
    subject.ip = address
    subject.network = setup.networkPrefix.network(of: address)
    if !login.isEmpty { subject.user = user(login) }
    return subject
  }

  private func user(_ login: String) -> String { Bounded.text(setup.realms.user(login: login)) }
}

/// What became of a login.
enum LoginOutcome: Equatable {
  case success
  /// - password: tells one wrong password from another; nothing where the feed does not tell them apart.
  case failure(password: String?)
  /// Says nothing about the client. A policy server refused it unseen (were that counted, our own block would never end);
  /// the server could not check it; or the account is closed or its password has expired, and a phone has not been told.
  case noMatter
}
