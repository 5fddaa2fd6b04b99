// `make demo`: a private Postfix with Mailwarden as its milter, real SMTP traffic, and what becomes of it.
import Foundation
import WardenTestKit

let once = ProcessInfo.processInfo.environment["ONCE"] == "1"
var surprises: [String] = []

/// Prints at once, also into a pipe.
func say(_ text: String) {
  print(text)
  fflush(nil)
}

func title(_ text: String) { say("\n\u{1b}[1m== \(text)\u{1b}[0m") }

@MainActor func expect(_ isAsExpected: Bool, _ what: String) {
  say(
    isAsExpected
      ? "   \u{1b}[32mas it should be:\u{1b}[0m \(what)" : "   \u{1b}[31mNOT as it should be:\u{1b}[0m \(what)")
  if !isAsExpected { surprises.append(what) }
}

/// Shows an administrator's command with its output.
func show(_ daemon: TestDaemon, _ command: [String]) throws {
  say("\n$ mailwarden \(command.joined(separator: " "))")
  let result = try daemon.command(command)
  say(String((result.output + result.errors).dropLast()))
}

/// Sends messages as a user until one is refused.
/// - Returns: how many passed, and the refusal.
func send(_ count: Int, as user: String, from address: String, to recipient: String, _ mta: MTA) throws -> (
  Int, String?
) {
  let client = try SMTPClient(port: mta.port, from: address)
  defer { client.drop() }
  guard client.banner.code == 220 else { return (0, "\(client.banner.code) \(client.banner.text)") }
  try client.command("EHLO client.example")
  try client.authenticate(user)
  for passed in 0..<count {
    let mail = try client.command("MAIL FROM:<\(user)@local.test>")
    if mail.code != 250 { return (passed, "\(mail.code) \(mail.text)") }
    try client.command("RCPT TO:<\(recipient)>")
    let end = try client.message(bytes: 2_000)
    if end.code != 250 { return (passed, "\(end.code) \(end.text)") }
  }
  try client.command("QUIT")
  return (count, nil)
}

@MainActor func demo() throws -> TestDaemon {
  let policyFile = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("policy.yaml")
  let policy = try String(contentsOf: policyFile, encoding: .utf8)

  title("Starting a private Postfix with Mailwarden as its milter")
  let mta = try MTA.of(.postfix)
  let daemon = try TestDaemon(policy: policy, folder: mta.milterFolder)
  say("   Postfix on 127.0.0.1:\(mta.port), milter socket \(daemon.milterSocket)")

  title("alice, an honest user, sends three messages")
  let (honest, _) = try send(3, as: "alice", from: "127.0.10.1", to: "friend@far.test", mta)
  expect(honest == 3, "all \(honest) of 3 passed")

  title("bob's password was stolen: his account sends as fast as it can")
  let (stolen, refusal) = try send(500, as: "bob", from: "127.0.66.6", to: "victim@far.test", mta)
  say("   after \(stolen) messages the server says: \(refusal ?? "nothing")")
  expect(stolen == 25 && refusal?.hasPrefix("450 4.7.1 bob: 26 messages in 2h") == true, "stopped at the 26th message")
  try show(daemon, ["explain", "user:bob"])

  title("A robot connects and leaves, again and again")
  var refused = 0
  for attempt in 1...8 {
    let client = try SMTPClient(port: mta.port, from: "127.0.66.7")
    say("   connection \(attempt): \(client.banner.code) \(client.banner.text)")
    if client.banner.code != 220 { refused += 1 }
    client.drop()
    try daemon.awaitNoSessions()
  }
  expect(refused == 3, "the fifth blocked it, the sixth to eighth were refused")

  title("A harvester tries names until one exists")
  let client = try SMTPClient(port: mta.port, from: "127.0.66.8")
  try client.command("EHLO harvester.example")
  try client.command("MAIL FROM:<x@harvester.example>")
  for number in 1...9 { try client.command("RCPT TO:<guess\(number)@local.test>") }
  let found = try client.command("RCPT TO:<carol@local.test>")
  say("   after nine wrong names a right one: \(found.code) \(found.text)")
  client.drop()
  expect(found.code == 450, "the right name was not confirmed")

  title("What the administrator sees")
  try show(daemon, ["status"])
  try show(daemon, ["counters"])
  try show(daemon, ["penalties"])

  title("alice still sends; the monitoring connects as it likes")
  let (more, _) = try send(1, as: "alice", from: "127.0.10.1", to: "friend@far.test", mta)
  expect(more == 1, "alice's next message passed")
  for _ in 1...6 {
    try SMTPClient(port: mta.port, from: "127.0.9.1").drop()
    try daemon.awaitNoSessions()
  }
  let probe = try SMTPClient(port: mta.port, from: "127.0.9.1")
  expect(probe.banner.code == 220, "the exempt network was never refused")
  probe.drop()

  title("bob has a new password: the administrator lets him go")
  try show(daemon, ["release", "user:bob"])
  let (again, _) = try send(1, as: "bob", from: "127.0.10.2", to: "friend@far.test", mta)
  expect(again == 1, "bob sends again")

  title("The log, as the journal would have it")
  for line in try daemon.log.split(separator: "\n") where line.contains("rule=") { say("   \(line)") }
  return daemon
}

// Before any thread: the wait at the end must be the one to get Ctrl-C.
var stops = sigset_t()
sigemptyset(&stops)
sigaddset(&stops, SIGINT)
sigaddset(&stops, SIGTERM)
pthread_sigmask(SIG_BLOCK, &stops, nil)

do {
  let daemon = try demo()
  say("\n\(surprises.isEmpty ? "Every abuser was stopped, the honest users were not." : "Something went otherwise.")")
  if !once {
    let command = builtProgram("mailwarden")
    say(
      """

      It goes on running until Ctrl-C. Talk to it from another terminal:
        \(command) status --socket \(daemon.controlSocket)
        curl --unix-socket \(daemon.controlSocket) http://localhost/v1/penalties
      """)
    var number: Int32 = 0
    sigwait(&stops, &number)
  }
  _ = try daemon.stop()
} catch {
  say("the demo could not go on: \(error)")
  surprises.append("\(error)")
}
exit(surprises.isEmpty ? 0 : 1)
