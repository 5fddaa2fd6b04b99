/// Every number of the traffic, in one place.
///
/// They are guesses of what a company's or university's submission server sees, and where in doubt against us: honest
/// users are wild, hijackers are sly. What was changed after policies had been tried on them is told in the README.
public enum Parameters {
  // MARK: - The run

  /// Honest traffic alone comes first, with every rule in observe mode: what an administrator is told to do. Usual
  /// volumes, networks and correspondents are learned then. Nothing of it counts.
  static let warmUpDays = 14
  static let days = 30
  static let allDays = 0..<(warmUpDays + days)

  // MARK: - Who there is

  public static let accounts = 1_000

  /// Most write little; the few that write much are those that a limit hurts.
  static let population: [(kind: Kind, count: Int)] = [
    (.occasional, 250), (.clerk, 506), (.lively, 110), (.busy, 40), (.desk, 6),
    (.newcomer, 25), (.returner, 15), (.mover, 15), (.traveller, 15),
    (.newsletter, 6), (.list, 5), (.forwarder, 4), (.tickets, 1), (.monitoring, 2),
  ]

  /// Messages a working day: clerks 2 to 10, busy people 60 to 100, sales and support desks 200 and more.
  static let occasionalRate = 0.1...2.0
  static let clerkRate = (median: 4.5, spread: 0.6, range: 1.0...12.0)
  static let livelyRate = 10.0...40.0
  static let busyRate = 60.0...100.0
  static let deskRate = 200.0...350.0
  /// No day is like another.
  static let daySpread = 0.45

  /// Most live where the server stands; some are hours away.
  static let zones = [1, 1, 1, 1, 1, 1, 1, 0, 2, -5, -8, 8]
  static let eveningWorkers = 0.06
  static let nightWorkers = 0.03

  // MARK: - How they write

  /// Mail is written in sittings: some messages, minutes apart.
  static let sittingSize = 2.5
  static let busySittingSize = 6.0
  static let gap = 150.0
  /// The least time between two messages of one person, in seconds.
  static let shortestGap = 8.0

  /// Colleagues among those that a person knows at first, and how many that are.
  static let firstBook = 30...150
  static let colleagues = 0.4
  /// A message to somebody never written to before. Desks answer strangers all day.
  static let strangers = 0.04...0.2
  static let deskStrangers = 0.6
  /// One recipient, 2 to 4, 5 to 12, 13 to 30.
  static let recipientShares = [0.74, 0.16, 0.08, 0.02]
  static let recipientRanges = [1...1, 2...4, 5...12, 13...30]
  /// Recipients that the MTA refuses.
  static let typingErrors = 0.005...0.02

  /// People with an alias of their own (first.last@), which a third of their mail carries.
  static let aliasHolders = 0.12
  static let aliasShare = 0.33
  /// People who write half of their mail as info@ or sales@; desks write all of it so.
  static let roleHolders = 0.05
  static let roleShare = 0.5

  // MARK: - Where they write from

  /// The organisation's own /24s.
  static let officeNetworks = 8
  /// People who work at home on two of five days; others on one of ten.
  static let homeWorkers = 0.3
  static let homeDays = (homeWorker: 0.4, other: 0.1)
  /// How much is written on the phone, and of that in a mobile carrier's network rather than in the house's.
  /// Nobody answers 250 customers a day on one.
  static let phoneShare = 0.15...0.5
  static let deskPhoneShare = 0.0...0.1
  static let phoneOutside = 0.6
  /// Two people in five have a carrier with IPv6, where every attachment is a /64 of its own; the others' carriers have a
  /// few dozen to hundreds of /24s, and a phone gets another one many times a week.
  static let carriersWithIPv6 = 0.4
  static let carrierNetworks = [24, 64, 200]
  static let newCarrierNetwork = 0.35
  /// Home lines: most keep their network, a fifth gets another one every two weeks, a tenth every day.
  static let homeRenewal = [(share: 0.7, daily: 0.003), (share: 0.2, daily: 0.07), (share: 0.1, daily: 0.9)]
  /// The /24s of one provider's pool in one town.
  static let homePool = 24
  /// People behind a VPN with many exits, another one at each sitting.
  static let vpnUsers = 0.03
  static let vpnExits = 40
  /// How computers and phones greet: by the machine's name (Outlook), with the same words everywhere (Apple's), or with
  /// their address in the local net (Thunderbird, most of Android), which in hotels, tunnels and mobile networks is
  /// another one each time.
  static let computerGreetings = [0.45, 0.2, 0.35]
  static let phoneGreetings = [0.05, 0.5, 0.45]
  /// A day's chance of a new computer, of which one lasts three years, and of another address at home and in the office.
  static let newComputer = 0.001
  static let newLease = 0.02

