// A rule's first limit at other numbers than its own: how often would it trip?

extension Limit {
  /// What makes it stricter or laxer: the count, the percentage, or what is allowed however little is usual.
  public var number: Int {
    switch bound {
    case .count(let count): count
    case .usual(let usual): usual.atLeast
    case .share(let share): share.percent
    }
  }
}

extension Rule {
  /// In eighths of the limit's number.
  private static let steps = [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128]
  /// Different values are kept up to the limit: nothing is known of more.
  private static let stepsOfDistinct = Array(1...8)

  /// Numbers around that of the first limit, which is among them, smallest first.
  public var ladder: [Int] {
    guard let part = parts.first, let number = part.limits.first?.number else { return [] }
    let isDistinct = if case .measure(.distinct) = part.quantity { true } else { false }
    let others = (isDistinct ? Self.stepsOfDistinct : Self.steps).map { number * $0 / 8 }.filter { $0 > 0 }
    return Set(others + [number]).sorted()
  }
}

extension Engine {
  /// Part of all keys that the rule's first limit concerns, and of which something is counted: for each the first number
  /// that it does not stand over; it is over every smaller one.
  /// - Returns: where to go on; nothing at the end.
  public func reaches(
    of rule: String, from cursor: KeyCursor, atMost count: Int, at time: Timestamp
  ) -> (reaches: [Int], next: KeyCursor?) {
    let (book, realms, table) = rules.withLock { ($0.book, $0.realms, $0.table) }
    guard let metered = book.shelves.lazy.flatMap(\.rules).first(where: { $0.name == rule }) else { return ([], nil) }
    var reaches: [Int] = []
    let next = table.walk(from: cursor, atMost: count, at: time) { record, now in
      guard KeyNames.shape(of: record.name) == metered.rule.per,
        let reach = metered.reach(record.cells, at: now),
        !isSpared(KeyNames.key(of: record.name), from: rule, book, realms, at: now)
      else { return }
      reaches.append(reach)
    }
    return (reaches, next)
  }

  /// Whether the rule's limits are not the key's: it is exempt, or an override gives it others or none.
  public func isSpared(_ key: Key, from rule: String, at now: Timestamp) -> Bool {
    let (book, realms) = rules.withLock { ($0.book, $0.realms) }
    return isSpared(key, from: rule, book, realms, at: now)
  }

  private func isSpared(
    _ key: Key, from rule: String, _ book: Rulebook, _ realms: LocalRealms, at now: Timestamp
  ) -> Bool {
    let overrides = book.overrides
    return exemption(of: key, book.policy, realms) != nil
      || overrides.exempts && overrides.about(key, realms: realms, at: now).contains { $0.effect == .exempt }
      || overrides.limits(of: rule, for: key, realms: realms, at: now) != nil
  }
}

extension MeteredRule {
  /// The first number that the key does not stand over, were it that of the first limit; nothing where nothing is counted.
  fileprivate func reach(_ cells: Cells, at now: Timestamp) -> Int? {
    guard let part = parts.first, let limit = part.limits.first,
      let reach = limit.reach(part.quantity, cells, at: now)
    else { return nil }
    let isOverRest = parts.dropFirst().allSatisfy { part in
      part.limits.contains { $0.read(part.quantity, cells, adding: (0, 0), at: now).isOver }
    }
    return isOverRest ? reach : 0
  }
}

extension MeteredLimit {
  fileprivate func reach(_ quantity: Quantity, _ cells: Cells, at now: Timestamp) -> Int? {
    let reading = read(quantity, cells, adding: (0, 0), at: now)
    switch limit.bound {
    case .count: return reading.count > 0 ? reading.count : nil
    case .usual(let bound):
      guard reading.count > 0 else { return nil }
      guard let usual = known(cells, now) else {
        // What is allowed at first stays what it is where it is written by itself.
        if bound.atFirst == bound.atLeast { return reading.count }
        return reading.count > bound.atFirst ? .max : 0
      }
      return reading.count > bound.allowed(usual) ? reading.count : 0
    case .share(let bound):
      guard let share = reading.share, share.part > 0 || share.whole > 0 else { return nil }
      guard max(share.part, share.whole) >= bound.atLeast else { return 0 }
      if share.whole == 0 { return .max }
      return (share.part * 100 + share.whole - 1) / share.whole
    }
  }
}
