import Testing
import WardenScript

@testable import WardenCore

/// What came against what was expected: each expectation holds when it should and fails when it should.
@Suite("Expectations")
struct ExpectationTests {
  private static let reason = Reason(
    rule: "cap", key: Key(.user("alice")), cause: .administrator(note: "test"), until: Timestamp(microseconds: 0))

  private static func notice(_ kind: Notice.Kind, rule: String = "cap") -> Notice {
    let reason = Reason(rule: rule, key: reason.key, cause: reason.cause, until: reason.until)
    return Notice(kind: kind, reason: reason, step: .mail, subject: Subject(), at: reason.until)
  }

  private static func came(_ verdict: SessionScript.Verdict, _ notices: Notice...) -> SessionOutcome {
    let isGood = if case .goOn = verdict { true } else { false }
    return SessionOutcome(verdict, reason: isGood ? nil : reason, notices: notices)
  }

  private static let refused = came(.refused(code: 450, text: "alice: 26 messages"))
  private static let held = came(.held(text: "user alice: 26 messages"))

  @Test(
    "Answers",
    arguments: [
      ("go-on", came(.goOn), nil),
      ("go-on", refused, "got refused 450 by cap: alice: 26 messages, expected go-on"),
      ("go-on", held, "got held by cap: user alice: 26 messages, expected go-on"),
      ("refused 450", refused, nil),
      ("refused 450", came(.goOn), "got go-on, expected refused 450"),
      ("refused 450", held, "got held by cap: user alice: 26 messages, expected refused 450"),
      ("refused 550", refused, "got refused 450 by cap: alice: 26 messages, expected refused 550"),
      ("refused 450 26 mess", refused, nil),
      ("refused 450 27", refused, "got refused 450 by cap: alice: 26 messages, expected refused 450 27"),
      ("refused 450 by cap", refused, nil),
      ("refused 450 by cap: 26", refused, nil),
      (
        "refused 450 by cap: 27", refused, "got refused 450 by cap: alice: 26 messages, expected refused 450 by cap: 27"
      ),
      ("refused 450 by other", refused, "got refused 450 by cap: alice: 26 messages, expected refused 450 by other"),
      ("refused 450 by other", .refused(code: 450, text: ""), nil),
      ("held", held, nil),
      ("held 26 messages", held, nil),
      ("held by cap: 26", held, nil),
      ("held", came(.goOn), "got go-on, expected held"),
      ("held 27", held, "got held by cap: user alice: 26 messages, expected held 27"),
      ("held by other", held, "got held by cap: user alice: 26 messages, expected held by other"),
    ] as [(String, SessionOutcome, String?)])
  func answer(_ expected: String, _ outcome: SessionOutcome, _ failure: String?) throws {
    #expect(try play("message 1 => \(expected)", outcome).map(\.message) == (failure.map { [$0] } ?? []))
  }

  @Test("The MTA's own refusals", arguments: SessionScript.MTARefusal.allCases)
  func mta(_ cause: SessionScript.MTARefusal) throws {
    #expect(try play("rcpt a@b.test => \(cause.rawValue)", Self.came(.refusedByMTA(cause))) == [])
    #expect(try play("rcpt a@b.test => \(cause.rawValue)", Self.came(.goOn)).count == 1)
    #expect(try play("rcpt a@b.test => go-on", Self.came(.refusedByMTA(cause))).count == 1)
    let other = SessionScript.MTARefusal.allCases.first { $0 != cause }!
    #expect(try play("rcpt a@b.test => \(cause.rawValue)", Self.came(.refusedByMTA(other))).count == 1)
  }

