import Glibc
import WardenCore

/// Limits that would have hit next to nobody here, and why.
public struct Proposals: Sendable, Equatable {
  /// The highest that a key came to.
  public struct Peak: Sendable, Equatable {
    /// The candidate's name.
    public let candidate: String
    public let window: TimeSpan
    public let key: Key
    public let count: Int

    public init(candidate: String, window: TimeSpan, key: Key, count: Int) {
      self.candidate = candidate
      self.window = window
      self.key = key
      self.count = count
    }
  }

  /// How high the keys of a crowd came.
  public struct Figures: Sendable, Equatable {
    /// With those that never did it.
    public let keys: Int
    public let half: Int
    public let of95: Int
    public let of99: Int
    public let of999: Int
    public let most: Int
  }

  public struct Standing: Sendable, Equatable {
    public let key: Key
    public let count: Int
  }

  public struct Limit: Sendable, Equatable {
    public let window: TimeSpan
    public let count: Int
    public let figures: Figures
    /// The highest of what is ordinary, of which the limit is made.
    public let ordinary: Int
    public let floor: Int
    /// The keys that come nearest below it, the highest first.
    public let largest: [Standing]
    /// The highest keys above it, of `aboveCount`: hijacked, or in need of a limit of their own.
    public let above: [Standing]
    public let aboveCount: Int
  }

  public struct Proposal: Sendable, Equatable {
    public let candidate: Candidate
    /// At least one.
    public let limits: [Limit]
  }

  public struct Omission: Sendable, Equatable {
    public let candidate: String
    /// Nothing for the candidate as a whole.
    public let window: TimeSpan?
    public let why: String
  }

  public let from: Timestamp
  public let to: Timestamp
  public let proposals: [Proposal]
  public let omissions: [Omission]
  /// Keys that were forgotten for want of memory: all of them low ones.
  public let dropped: Int
  /// What was listened to.
  let feeds: Set<Source>
  let exempt: Exemptions
  let realms: [String]?
  let networkPrefix: NetworkPrefix

  /// Of fewer nobody can tell what is usual.
  static let leastKeys = 10
  static let mostNamed = 5
  static let mostAbove = 20
  /// Which share of a window must have been looked at: a day's log begins and ends with some minutes of silence.
  static let leastSpan = 0.9
  /// From which share of its limit on a key is near it; one of two or three is not.
  static let near = 0.25
  /// How much more than ordinary is still allowed.
  static let margin = 1.5

  /// - Parameters:
  ///   - peaks: of all keys, each of them once for each window of a candidate.
  ///   - knownAddresses: how many addresses somebody has logged in from.
  ///   - isKnown: whether an address is among them.
  ///   - feeds: what was listened to.
  ///   - exempt, realms, networkPrefix: go into the policy as they are.
  public init(
    peaks: [Peak], from: Timestamp, to: Timestamp, knownAddresses: Int, isKnown: (IPAddress) -> Bool,
    feeds: Set<Source> = [], exempt: Exemptions = Exemptions(), realms: [String]? = nil,
    networkPrefix: NetworkPrefix = NetworkPrefix(),
    dropped: Int = 0
  ) {
    (self.from, self.to, self.dropped) = (from, to, dropped)
    self.feeds = feeds
    (self.exempt, self.realms, self.networkPrefix) = (exempt, realms, networkPrefix)
    let byCandidate = Dictionary(grouping: peaks, by: \.candidate)
    var (proposals, omissions): ([Proposal], [Omission]) = ([], [])
    for candidate in Candidate.all {
      let found = byCandidate[candidate.name] ?? []
      if let why = candidate.omission(found, feeds) {
        omissions.append(Omission(candidate: candidate.name, window: nil, why: why))
        continue
      }
      var limits: [Limit] = []
      func omit(_ window: TimeSpan, _ why: String) {
        omissions.append(Omission(candidate: candidate.name, window: window, why: why))
      }
      for window in candidate.windows {
        let peaks = found.filter { $0.window == window.span }
        if Double((to - from).microseconds) < Double(window.span.microseconds) * Self.leastSpan {
          omit(window.span, "what was looked at is only \((to - from).rounded) long")
        } else if peaks.isEmpty {
          omit(window.span, "nothing was counted over such a time")
        } else {
          limits.append(Crowd(candidate.crowd, peaks, known: knownAddresses, isKnown).limit(window))
        }
      }
      // A limit for the hour that is no lower than the day's says nothing.
      for (shorter, longer) in zip(limits, limits.dropFirst()) where shorter.count >= longer.count {
        limits.removeAll { $0 == shorter }
        omit(shorter.window, "the limit for \(longer.window) would be no higher")
      }
      if !limits.isEmpty { proposals.append(Proposal(candidate: candidate, limits: limits)) }
    }
    (self.proposals, self.omissions) = (proposals, omissions)
  }

