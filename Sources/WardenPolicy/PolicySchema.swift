import Foundation

/// The policy file's shape as a JSON Schema, in draft 7, which editors know best.
public enum PolicySchema {
  public static let text: String = {
    var definitions: [String: Any] = [:]
    var schema = object(of: .policy, &definitions)
    schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    schema["title"] = "Mailwarden's policy"
    schema["definitions"] = definitions
    let data = try! JSONSerialization.data(
      withJSONObject: schema, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    return String(decoding: data, as: UTF8.self)
  }()

  private static func object(of mapping: PolicyMapping, _ definitions: inout [String: Any]) -> [String: Any] {
    var properties: [String: Any] = [:]
    for field in mapping.fields {
      var property = schema(of: field.form, &definitions)
      property["description"] = field.help
      property["default"] = field.defaultText
      properties[field.name] = property
    }
    var object: [String: Any] = ["type": "object", "properties": properties, "additionalProperties": false]
    let required = mapping.fields.filter(\.isRequired).map(\.name)
    if !required.isEmpty { object["required"] = required }
    if !mapping.alternatives.isEmpty { object["oneOf"] = mapping.alternatives.map { ["required": $0] } }
    return object
  }

  private static func schema(of form: ValueForm, _ definitions: inout [String: Any]) -> [String: Any] {
    switch form {
    case .text: return ["type": ["string", "number", "boolean"], "minLength": 1]
    case .like(let pattern, let example):
      // What consists of digits alone is a number to YAML.
      let mayBeNumber = "660".wholeMatch(of: try! Regex(pattern)) != nil
      return [
        "type": mayBeNumber ? ["string", "integer"] : ["string"], "pattern": "^(\(pattern))$", "examples": [example],
      ]
    case .words(let words): return ["oneOf": words.map { ["const": $0.name, "description": $0.help] }]
    case .number(let range):
      return [
        "type": ["integer", "string"], "minimum": range.lowerBound, "maximum": range.upperBound, "pattern": "^[0-9]+$",
      ]
    case .flag: return ["enum": [true, false, "true", "false"]]
    case .list(let item): return ["type": "array", "items": schema(of: item, &definitions)]
    case .oneOrMore(let item):
      let one = schema(of: item, &definitions)
      return ["anyOf": [one, ["type": "array", "items": one, "minItems": 1]]]
    case .mapping(let mapping): return object(of: mapping, &definitions)
    case .names(let value): return ["type": "object", "additionalProperties": schema(of: value, &definitions)]
    case .either(let forms): return ["anyOf": forms.map { schema(of: $0, &definitions) }]
    case .described(let form, let help):
      return schema(of: form, &definitions).merging(["description": help]) { own, _ in own }
    case .shared(let name, let form):
      definitions[name] = schema(of: form, &definitions)
      // In draft 7 a reference hides what stands beside it, such as the description.
      return ["allOf": [["$ref": "#/definitions/\(name)"]]]
    }
  }
}
