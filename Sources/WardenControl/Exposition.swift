/// Writes figures as Prometheus takes them (text format 0.0.4).
struct Exposition {
  enum Kind: String { case gauge, counter, histogram }

  private(set) var text = ""

  mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: some Number) {
    head(name, kind, help)
    text += "\(name) \(value)\n"
  }

  /// A sample for each set of values of the labels; nothing at all where there is none.
  mutating func add<Value: Number>(
    _ name: String, _ kind: Kind, _ help: String, _ labels: String..., samples: [([String], Value)]
  ) {
    guard !samples.isEmpty else { return }
    head(name, kind, help)
    for (values, value) in samples { text += "\(name)\(Self.set(labels, values)) \(value)\n" }
  }

  /// - Parameters:
  ///   - bounds: in nanoseconds, as are the sums.
  ///   - counts: of each bucket for itself; the last is that beyond all bounds.
  mutating func addHistograms(
    _ name: String, _ help: String, _ label: String, bounds: [Int],
    _ all: [(value: String, counts: [Int], nanoseconds: Int)]
  ) {
    head(name, .histogram, help)
    let edges = bounds.map { "\(Double($0) / 1e9)" } + ["+Inf"]
    for (value, counts, nanoseconds) in all {
      var sum = 0
      for (edge, count) in zip(edges, counts) {
        sum += count
        text += "\(name)_bucket\(Self.set([label, "le"], [value, edge])) \(sum)\n"
      }
      text += "\(name)_sum\(Self.set([label], [value])) \(Double(nanoseconds) / 1e9)\n"
      text += "\(name)_count\(Self.set([label], [value])) \(sum)\n"
    }
  }

  private static func set(_ labels: [String], _ values: [String]) -> String {
    labels.isEmpty ? "" : "{" + zip(labels, values).map { "\($0)=\"\(escaped($1))\"" }.joined(separator: ",") + "}"
  }

  /// A path may hold anything.
  private static func escaped(_ value: String) -> String {
    value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }

  private mutating func head(_ name: String, _ kind: Kind, _ help: String) {
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
  }
}

/// What a sample can be.
protocol Number: CustomStringConvertible {}
extension Int: Number {}
extension Double: Number {}
