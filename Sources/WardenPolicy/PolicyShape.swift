/// A mapping of the policy file. The reader knows these keys and no others; the JSON Schema and mailwarden.yaml(5) are made
/// of the same ones.
struct PolicyMapping: Sendable {
  struct Field: Sendable {
    let name: String
    let form: ValueForm
    /// Sentences for people, in plain text.
    let help: String
    /// As the file would write it; nothing where leaving the key out means something else.
    let defaultText: String?
    let isRequired: Bool

    init(_ name: String, _ form: ValueForm, _ help: String, default text: String? = nil, isRequired: Bool = false) {
      self.name = name
      self.form = form
      self.help = help
      self.defaultText = text
      self.isRequired = isRequired
    }
  }

  /// How diagnostics call it: `listen.web`, `a rule`.
  let name: String
  let fields: [Field]
  /// Sets of keys of which one set has to be there, beside those that are required.
  var alternatives: [[String]] = []

  var names: [String] { fields.map(\.name) }
}

/// What a value looks like, as far as an editor can tell; whether it makes sense is for the reader to say.
indirect enum ValueForm: Sendable {
  /// A single value, whatever YAML takes it for.
  case text
  /// A regular expression of ECMA 262, over the whole text.
  case like(String, example: String)
  case words([(name: String, help: String)])
  case number(ClosedRange<Int>)
  case flag
  case list(ValueForm)
  case oneOrMore(ValueForm)
  case mapping(PolicyMapping)
  /// A mapping whose names the administrator chooses.
  case names(ValueForm)
  case either([ValueForm])
  /// One of several forms, with what it means.
  case described(ValueForm, String)
  /// What several keys have in common, under a name for the schema's `definitions`.
  case shared(String, ValueForm)
}