  // MARK: - What happens to them

  /// Monday's 12 to 25 answers within half an hour: one Monday in four, for those who write more than three a day.
  static let mondayReplies = (chance: 0.25, count: 12...25, minutes: 30.0)
  /// A party, a conference, a farewell: a fortieth of all people within the run. Half of them put everybody into one
  /// message, half send one each in ten minutes.
  static let invitation = (chance: 0.04, guests: 120...250, minutes: 10.0)
  /// New colleagues introduce themselves: all in one message, or one each in an hour.
  static let welcome = (people: 25...70, minutes: 60.0)
  /// Weeks away, then 60 answers in a morning.
  static let absence = 14...24
  static let comeback = (count: 40...75, hours: 3.5)
  /// A week in hotels, airports and foreign mobile networks; one traveller in two has a second one.
  static let trip = 5...9

  // MARK: - Programs and roles

  /// Four newsletters a week, two a month.
  static let newsletterPeriods = [7, 7, 7, 7, 28, 28]
  static let subscribers = 500.0...5_000.0
  static let deadSubscribers = 0.002...0.02
  static let newsletterMinutes = 20.0...90.0
  static let newsletterChunk = 50...100
  static let listPosts = 1.0...8.0
  static let listSubscribers = 30.0...600.0
  static let listChunk = 50
  static let forwards = 15.0...70.0
  static let vacationReplies = 0.15
  static let tickets = 240.0
  static let monitoringReports = 40.0...130.0
  static let incidents = (count: 2...3, messages: 150...600, minutes: 45.0...120.0)

  // MARK: - Hijacks

  static let hijacks = 20
  static let everyStyle = 2
  /// In days of the measured part.
  static let hijackStart = 3.0...28.0
  static let hijackDays = 1.0...7.0
  /// Of each of these kinds at least one is hijacked; the others as they come.
  static let certainVictims: [Kind] = [
    .busy, .busy, .desk, .newcomer, .newcomer, .returner, .traveller, .mover, .newsletter, .lively,
  ]
  /// Spam that says it is bulk mail, as providers demand of honest senders.
  static let markedSpam = 0.15
  /// Machines of a hijacker that greet as the commonest honest clients do.
  static let imitatedGreeting = 0.3
  /// Addresses on a spammer's list that the MTA refuses: few on a cleaned one.
  static let cleanList = 0.0...0.04
  static let dirtyList = 0.2...0.4

  /// A list is sent in an hour, and the next one a day later from another place.
  static let burst = (messages: 1_500.0...5_000.0, hours: 1.0, recipients: [1, 1, 1, 3, 10, 25, 50])
  static let slowAndWide = (hourly: 10.0...60.0, recipients: [1, 1, 1, 2, 5])
  static let night = (hourly: 5.0...15.0, networks: 1...3, recipients: [1, 1, 1, 2, 3])
  static let forging = (hourly: 20.0...200.0, networks: 1...3, recipients: [1, 1, 5, 20], perSender: [1, 1, 5, 20])
  static let dirty = (hourly: 30.0...300.0, networks: 1...3, recipients: [1, 5, 20])
  /// A ramp needs longer than a week to get anywhere, so it starts early and goes on for two or three.
  static let ramp = (
    first: 3.0, growth: 1.2...1.4, networks: 1...2, recipients: [1, 1, 2], start: 3.0...10.0, days: 10.0...20.0
  )
  static let insider = (hourly: 8.0...40.0, networks: 1...2, recipients: [1, 1, 2, 3], known: 0.4)
  static let ownNetwork = (hourly: 60.0...1_000.0, recipients: [1, 1, 3, 10])
  static let bcc = (daily: 6.0...20.0, networks: 1...2, recipients: 100)
}
