import Testing
import WardenCore

@testable import WardenFeeds

/// Several lines, and several sources, tell of one login.
@Suite("Joined logins")
struct JoinLoginTests {
  private let log = Joining(.live)

  /// What the lines so far count after what is told twice is taken out.
  private func count(before: [(Event, Teller)] = [], after: [(Event, Teller)] = []) -> [String] {
    var sieve = EventSieve()
    var left: [String] = []
    let joined = log.events.map { ($0.event, $0.teller) }
    for (event, teller) in before + joined + after {
      sieve.sift(event, from: teller) { left.append(Joining.sentence($0)) }
    }
    return left
  }

  private func attempt(_ user: String? = "alice", ip: String? = "192.0.2.3") -> Event {
    var subject = Subject()
    (subject.ip, subject.address, subject.user) = (ip.flatMap(IPAddress.init), ip.flatMap(IPAddress.init), user)
    return Event(at: log.now, step: .heard, subject: subject, happened: [.authFailures: 1], source: .dovecot)
  }

  @Test("Postfix's line, Dovecot's, the end of the session and the policy server's report are one failure")
  func postfix() {
    log.smtpd("connect from unknown[192.0.2.3]")
    log.line("dovecot", "auth: passwd-file(alice,192.0.2.3): Password mismatch")
    log.smtpd(
      "warning: unknown[192.0.2.3]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=Alice")
    log.smtpd("disconnect from unknown[192.0.2.3] ehlo=1 auth=0/1 quit=1 commands=2/3")
    #expect(count() == ["heard 192.0.2.3 alice: auth-failures 1"])
    #expect(count(before: [(attempt(), .policy)]) == ["heard 192.0.2.3 alice: auth-failures 1"])
    #expect(count(after: [(attempt(), .policy), (attempt(), .events)]) == ["heard 192.0.2.3 alice: auth-failures 1"])
  }

  @Test("Exchanges that the client breaks off count at the end of the session, for its address alone")
  func brokenOff() {
    log.smtpd("connect from unknown[192.0.2.3]")
    log.smtpd("warning: unknown[192.0.2.3]: SASL LOGIN authentication failed: no, sasl_username=alice")
    log.smtpd("disconnect from unknown[192.0.2.3] ehlo=1 auth=0/3 commands=1/4")
    #expect(count() == ["heard 192.0.2.3 alice: auth-failures 1", "heard 192.0.2.3: auth-failures 2"])
  }

  @Test("A session of many guesses that lasts for long counts each once at its end")
  func long() {
    log.smtpd("connect from unknown[192.0.2.3]")
    for _ in 0..<20 {
      log.wait(.minutes(1))
      log.smtpd("warning: unknown[192.0.2.3]: SASL LOGIN authentication failed: no, sasl_username=alice")
    }
    log.smtpd("disconnect from unknown[192.0.2.3] ehlo=1 auth=0/20 commands=1/21")
    #expect(log.sums["auth-failures"] == 20 && count().count == 20)
  }

  @Test("What the server could not check, and what a policy server refused, is no failure, nor at the session's end")
  func server() {
    log.smtpd("connect from unknown[192.0.2.3]")
    log.smtpd(
      "warning: unknown[192.0.2.3]: SASL PLAIN authentication failed: Connection lost to authentication server, "
        + "sasl_username=alice")
    log.smtpd(
      "warning: unknown[192.0.2.3]: SASL PLAIN authentication failed: mailwarden: too many, sasl_username=alice")
    log.smtpd("disconnect from unknown[192.0.2.3] ehlo=1 auth=0/2 commands=1/3")
    #expect(log.told() == [])
  }

  @Test("Where a filter is not there and the MTA puts everybody off, AUTH that is put off is no failure")
  func filterIsAway() {
    log.smtpd("connect from unknown[192.0.2.3]")
    log.smtpd("warning: connect to Milter service unix:/run/mailwarden/milter.sock: Connection refused")
    let reply = "451 4.7.1 Service unavailable - try again later"
    log.smtpd("NOQUEUE: milter-reject: CONNECT from unknown[192.0.2.3]: \(reply); proto=SMTP")
    log.smtpd("NOQUEUE: milter-reject: EHLO from unknown[192.0.2.3]: \(reply); proto=SMTP helo=<x.test>")
    log.smtpd("disconnect from unknown[192.0.2.3] ehlo=1 auth=0/3 quit=1 commands=2/5")
    #expect(log.told() == [])
    // The process's next client is another.
    log.smtpd("connect from unknown[192.0.2.4]")
    log.smtpd("disconnect from unknown[192.0.2.4] ehlo=1 auth=0/1 quit=1 commands=2/3")
    #expect(count() == ["heard 192.0.2.4: auth-failures 1"])
  }

