import ArgumentParser
import WardenControl
import WardenCore

struct WebToken: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make, list or revoke the tokens that let people in at the page.",
    discussion: """
      A token is shown once; the daemon keeps only a digest of it. Give one to each person and to each program, so that the \
      book says who has done what, and one can be revoked without the others. Revoking ends what was logged in with it.
      """)

  @Option(name: .long, help: ArgumentHelp("Make one for this person or program.", valueName: "name"))
  var name: String?
  @Option(name: .customLong("for"), help: ArgumentHelp("How long it lets in: 12h, 30d, 365d.", valueName: "time"))
  var span = "30d"
  @Flag(name: .long, help: "Show whose tokens there are, and until when.")
  var list = false
  @Option(name: .long, help: ArgumentHelp("Revoke this one.", valueName: "name"))
  var revoke: String?
  @OptionGroup var daemon: DaemonOptions

  func validate() throws {
    guard [name != nil, list, revoke != nil].count(where: \.self) == 1 else {
      throw ValidationError("say one of --name NAME, --list and --revoke NAME")
    }
  }

  func run() throws {
    if let name {
      try make(WebTokenOrder(name: name, for: span))
    } else if let revoke {
      try end(revoke)
    } else {
      try show()
    }
  }

  private func make(_ order: WebTokenOrder) throws {
    _ = try daemon.ask({ try await $0.ask("/v1/web-tokens", method: "POST", body: order, as: NewWebTokenReport.self) })
    {
      "\($0.token)\nfor \($0.name), until \($0.until); it is not shown again"
        + ($0.note.map { "\nnote: \(Quoted.control($0))" } ?? "")
    }
  }

  private func end(_ name: String) throws {
    _ = try daemon.ask(
      { try await $0.ask("/v1/web-tokens", method: "DELETE", query: ["name": name], as: WebTokenReport.self) }
    ) {
      "\($0.name): revoked, and logged out" + ($0.note.map { "\nnote: \(Quoted.control($0))" } ?? "")
    }
  }

  private func show() throws {
    _ = try daemon.ask({ try await $0.ask("/v1/web-tokens", as: [WebTokenReport].self) }) { tokens in
      if tokens.isEmpty { return "there are no web tokens" }
      return Table.text(["name", "made", "until"], tokens.map { [$0.name, $0.made, $0.until] })
    }
  }
}
