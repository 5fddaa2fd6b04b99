import HijackTraffic
import WardenCore

/// What one policy did to one run's traffic.
struct Figures: Encodable {
  let policy: String
  let seed: Int
  var courses: [Course]
  var harms: [Harm] = []
  /// Measured messages of honest users, while they were not hijacked.
  var honestMessages = 0
  /// The victims' own, from the theft on.
  var victims = Victims()
  /// Alarms about users who were not hijacked, rule by rule, one an episode.
  var falseAlarms: [String: Int] = [:]

  /// One hijack's way.
  struct Course: Encodable {
    let style: String
    let victim: String
    let seed: Int
    var attempted = 0
    /// Got out before anything was refused or held.
    var beforeStop = Amount()
    /// Got out in all: where a limit is all that there is, each window lets more through.
    var inAll = Amount()
    /// The first rule that refused or held, and how long that took.
    var stoppedBy: String?
    var hoursBeforeStop: Double?
    /// The first that anybody could hear of it, and how much had got out by then.
    var noticedBy: String?
    var noticedAs: String?
    var beforeNotice: Int?

    /// The percentage of what came after the first refusal and got out all the same; nothing where nothing came.
    var leak: Int? {
      let rest = attempted - beforeStop.messages - 1
      return stoppedBy == nil || rest <= 0 ? nil : (inAll.messages - beforeStop.messages) * 100 / rest
    }
  }

  struct Amount: Encodable {
    var messages = 0
    var recipients = 0

    mutating func add(recipients count: Int) {
      messages += 1
      recipients += count
    }
  }

  /// Honest messages that a rule hit, of one kind of user on one occasion.
  struct Harm: Encodable {
    let rule: String
    let kind: String
    let occasion: String
    /// Of people at once, since they see an error; of programs what never got through.
    var refused = 0
    var held = 0
    /// Of programs: what got through later.
    var delayed = 0
    var longestDelayMinutes = 0.0
    var users: Set<Int> = []
  }

  struct Victims: Encodable {
    var messages = 0
    var refused = 0
    var held = 0
  }
}

/// Writes the figures down while the traffic is played.
struct Bookkeeper {
  private(set) var figures: Figures
  private let kinds: [Kind]
  private let hijacks: [Hijack]
  /// By victim.
  private let hijackOf: [Int: Int]

  init(policy: String, _ traffic: Traffic) {
    kinds = traffic.accounts.map(\.kind)
    hijacks = traffic.hijacks
    hijackOf = Dictionary(uniqueKeysWithValues: hijacks.map { ($0.victim, $0.number) })
    let courses = traffic.hijacks.map { hijack in
      Figures.Course(
        style: hijack.style.rawValue, victim: traffic.accounts[hijack.victim].kind.rawValue, seed: traffic.seed)
    }
    figures = Figures(policy: policy, seed: traffic.seed, courses: courses)
  }

  // MARK: - What became of a message

  mutating func note(_ mail: Mail, _ fate: Fate) {
    switch mail.origin {
    case .hijack(let number): note(fate, of: mail, inHijack: number)
    case .honest(let occasion):
      guard mail.at >= Traffic.warmUpEnd else { return }
      if hijack(of: mail) != nil {
        figures.victims.messages += 1
        switch fate {
        case .refused: figures.victims.refused += 1
        case .held: figures.victims.held += 1
        case .passed, .noRecipients: break
        }
        return
      }
      figures.honestMessages += 1
      switch fate {
      case .passed, .noRecipients: break
      case .held(let rule): harm(rule, mail) { $0.held += 1 }
      case .refused(let rule, let isTemporary):
        if !(occasion.hasQueue && isTemporary) { harm(rule, mail) { $0.refused += 1 } }
      }
    }
  }

  private mutating func note(_ fate: Fate, of mail: Mail, inHijack number: Int) {
    figures.courses[number].attempted += 1
    let isStopped = figures.courses[number].stoppedBy != nil
    switch fate {
    case .noRecipients: break
    case .passed(let recipients):
      figures.courses[number].inAll.add(recipients: recipients)
      if !isStopped { figures.courses[number].beforeStop.add(recipients: recipients) }
    case .held(let rule), .refused(let rule, _):
      guard !isStopped else { return }
      let time = mail.at.milliseconds - hijacks[number].start.milliseconds
      figures.courses[number].stoppedBy = rule
      figures.courses[number].hoursBeforeStop = Double(time) / 3_600_000
    }
  }

  // MARK: - What became of it later

  /// A program's message that was refused for now got through.
  mutating func getThrough(_ mail: Mail, rule: String, at: Moment) {
    guard isQueued(mail) else { return }
    let delay = Double(at.milliseconds - mail.at.milliseconds) / 60_000
    harm(rule, mail) { harm in
      harm.delayed += 1
      harm.longestDelayMinutes = max(harm.longestDelayMinutes, delay)
    }
  }

  mutating func giveUp(_ mail: Mail, rule: String) {
    if isQueued(mail) { harm(rule, mail) { $0.refused += 1 } }
  }

  private func isQueued(_ mail: Mail) -> Bool {
    guard case .honest(let occasion) = mail.origin else { return false }
    return occasion.hasQueue && mail.at >= Traffic.warmUpEnd && hijack(of: mail) == nil
  }

  private mutating func harm(_ rule: String, _ mail: Mail, _ change: (inout Figures.Harm) -> Void) {
    guard case .honest(let occasion) = mail.origin else { return }
    let kind = kinds[mail.account].rawValue
    let known = figures.harms.firstIndex { $0.rule == rule && $0.kind == kind && $0.occasion == occasion.rawValue }
    let place = known ?? figures.harms.count
    if known == nil { figures.harms.append(Figures.Harm(rule: rule, kind: kind, occasion: occasion.rawValue)) }
    figures.harms[place].users.insert(mail.account)
    change(&figures.harms[place])
  }

  // MARK: - What somebody heard

  /// What is said about a victim's own mail tells nobody of the hijack.
  mutating func note(_ notice: Notice, about mail: Mail) {
    guard mail.at >= Traffic.warmUpEnd else { return }
    if let number = hijack(of: mail) {
      guard case .hijack = mail.origin, figures.courses[number].noticedBy == nil else { return }
      figures.courses[number].noticedBy = notice.reason.rule
      figures.courses[number].noticedAs = notice.kind.name
      figures.courses[number].beforeNotice = figures.courses[number].inAll.messages
    } else if notice.kind == .alert || notice.kind == .observed || notice.kind == .blocked {
      figures.falseAlarms[notice.reason.rule, default: 0] += 1
    }
  }

  /// The hijack that the account was in the hands of when the mail was sent, or had been.
  private func hijack(of mail: Mail) -> Int? {
    hijackOf[mail.account].flatMap { mail.at >= hijacks[$0].start ? $0 : nil }
  }
}
