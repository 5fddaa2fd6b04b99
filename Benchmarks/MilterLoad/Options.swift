import MilterClient

/// The command line: `--name value`, perhaps several times, and `--switch`.
struct Options {
  struct Problem: Error {
    let text: String
  }

  private var values: [String: [String]] = [:]
  private var switches: Set<String> = []

  init(_ arguments: ArraySlice<String>, values known: Set<String>, switches knownSwitches: Set<String> = []) throws {
    var rest = arguments
    while let argument = rest.popFirst() {
      let name = String(argument.dropFirst(2))
      if argument.hasPrefix("--"), known.contains(name) {
        guard let value = rest.popFirst() else { throw Problem(text: "\(argument) needs a value") }
        values[name, default: []].append(value)
      } else if argument.hasPrefix("--"), knownSwitches.contains(name) {
        switches.insert(name)
      } else {
        throw Problem(text: "unknown argument \(argument)")
      }
    }
  }

  subscript(name: String) -> String? { values[name]?.last }

  func all(_ name: String) -> [String] { values[name] ?? [] }

  func has(_ name: String) -> Bool { switches.contains(name) }

  func required(_ name: String) throws -> String {
    guard let value = self[name] else { throw Problem(text: "--\(name) is missing") }
    return value
  }

  func number(_ name: String, default fallback: Int? = nil) throws -> Int {
    if values[name] == nil, let fallback { return fallback }
    guard let number = Int(try required(name)), number > 0 else {
      throw Problem(text: "--\(name) is no number above 0")
    }
    return number
  }

  func place(_ name: String) throws -> MilterPlace {
    guard let place = MilterPlace(try required(name)) else {
      throw Problem(text: "--\(name) is neither unix:PATH nor inet:PORT@HOST")
    }
    return place
  }
}
