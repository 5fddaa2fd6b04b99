import Foundation

/// Seconds that the work takes.
func seconds(_ work: () throws -> Void) rethrows -> Double {
  let start = ContinuousClock.now
  try work()
  return seconds(since: start)
}

func seconds(since start: ContinuousClock.Instant) -> Double { (ContinuousClock.now - start) / .seconds(1) }

/// `median (least..greatest)`.
func summary(_ values: [Double], _ digits: Int = 2) -> String {
  let sorted = values.sorted()
  let median = (sorted[sorted.count / 2] + sorted[(sorted.count - 1) / 2]) / 2
  return "\(number(median, digits)) (\(number(sorted.first!, digits))..\(number(sorted.last!, digits)))"
}

func number(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

func megabytes(_ bytes: Int) -> String { "\((bytes + 500_000) / 1_000_000) MB" }

/// Prints at once, also into a file.
func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
