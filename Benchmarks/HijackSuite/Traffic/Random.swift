/// SplitMix64, and what is drawn from it.
///
/// The same seed gives the same traffic on any machine: nothing here depends on the standard library's own draws or on
/// the C library's logarithm, whose last bit differs from one to the next.
public struct Random: Sendable {
  private var state: UInt64

  public init(seed: Int) { state = UInt64(bitPattern: Int64(seed)) }

  /// A stream of its own, so that what one account does changes nothing for the others.
  public func stream(_ number: Int) -> Random {
    var mixer = self
    mixer.state ^= UInt64(bitPattern: Int64(number &+ 1)) &* 0xd605_bbb5_8c8a_bc15
    mixer.state = mixer.next()
    return mixer
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  // MARK: - Draws

  /// In 0 ..< 1.
  public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  public mutating func chance(_ probability: Double) -> Bool { unit() < probability }

  public mutating func int(_ range: Range<Int>) -> Int {
    range.lowerBound + Int(next().multipliedFullWidth(by: UInt64(range.count)).high)
  }

  public mutating func int(_ range: ClosedRange<Int>) -> Int { int(range.lowerBound..<(range.upperBound + 1)) }

  public mutating func double(_ range: ClosedRange<Double>) -> Double {
    range.lowerBound + unit() * (range.upperBound - range.lowerBound)
  }

  public mutating func pick<Item>(_ items: [Item]) -> Item { items[int(0..<items.count)] }

  /// A place in the list, as often as its weight says.
  public mutating func place(weights: [Double]) -> Int {
    var rest = unit() * weights.reduce(0, +)
    for (place, weight) in weights.enumerated() {
      rest -= weight
      if rest < 0 { return place }
    }
    return weights.count - 1
  }

  public mutating func shuffled<Item>(_ items: [Item]) -> [Item] {
    var items = items
    for place in items.indices.dropFirst().reversed() { items.swapAt(place, int(0...place)) }
    return items
  }

  // MARK: - Distributions

  /// Twelve uniforms are as normal as mail needs.
  public mutating func normal() -> Double { (0..<12).reduce(-6) { sum, _ in sum + unit() } }

  /// Heavy-tailed: a third lies beyond `median × e^spread` or below `median / e^spread`.
  public mutating func logNormal(median: Double, spread: Double) -> Double {
    median * Self.exponential(of: spread * normal())
  }

  /// As likely between 10 and 100 as between 100 and 1,000.
  public mutating func logUniform(_ range: ClosedRange<Double>) -> Double {
    let decades = Self.logarithm(of: range.upperBound / range.lowerBound)
    return range.lowerBound * Self.exponential(of: unit() * decades)
  }

  /// The time until the next of something that has no memory.
  public mutating func waiting(mean: Double) -> Double { -mean * Self.logarithm(of: 1 - unit()) }

  /// How often something without memory happens.
  public mutating func poisson(mean: Double) -> Int {
    if mean > 30 { return max(0, Int((mean + mean.squareRoot() * normal()).rounded())) }
    var (count, product) = (0, unit())
    let end = Self.exponential(of: -mean)
    while product > end {
      count += 1
      product *= unit()
    }
    return count
  }

  // MARK: - From the four basic operations alone

  static func exponential(of x: Double) -> Double {
    let halvings = x == 0 ? 0 : max(0, Int(x.exponent) + 8)
    let small = x / Double(1 << halvings)
    var (sum, term) = (1.0, 1.0)
    for n in 1...8 {
      term *= small / Double(n)
      sum += term
    }
    for _ in 0..<halvings { sum *= sum }
    return sum
  }

  static func logarithm(of x: Double) -> Double {
    let ratio = (x.significand - 1) / (x.significand + 1)
    var (sum, power) = (0.0, ratio)
    for n in stride(from: 1, through: 33, by: 2) {
      sum += power / Double(n)
      power *= ratio * ratio
    }
    return 2 * sum + Double(x.exponent) * 0.693_147_180_559_945_3
  }
}
