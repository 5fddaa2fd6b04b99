import Foundation
import Testing
import WardenCore
import WardenTestKit

private let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()
private let folder = repository.appending(path: "docs/man")

/// docs/man against the commands as they are declared, and against the policy's keys.
@Suite("Manual pages")
struct ManualTests {
  // MARK: - The commands as ArgumentParser knows them

  private struct Dump: Decodable { let command: Command }

  private struct Command: Decodable {
    let commandName: String
    let aliases: [String]?
    let arguments: [Argument]?
    let subcommands: [Command]?

    /// But for `--help` and `--version`, which mailwarden(8) tells of.
    var own: [Argument] { (arguments ?? []).filter { !["help", "version"].contains($0.preferredName?.name) } }
    var names: [String] { [commandName] + (aliases ?? []) }
    var page: String { commandName == "run" ? "mailwarden-run.8" : "mailwarden-\(commandName).1" }
  }

  private struct Argument: Decodable {
    struct Name: Decodable { let name: String }
    let kind: String
    let isOptional: Bool
    let preferredName: Name?
    let valueName: String
    let defaultValue: String?
    let allValues: [String]?

    /// What is few enough to be listed.
    private var fewValues: String? { allValues.flatMap { $0.count < 4 ? $0.joined(separator: "|") : nil } }

    /// As a synopsis has it: `[--for time]`, `key`.
    var synopsis: String {
      switch kind {
      case "positional": valueName
      case "flag": "--\(preferredName!.name)"
      default: "--\(preferredName!.name) \(fewValues ?? valueName)"
      }
    }
  }

  private static let commands: [Command] = {
    let dump = try! Shell.check(builtProgram("mailwarden"), ["--experimental-dump-help"])
    return try! JSONDecoder().decode(Dump.self, from: Data(dump.utf8)).command.subcommands!
      .filter { $0.commandName != "help" }
  }()

  // MARK: - The pages as they are written

  /// A page's lines; where it only names another one, that one's.
  private func lines(of page: String) throws -> [Substring] {
    let text = try String(contentsOf: folder.appending(path: page), encoding: .utf8)
    if text.hasPrefix(".so ") { return try lines(of: String(text.split(separator: "/").last!.dropLast())) }
    return text.split(separator: "\n")
  }

  private func section(_ name: String, of lines: [Substring]) -> [Substring] {
    Array(lines.drop { $0 != ".Sh \(name)" }.dropFirst().prefix { !$0.hasPrefix(".Sh ") })
  }

  /// What follows `mailwarden COMMAND` in the synopsis, an element a line; of a command with several forms, all of them.
  private func synopsis(of command: String, in lines: [Substring]) -> [Substring] {
    section("SYNOPSIS", of: lines).split { $0 == ".Nm mailwarden" }.filter { $0.first == ".Cm \(command)" }
      .flatMap { $0.dropFirst() }
  }

  private func synopses(_ line: Substring) -> [(element: String, isOptional: Bool)] {
    let words = line.split(separator: " ").filter { ![".Op", "Cm", "..."].contains($0) }
    let text = words.filter { ![".Ar", "Ar", ".Fl", "Fl"].contains($0) }.joined(separator: " ")
    let isFlag = words.contains { $0 == "Fl" || $0 == ".Fl" }
    // `Fl -csv | -json` are two; `Fl -by Cm minute | hour | day` is one with three values.
    let alternatives = line.contains(" Cm ") ? [text.replacing(" | ", with: "|")] : text.components(separatedBy: " | ")
    return alternatives.map { (isFlag ? "-\($0)" : $0, line.hasPrefix(".Op")) }
  }

