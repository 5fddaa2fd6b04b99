/// How a key stands to one limit of one rule.
public struct Standing: Sendable, Equatable {
  public let key: Key
  public let rule: String
  public let mode: Rule.Mode
  public let quantity: Quantity
  public let limit: Limit
  /// Of a share the percentage.
  public let count: Int
  /// What the limit is for this key now.
  public let allowed: Int
  /// Where another limit than the rule's holds: who said so.
  public let origin: String?
  /// How many more are admitted now.
  public let left: Int
  /// Whether there is no room for one more to pass, or too many have happened.
  public let isOver: Bool
  /// Whether the rule refuses then, without a penalty, or keeps messages in the MTA's quarantine.
  public let refuses: Bool
  public let holds: Bool
  /// When that ends, if nothing is counted until then.
  public let freeAt: Timestamp

  /// The count as a share of the limit.
  public var share: Double { allowed == 0 ? Double(count) : Double(count) / Double(allowed) }
}

extension Shelf {
  /// Each limit's count of the key, whatever the rule's mode.
  /// - Parameter cells: nothing for a key that was never counted.
  func standings(
    of key: Key, _ cells: Cells?, _ book: Rulebook, _ realms: LocalRealms, at now: Timestamp
  ) -> [Standing] {
    rules.flatMap { metered -> [Standing] in
      let other = book.overrides.limits(of: metered.rule.name, for: key, realms: realms, at: now)
      // A rule of several parts refuses only when all are over.
      let isOverAll = metered.parts.enumerated().allSatisfy { place, part in
        (place == 0 ? other?.limits ?? part.limits : part.limits).contains {
          isOver($0, part.quantity, $0.read(part.quantity, cells, adding: (0, 0), at: now))
        }
      }
      return metered.parts.enumerated().flatMap { place, part in
        (place == 0 ? other?.limits ?? part.limits : part.limits).map { limit in
          let reading = limit.read(part.quantity, cells, adding: (0, 0), at: now)
          let most = reading.allowed - room(part.quantity)
          return Standing(
            key: key, rule: metered.rule.name, mode: metered.rule.mode, quantity: part.quantity, limit: limit.limit,
            count: reading.count, allowed: reading.allowed, origin: place == 0 ? other?.origin : nil,
            left: max(0, reading.allowed - reading.count), isOver: isOver(limit, part.quantity, reading),
            refuses: isOverAll && metered.acts && !metered.onlyHolds, holds: isOverAll && metered.onlyHolds,
            freeAt: reading.count > most
              ? limit.release(of: reading, part.quantity, cells, adding: room(part.quantity), at: now) : now)
        }
      }
    }
  }

  private func isOver(_ limit: MeteredLimit, _ quantity: Quantity, _ reading: MeteredLimit.Reading) -> Bool {
    reading.share != nil ? reading.isOver : reading.count > reading.allowed - room(quantity)
  }

  /// What is asked for must leave room for one; what has happened may fill its limit.
  private func room(_ quantity: Quantity) -> Int {
    if case .measure(let measure) = quantity, measure.counting == .admitted { 1 } else { 0 }
  }
}