  /// The keys that a limit is made for, and how high they came.
  private struct Crowd {
    private let kind: Candidate.Crowd
    /// Highest first; nobody who never did it.
    private let peaks: [Peak]
    /// Keys that count in the crowd, highest first.
    private let members: [Peak]
    private let size: Int

    init(_ kind: Candidate.Crowd, _ peaks: [Peak], known: Int, _ isKnown: (IPAddress) -> Bool) {
      self.kind = kind
      self.peaks = peaks.sorted { $0.count > $1.count }
      if case .knownAddresses = kind {
        members = self.peaks.filter { if case .ip(let address) = $0.key.first { isKnown(address) } else { false } }
        size = max(known, members.count)
      } else {
        members = self.peaks
        size = members.count
      }
    }

    /// The count that so many of a thousand stay at or below.
    private func count(ofThousand share: Int, among count: Int) -> Int {
      let rank = (count * share + 999) / 1_000
      let place = count - max(1, rank)
      let skipped = size - count
      // Those that were set aside are the highest.
      return place + skipped < members.count && count > 0 ? members[place + skipped].count : 0
    }

    /// How many of the highest are no ordinary keys: a few hijacked accounts must not raise the limit for all. Beyond three
    /// times the distance of the quartiles above the upper one, by the counts' logarithms since counts of mail are
    /// spread so (J. Tukey's outer fence).
    private func outliers(_ floor: Int) -> Int {
      guard kind != .server, !members.isEmpty else { return 0 }
      func quartile(_ number: Int) -> Double { log(Double(members[members.count * (4 - number) / 4].count)) }
      let (low, high) = (quartile(1), quartile(3))
      let fence = max(Double(floor), exp(high + 3 * (high - low)))
      return members.prefix { Double($0.count) > fence }.count
    }

    /// Those that come near the limit, highest first.
    private func near(_ limit: Int) -> ArraySlice<Peak> {
      members.drop { $0.count > limit }.prefix { $0.count > 1 && Double($0.count) >= Double(limit) * Proposals.near }
    }

    func limit(_ window: Candidate.Window) -> Limit {
      let ordinary = count(ofThousand: 999, among: size - outliers(window.floor))
      let most = Proposals.friendly(max(window.floor, Int((Double(ordinary) * Proposals.margin).rounded(.up))))
      let above = peaks.prefix { $0.count > most }
      return Limit(
        window: window.span, count: most,
        figures: Figures(
          keys: size, half: count(ofThousand: 500, among: size), of95: count(ofThousand: 950, among: size),
          of99: count(ofThousand: 990, among: size), of999: count(ofThousand: 999, among: size),
          most: members.first?.count ?? 0),
        ordinary: ordinary, floor: window.floor,
        largest: kind == .server ? [] : Proposals.highest(Proposals.mostNamed, of: near(most)),
        above: Proposals.highest(Proposals.mostAbove, of: above), aboveCount: above.count)
    }
  }

  /// Those of the same count by their names.
  fileprivate static func highest(_ number: Int, of peaks: ArraySlice<Peak>) -> [Standing] {
    guard let last = peaks.prefix(number).last else { return [] }
    let named = peaks.prefix { $0.count >= last.count }.map { (peak: $0, name: $0.key.description) }
    return named.sorted { ($1.peak.count, $0.name) < ($0.peak.count, $1.name) }.prefix(number)
      .map { Standing(key: $0.peak.key, count: $0.peak.count) }
  }

  /// Rounded up to a number that a person would choose.
  static func friendly(_ count: Int) -> Int {
    var unit = 1
    while count > unit * 10 { unit *= 10 }
    if unit == 1 { return count }
    let tenths = [10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100]
    return tenths.lazy.map { unit / 10 * $0 }.first { $0 >= count } ?? count
  }
}

extension Candidate {
  /// Why there is nothing to be said of it.
  fileprivate func omission(_ peaks: [Proposals.Peak], _ feeds: Set<Source>) -> String? {
    if peaks.isEmpty {
      var source = ""
      if case .signal(let signal) = measure, case let tellers = signal.declaration.toldBy, !tellers.isEmpty,
        tellers.isDisjoint(with: feeds)
      {
        source = "; feeds tell of them: \(tellers.map(\.name).sorted().joined(separator: ", "))"
      }
      return "no \(measure.phrase) were seen\(source)"
    }
    let keys = Set(peaks.lazy.map(\.key))
    guard case .everybody = crowd, keys.count < Proposals.leastKeys else { return nil }
    let longest = peaks.map(\.window).max()
    let names = Proposals.highest(
      keys.count, of: peaks.filter { $0.window == longest }.sorted { $0.count > $1.count }[...]
    )
    .map { "\($0.key.nickname) (\($0.count.grouped))" }
    return "only \(keys.count.of(per.name)) to look at, too few to tell what is usual: \(names.joined(separator: ", "))"
  }
}
