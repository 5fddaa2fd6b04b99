import Testing

@testable import WardenCore

struct TimeSpanTests {
  @Test(
    "Spans are read as the policy file writes them",
    arguments: [
      ("1s", 1), ("90s", 90), ("5m", 300), ("2h", 7_200), ("3d", 259_200), ("1h30m", 5_400), ("1d2h3m4s", 93_784),
      ("0s", 0), ("36500d", 36_500 * 86_400), ("007m", 420),
    ])
  func reads(text: String, seconds: Int) { #expect(TimeSpan(text) == .seconds(seconds)) }

  @Test(
    "Anything else is not read",
    arguments: [
      "", " ", "5", "m", "5 m", "-5m", "+5m", "5.5m", "5M", "5w", "30m1h", "1h1h", "1h30", "h30m", "5m ", "5mm",
      "36501d",
      "99999999999999999999d", "3155760001s", "٥m", "５m", "5µs", "1d36500d", "5m\n", "\u{0}",
      String(repeating: "9", count: 10_000) + "s",
    ])
  func rejects(text: String) { #expect(TimeSpan(text) == nil) }

  @Test("What is written is read as the same", arguments: 0..<50)
  func roundTrip(seed: Int) {
    var random = SplitMix64(seed: seed)
    let most = [60, 3_600, 86_400, 36_500 * 86_400].randomElement(using: &random)!
    let span = TimeSpan.seconds(Int.random(in: 0...most, using: &random))
    #expect(TimeSpan(span.description) == span, "seed \(seed)")
  }

  @Test(
    "Parts of a second are written as the next whole one",
    arguments: [
      (0, "0s"), (1, "1s"), (999_999, "1s"), (1_000_000, "1s"), (1_000_001, "2s"), (59_000_001, "1m"), (-5, "0s"),
      (86_399_000_001, "1d"),
    ])
  func partsOfASecond(microseconds: Int, text: String) {
    #expect(TimeSpan(microseconds: microseconds).description == text)
  }

  @Test(
    "For a person, the two largest units are enough, and always rounded up",
    arguments: [
      ("59s", "59s"), ("1m1s", "1m1s"), ("59m59s", "59m59s"), ("1h1s", "1h1m"), ("23h59m1s", "1d"), ("1d1s", "1d1h"),
      ("2d23h0m1s", "3d"), ("3d", "3d"), ("0s", "0s"),
    ])
  func rounded(text: String, rounded: String) throws {
    #expect(try #require(TimeSpan(text)).rounded.description == rounded)
  }
}
