import ArgumentParser

@main
struct Mailwarden: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mailwarden",
    abstract: "Stops mail abusers while they act: a milter for Sendmail and Postfix.",
    discussion: """
      `mailwarden run` is the daemon; the other commands check a policy or talk to the running daemon.
      Keys are written user:alice@example.org, ip:192.0.2.7, network:2001:db8::/64, helo:, sender:, sender-domain:, recipient:,
      recipient-domain:, server.
      """,
    version: Version.text,
    subcommands: [
      Run.self, Check.self, Test.self, Status.self, Top.self, Watch.self, Counters.self, Explain.self, Penalties.self,
      Block.self, Release.self, Allow.self, Revoke.self, Overrides.self, History.self, Report.self, RuleCommand.self,
      Replay.self, Suggest.self, WebToken.self, Reload.self,
    ])
}