  @Test(
    "Of a session whose beginning was not seen the end tells of no failures: a process before has counted their lines")
  func restarted() {
    log.smtpd("warning: unknown[192.0.2.3]: SASL PLAIN authentication failed: x, sasl_username=alice")
    log.smtpd("disconnect from unknown[192.0.2.3] ehlo=1 auth=0/4 commands=1/5")
    log.smtpd("disconnect from unknown[192.0.2.4] ehlo=1 auth=0/3 commands=1/4", pid: 109)
    #expect(log.told() == ["heard 192.0.2.3 alice: auth-failures 1"])
  }

  @Test("Live, an event has the time of its line, whatever came before")
  func lateLines() {
    let start = log.now
    for (ahead, user) in [(0, "now"), (3_600, "ahead"), (-3_600, "late"), (1, "then")] {
      log.now = start + .seconds(ahead)
      log.smtpd("warning: unknown[192.0.2.3]: SASL PLAIN authentication failed: x, sasl_username=\(user)")
      #expect(log.events.last?.event.at == start + .seconds(ahead))
    }
  }

  @Test("Where the log is first, Dovecot's report still brings the password, and counts nothing again")
  func passwordAfterLog() {
    log.smtpd("warning: unknown[192.0.2.3]: SASL PLAIN authentication failed: x, sasl_username=alice")
    var report = attempt()
    report.password = "alice 0cb4"
    var sieve = EventSieve()
    var left: [Event] = []
    for (event, teller) in log.events.map({ ($0.event, $0.teller) }) + [(report, .policy)] {
      sieve.sift(event, from: teller) { left.append($0) }
    }
    #expect(left.map { $0.happened[.authFailures] } == [1, 0])
    #expect(left.map(\.password) == [nil, "alice 0cb4"])
  }

  @Test("A name that is not told is nobody")
  func unavailable() {
    log.smtpd(
      "warning: unknown[192.0.2.3]: SASL NTLM authentication failed: Invalid authentication mechanism, "
        + "sasl_username=(unavailable)")
    log.smtpd("warning: unknown[192.0.2.3]: SASL LOGIN authentication failed: no, sasl_username=")
    #expect(log.told() == ["heard 192.0.2.3: auth-failures 1", "heard 192.0.2.3: auth-failures 1"])
  }

  @Test("A very long name is bounded")
  func longName() {
    log.line(
      "saslauthd[37]",
      ": auth failure: [user=\(String(repeating: "a", count: 4_000))] [service=imap] [realm=] [mech=pam] [reason=PAM auth error]"
    )
    #expect(log.events.allSatisfy { ($0.event.subject.user ?? "").utf8.count < 100 } && log.events.count == 1)
  }

  @Test("Dovecot's lines about each attempt and about the session are the same failures")
  func imap() {
    for _ in 0..<3 { log.line("dovecot", "auth: passwd-file(alice,192.0.2.3,<s>): Password mismatch") }
    log.line(
      "dovecot",
      "imap-login: Disconnected: Connection closed (auth failed, 3 attempts in 3 secs): user=<alice>, method=PLAIN, "
        + "rip=192.0.2.3, lip=192.0.2.9, session=<s>")
    log.line(
      "dovecot", "imap-login: Login: user=<alice>, method=PLAIN, rip=192.0.2.3, lip=192.0.2.9, mpid=2, session=<t>")
    let failure = "heard 192.0.2.3 alice: auth-failures 1"
    #expect(count() == [failure, failure, failure, "heard 192.0.2.3 alice: auth-successes 1"])
  }

  private static let saslauthdFailure =
    ": auth failure: [user=alice] [service=smtp] [realm=] [mech=pam] [reason=PAM auth error]"
  private static let sendmailFailure =
    "A00000001: AUTH failure (PLAIN): authentication failure (-13) SASL(-13): authentication failure: no"

  @Test("Where the MTA names users, saslauthd is not heard of SMTP: the MTA's line knows the address, too")
  func saslauthd() {
    log.line("saslauthd[37]", Self.saslauthdFailure)
    log.sendmail("\(Self.sendmailFailure), user=alice, relay=c [192.0.2.3]")
    #expect(count() == ["heard 192.0.2.3 alice: auth-failures 1"])
  }