  @Test("Notices", arguments: [("alert", Notice.Kind.alert), ("observed", .observed), ("blocked", .blocked)])
  func notice(_ word: String, _ kind: Notice.Kind) throws {
    let expected = "message 1 => \(word) cap"
    #expect(try play(expected, Self.came(.goOn, Self.notice(kind))) == [])
    #expect(try play(expected, Self.came(.goOn, Self.notice(.alert, rule: "x"), Self.notice(kind))) == [])
    #expect(
      try play(expected, Self.came(.goOn)).map(\.message) == ["expected \(word) cap, no notice came"])
    let other = try play(expected, Self.came(.goOn, Self.notice(kind, rule: "x")))
    #expect(other.map(\.message) == ["expected \(word) cap, other notices came"])
    #expect(other.map(\.reasons) == [["\(word) x: user alice: blocked by the administrator (test)"]])
    // At a level where notices do not show, nothing can be said.
    #expect(try play(expected, SessionOutcome(.goOn)) == [])
    // Nobody asked.
    #expect(try play("message 1", Self.came(.goOn, Self.notice(kind))) == [])
  }

  @Test("Quiet")
  func quiet() throws {
    #expect(try play("message 1 => quiet", Self.came(.goOn)) == [])
    // A refusal is an answer, not news.
    #expect(try play("message 1 => refused 450, quiet", Self.came(Self.refused.verdict, Self.notice(.refused))) == [])
    let loud = try play("message 1 => go-on, quiet", Self.came(.goOn, Self.notice(.observed)))
    #expect(loud.map(\.message) == ["expected quiet, notices came"])
    #expect(loud.map(\.reasons) == [["observed cap: user alice: blocked by the administrator (test)"]])
  }

  @Test("Commands that are run")
  func run() throws {
    let outcome = Self.came(.goOn, Self.notice(.run("firewall")))
    #expect(try play("message 1 => run firewall", outcome) == [])
    #expect(try play("message 1 => run firewall by cap", outcome) == [])
    #expect(try play("message 1 => run firewall by other", outcome).count == 1)
    #expect(try play("message 1 => run page", outcome).count == 1)
  }

  @Test("The penalty box")
  func box() throws {
    let outcome = SessionOutcome.box(["user:alice", "ip:192.0.2.1"])
    #expect(try play("blocked user:alice", outcome) == [])
    #expect(
      try play("blocked user:bob", outcome).map(\.message)
        == ["user:bob is not blocked; ip:192.0.2.1, user:alice is"])
    #expect(try play("blocked user:bob", .box([])).map(\.message) == ["user:bob is not blocked; nobody is"])
    #expect(try play("free user:bob", outcome) == [])
    #expect(try play("free user:alice", outcome).map(\.message) == ["user:alice is blocked"])
  }

  @Test("A failure tells the place, the action, the round and why")
  func description() throws {
    let driver = CannedDriver([.goOn, .goOn, .goOn, Self.refused])
    let failures = try script(
      """
      from 192.0.2.1
      repeat 2
        mail a{n}@b.test
        rset
      end
      """
    ).run(on: driver)
    #expect(
      failures.map(\.description) == [
        """
        a.session:3: mail a2@b.test (round 2): got refused 450 by cap: alice: 26 messages, expected go-on
            user alice: blocked by the administrator (test)
        """
      ])
  }

  @Test("Another answer ends the script; a notice or the box does not, and a line fails once")
  func end() throws {
    let text = "repeat 3\nfree user:a\nend\nfrom 192.0.2.1\nmail a@b.test\nquit"
    let driver = CannedDriver([.box(["user:a"]), .box(["user:a"]), .box([]), Self.refused])
    #expect(try script(text).run(on: driver).map(\.line) == [2, 4])
    #expect(driver.played == ["free user:a", "free user:a", "free user:a", "from 192.0.2.1"])
    let silent = try script("from 192.0.2.1\nquit").run(on: CannedDriver([.goOn]))
    #expect(silent.map(\.description) == ["a.session:2: quit: the MTA hung up"])
  }

  private func play(_ last: String, _ outcome: SessionOutcome) throws -> [SessionScript.Failure] {
    let text = "from 192.0.2.1\nmail a@b.test\n\(last)"
    return try script(text).run(on: CannedDriver([.goOn, .goOn, outcome]))
  }
}

@Suite("Scripts on the engine")
struct EngineDriverTests {
  let policy = Policy(
    rules: [
      rule("cap", .messages, 2, then: Consequences(alert: true, refusal: .tempfail)),
      rule("watch", .messages, 1, then: Consequences(refusal: .reject), mode: .observe),
      rule("broken", .brokenConnections, per: .ip, 1, then: Consequences(block: Block([.hours(1)]))),
      rule("harvest", .unknownRecipients, per: .ip, 1, then: Consequences(alert: true)),
      rule("relay", .relayAttempts, per: .ip, 1, then: Consequences(alert: true)),
      rule("dnsbl", .dnsblRejections, per: .ip, 1, then: Consequences(alert: true)),
      rule("bytes", .bytes, per: .sender, 1_000, then: Consequences(alert: true)),
    ], exempt: Exemptions(networks: [Network("10.0.0.0/8")!]))