  @Test("Each command has a page, and each page a command")
  func pages() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    let wanted = Self.commands.flatMap { command in command.names.map { "mailwarden-\($0)" } }
    let pages = files.filter { $0.hasPrefix("mailwarden-") }.map { $0.split(separator: ".")[0] }
    #expect(pages.map(String.init).sorted() == wanted.sorted())
    for command in Self.commands {
      for name in command.names {
        let heading = try section("NAME", of: lines(of: command.page))
        #expect(heading.contains { $0 == ".Nm mailwarden-\(name)" || $0 == ".Nm mailwarden-\(name) ," }, "\(name)")
      }
    }
  }

  @Test(
    "A command's synopsis has its arguments and options, all of them and no others", arguments: commands.map(\.page))
  func synopsis(_ page: String) throws {
    let command = try #require(Self.commands.first { $0.page == page })
    let elements = try synopsis(of: command.commandName, in: lines(of: page)).flatMap(synopses)
    let wanted = Set(command.own.map(\.synopsis))
    #expect(Set(elements.map(\.element)).symmetricDifference(wanted) == [])
    // Of a command with several forms each has to be given something else.
    guard command.commandName != "web-token" else { return }
    for argument in command.own {
      let written = elements.filter { $0.element == argument.synopsis }.map(\.isOptional)
      #expect(written == [argument.isOptional], "\(argument.synopsis)")
    }
  }

  @Test(
    "A page's list of options has those of its commands, with their values and defaults",
    arguments: commands.map(\.page))
  func options(_ page: String) throws {
    let lines = try lines(of: page)
    let options = section("OPTIONS", of: lines)
    let here = Self.commands.filter { !synopsis(of: $0.commandName, in: lines).isEmpty }
    let arguments = here.flatMap(\.own)
    var listed = Set(
      options.filter { $0.hasPrefix(".It Fl -") }.map { String($0.split(separator: " ")[2].dropFirst()) })
    if page == "mailwarden-run.8" { listed.remove("version") }
    #expect(listed.symmetricDifference(arguments.compactMap { $0.preferredName?.name }) == [])
    let text = options.joined(separator: "\n") + "\n"
    for argument in arguments {
      for value in (argument.allValues ?? []) + [argument.defaultValue].compactMap({ $0 }) where value != "false" {
        #expect(
          text.firstMatch(of: try Regex("[ \\n]\(NSRegularExpression.escapedPattern(for: value))[ ;.\\n]")) != nil,
          "\(argument.synopsis): \(value)")
      }
    }
  }

  @Test("mailwarden(8) names every command's page")
  func overview() throws {
    let references = try lines(of: "mailwarden.8").joined(separator: "\n")
    for command in Self.commands where command.commandName != "run" {
      let page = try String(contentsOf: folder.appending(path: command.page), encoding: .utf8)
      let name =
        page.hasPrefix(".so ") ? String(page.split(separator: "/")[1].dropLast(3)) : "mailwarden-\(command.commandName)"
      #expect(references.contains("Xr \(name) 1"), "\(name)")
      #expect(page.hasPrefix(".so ") == !references.contains("Xr mailwarden-\(command.commandName) 1"))
    }
  }

  @Test("mailwarden.yaml(5) is what make man makes of the policy's keys, signals, kinds of key, filters and actions")
  func policy() throws {
    let made = try Shell.check(
      repository.appending(path: "Scripts/policy-manual.py").path,
      [
        folder.appending(path: "mailwarden.yaml.5.in").path,
        repository.appending(path: "docs/mailwarden.schema.json").path,
      ])
    #expect(try String(contentsOf: folder.appending(path: "mailwarden.yaml.5"), encoding: .utf8) == made)
    for name in Measure.allNames + KeyKind.allCases.map(\.name) + Match.words.map(\.name) {
      #expect(made.contains("\n.It Cm \(name)\n"), "\(name)")
    }
    // Every mapping of the schema has its place in the frame.
    let schema = try JSONSerialization.jsonObject(
      with: Data(contentsOf: repository.appending(path: "docs/mailwarden.schema.json")))
    let keys = keys(in: schema)
    #expect(keys.count > 70)
    for key in keys { #expect(made.contains("\n.It Cm \(key)\n"), "\(key)") }
  }

  private func keys(in schema: Any) -> Set<String> {
    if let list = schema as? [Any] { return list.reduce(into: []) { $0.formUnion(keys(in: $1)) } }
    guard let object = schema as? [String: Any] else { return [] }
    let own = Set((object["properties"] as? [String: Any] ?? [:]).keys)
    return object.values.reduce(into: own) { $0.formUnion(keys(in: $1)) }
  }

  @Test("man finds each, and neither mandoc nor groff has anything to say of them")
  func lint() throws {
    let place = try TemporaryFolder()
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { !$0.hasSuffix(".in") }
    for file in files {
      let section = place.file("man\(file.suffix(1))")
      try FileManager.default.createDirectory(atPath: section, withIntermediateDirectories: true)
      try FileManager.default.copyItem(atPath: folder.appending(path: file).path, toPath: "\(section)/\(file)")
    }
    for file in files {
      let page = place.file("man\(file.suffix(1))/\(file)")
      let text = try String(contentsOfFile: page, encoding: .utf8)
      if text.hasPrefix(".so ") {
        #expect(FileManager.default.fileExists(atPath: place.file(String(text.dropFirst(4).dropLast()))), "\(file)")
        continue
      }
      // What other packages' pages there are is not asked.
      let lint = try Shell.run("mandoc", ["-Tlint", page]).output.split(separator: "\n")
        .filter { !$0.contains("referenced manual not found") && !$0.contains("outdated mandoc.db") }
      #expect(lint == [], "\(file)")
      let groff = try Shell.run("groff", ["-ww", "-z", "-mdoc", "-Tutf8", page])
      #expect(groff.status == 0 && groff.errors == "", "\(file): \(groff.errors)")
      for reference in text.matches(of: /Xr (mailwarden[^ ]*) ([1-8])/) {
        #expect(files.contains("\(reference.1).\(reference.2)"), "\(file): \(reference.0)")
      }
    }
  }
}