  @Test("Where it does not, saslauthd tells the user and the MTA the address, each once")
  func saslauthdOfOldMTA() {
    log.sendmail("\(Self.sendmailFailure), relay=c [192.0.2.3]")
    log.line("saslauthd[37]", Self.saslauthdFailure)
    log.sendmail("\(Self.sendmailFailure), relay=c [192.0.2.3]")
    #expect(
      count() == [
        "heard 192.0.2.3: auth-failures 1", "heard alice: auth-failures 1", "heard 192.0.2.3: auth-failures 1",
      ])
  }

  @Test("A client that gives no name does not make it seem that the MTA names none")
  func noName() {
    log.sendmail("\(Self.sendmailFailure), user=bob, relay=c [192.0.2.3]")
    log.sendmail("\(Self.sendmailFailure), user=, relay=c [192.0.2.3]")
    log.line("saslauthd[37]", Self.saslauthdFailure)
    #expect(count() == ["heard 192.0.2.3 bob: auth-failures 1", "heard 192.0.2.3: auth-failures 1"])
  }

  @Test("Of other services saslauthd is heard in any case")
  func saslauthdOfIMAP() {
    log.line("saslauthd[37]", Self.saslauthdFailure.replacing("smtp", with: "imap"))
    #expect(count() == ["heard alice: auth-failures 1"])
  }

  @Test("Where a session's end tells of more than the attempts, the user and the address get what is new to each")
  func uneven() {
    log.line("dovecot", "auth: passwd-file(alice,192.0.2.3,<s>): Password mismatch")
    log.line("dovecot", "auth: passwd-file(bob,192.0.2.3,<s>): Password mismatch")
    log.line(
      "dovecot",
      "imap-login: Disconnected (auth failed, 3 attempts in 3 secs): user=<bob>, method=PLAIN, rip=192.0.2.3, "
        + "lip=192.0.2.9, session=<s>")
    #expect(
      count().suffix(2) == ["heard 192.0.2.3 bob: auth-failures 1", "heard bob: auth-failures 1"])
  }

  @Test(
    "A relay attempt counts once, whether the milter or the log tells first; the refused recipient counts in any case")
  func relaying() {
    log.smtpd(
      "NOQUEUE: reject: RCPT from unknown[192.0.2.3]: 554 5.7.1 <v@mx.test>: Relay access denied; from=<x@spam.test> "
        + "to=<v@mx.test> proto=ESMTP helo=<h>")
    var shown = attempt(nil)
    (shown.step, shown.source, shown.happened) = (.refusedRecipient, .milter, [.badRecipients: 1, .relayAttempts: 1])
    #expect(
      count(before: [(shown, .milter)]) == ["refused-recipient 192.0.2.3: bad-recipients 1, relay-attempts 1"])
    #expect(
      count(after: [(shown, .milter)]) == [
        "heard 192.0.2.3 <x@spam.test>: relay-attempts 1", "refused-recipient 192.0.2.3: bad-recipients 1",
      ])
  }

  @Test("What passes of a point of a session is the point itself, though all that happened is known")
  func pointOfSession() {
    var shown = attempt(nil)
    (shown.step, shown.source, shown.happened) = (.refusedRecipient, .milter, [.relayAttempts: 1])
    #expect(count(before: [(shown, .postfix), (shown, .milter)]).last == "refused-recipient 192.0.2.3")
  }

  @Test("Our own refusal at the end of a message is not another filter's")
  func ownRefusal() {
    log.line(
      "postfix/cleanup[9]",
      "AAAAA1: milter-reject: END-OF-MESSAGE from unknown[192.0.2.3]: 4.7.1 later; from=<a@b.test> to=<bob@mx.test> "
        + "proto=ESMTP helo=<h>")
    var own = attempt(nil)
    own.happened = [.filterRejections: 1]
    #expect(count(before: [(own, .milter)]).count == 1)
    #expect(count().count == 1)
  }

  @Test("A reload of the policy's realms makes names anew")
  func realms() {
    let line = "warning: unknown[192.0.2.3]: SASL LOGIN authentication failed: no, sasl_username=a@other.test"
    log.smtpd(line)
    log.setup.realms = LocalRealms(listed: ["other.test"])
    log.smtpd(line)
    #expect(log.events.map(\.event.subject.user) == ["a@other.test", "a"])
  }

  @Test("In a replay without realms the MTA's host is one, if its name is whole")
  func learnedRealm() {
    let log = Joining(.replay)
    log.setup.realms = LocalRealms()
    let line = "warning: unknown[192.0.2.3]: SASL LOGIN authentication failed: no, sasl_username=a@"
    log.line("postfix/smtpd[1]", line + "mx.test", host: "mx.test")
    log.line("postfix/smtpd[1]", line + "mx", host: "mx")
    #expect(log.events.map(\.event.subject.user) == ["a", "a@mx"])
  }
}