  @Test(
    "Rules act where they are expected to",
    arguments: [
      """
      from 192.0.2.1
      login alice
      mail a1@b.test
      message 1 => go-on
      mail a2@b.test
      message 1 => observed watch
      mail a3@b.test => refused 450 by cap: 3 messages in 1h (limit 2), alert cap
      quit
      wait 62m
      from 192.0.2.1
      login alice
      mail a4@b.test => go-on
      """,
      """
      repeat 2
        from 192.0.2.1
        free ip:192.0.2.1
        drop
      end
      blocked ip:192.0.2.1
      from 192.0.2.1 => refused 421 by broken
      release ip:192.0.2.1
      from 192.0.2.1
      quit => go-on
      from 192.0.2.1
      quit => blocked broken
      """,
      """
      from 192.0.2.1
      mail a@b.test
      rcpt a@b.test => unknown
      rcpt a@b.test => relay-denied
      rcpt a@b.test => listed
      rcpt a@b.test => listed, alert dnsbl
      rcpt a@b.test => relay-denied, alert relay
      rcpt a@b.test => unknown, alert harvest
      """,
      """
      from 192.0.2.1
      mail a@b.test
      header Subject: 0123456789
      message 979
      mail b@b.test
      header Subject: 0123456789
      message 980 => alert bytes
      """,
      """
      block network:192.0.2.0/24 for 1h
      from 192.0.2.1 => refused 421 by administrator
      wait 1h
      from 192.0.2.1 => go-on
      """,
      """
      repeat 3
        from 10.0.0.1
        drop
      end
      free ip:10.0.0.1
      from 10.0.0.1
      repeat 3
        mail a@b.test
        rcpt a@b.test => go-on
        message 5000 => go-on
      end
      """,
    ])
  func good(_ text: String) throws {
    #expect(try script(text).run(on: EngineDriver(policy: policy)) == [])
  }

  @Test(
    "What does not come is told",
    arguments: [
      (
        "from 192.0.2.1\nlogin alice\nmail a@b.test => refused 450", "3: mail a@b.test: got go-on, expected refused 450"
      ),
      ("from 192.0.2.1\nquit => blocked broken", "2: quit: expected blocked broken, no notice came"),
      ("from 192.0.2.1\nrset => alert cap", "2: rset: expected alert cap, no notice came"),
      ("from 10.0.0.1\nmail a@b.test => alert cap", "2: mail a@b.test: expected alert cap, no notice came"),
      ("blocked user:a", "1: blocked user:a: user:a is not blocked; nobody is"),
      ("block user:a for 1h\nfree user:a", "2: free user:a: user:a is blocked"),
      ("from 192.0.2.1\nmail a@b.test\nmessage 1 => held", "3: message 1: got go-on, expected held"),
    ])
  func bad(_ text: String, _ failure: String) throws {
    let failures = try script(text).run(on: EngineDriver(policy: policy))
    #expect(failures.map(\.description) == ["a.session:\(failure)"])
  }

  @Test("Service, HELO, header fields and recipients reach the engine; mail can be held and commands run")
  func rest() throws {
    func once(_ name: String, per: KeyKind, only: [Match] = [], then: Consequences) -> Rule {
      Rule(
        name: name, per: KeyShape(per),
        parts: [Part(.measure(.signal(.messages)), [Limit(count: 1, window: .hours(1))])], filter: Filter(only: only),
        then: then)
    }
    let policy = Policy(rules: [
      once("helo", per: .helo, then: Consequences(alert: true)),
      once("submission", per: .user, only: [.daemon("submission")], then: Consequences(hold: true)),
      once("lists", per: .ip, only: [.lists], then: Consequences(run: ["firewall"])),
      once("victim", per: .recipient, then: Consequences(alert: true)),
    ])
    let script = try script(
      """
      from 192.0.2.1
      login alice
      helo Robot
      mail a@b.test
      rcpt r@far.test
      message 1 => quiet
      mail a@b.test
      rcpt r@far.test
      message 1 => alert helo, alert victim
      mail a@b.test
      rcpt r2@far.test
      header List-Id: <news.b.test>
      message 1 => quiet
      mail a@b.test
      rcpt r3@far.test
      header List-Id: <news.b.test>
      message 1 => run firewall by lists
      quit

      daemon submission
      from 192.0.2.2
      login bob
      helo robot
      mail b@b.test
      rcpt r@far.test
      message 1 => go-on
      mail b@b.test
      rcpt r4@far.test
      message 1 => held by submission: user bob: 2 messages in 1h (limit 1)
      quit
      # Nothing of the connection before is left.
      from 192.0.2.2
      mail b@b.test
      rcpt r5@far.test
      message 1 => quiet
      quit
      """)
    #expect(script.run(on: EngineDriver(policy: policy)) == [])
  }

  @Test("Who is allowed is let through")
  func allow() throws {
    let script = try script(
      """
      allow user:alice for 1h
      from 192.0.2.1
      login alice
      repeat 4
        mail a@b.test
        message 1
      end
      wait 1h
      repeat 2
        mail a@b.test
        message 1
      end
      mail a@b.test => refused 450 by cap
      """)
    #expect(script.run(on: EngineDriver(policy: policy)) == [])
  }

  @Test("The policy is read by whoever runs the script")
  func reading() throws {
    var asked: [SessionScript.PolicySource] = []
    let failures = try script("use p.yaml\nfrom 192.0.2.1\ndrop\nfrom 192.0.2.1\ndrop => blocked broken", file: "t/a")
      .run { source in
        asked.append(source)
        return policy
      }
    #expect(failures == [])
    #expect(asked == [.file("t/p.yaml")])
    #expect(throws: SessionFault.self) { try script("from 192.0.2.1").run { _ in policy } }
  }
}
