import Testing
import WardenCore
import WardenScript

@Suite("Scripts are read")
struct ReadingTests {
  @Test("Every action")
  func actions() throws {
    let script = try script(
      """
      # a comment
      use ../policy.yaml   # another
      at 2026-11-24T10:00:00Z
      daemon submission
      from 2001:db8::1
        helo mail.far.test
      login alice
      mail <alice#1@local.test>
      rcpt "a b"@far.test
      header List-Id: <news.local.test>
      message 1000
      mail <>
      rset
      command FOO bar
      quit
      block user:Alice for 1h30m
      release ip:192.0.2.7
      allow network:192.0.2.0/24 for 1d
      blocked server
      free user:alice,ip:192.0.2.7
      wait 90m
      from 192.0.2.1
      mail a@b.test
      cut-off
      from 192.0.2.1
      drop
      """)
    #expect(
      script.lines.map(\.action) == [
        .time, .from("2001:db8::1", daemon: "submission"), .helo("mail.far.test"), .login("alice"),
        .mail("alice#1@local.test"), .recipient("\"a b\"@far.test"),
        .header(name: "List-Id", value: "<news.local.test>"), .message(bytes: 1000), .mail(""), .reset,
        .command("FOO bar"), .quit, .block("user:alice", for: .minutes(90)), .release("ip:192.0.2.7"),
        .allow("network:192.0.2.0/24", for: .days(1)), .blocked("server"), .free("user:alice,ip:192.0.2.7"), .time,
        .from("192.0.2.1", daemon: "submission"), .mail("a@b.test"), .cutOff, .from("192.0.2.1", daemon: "submission"),
        .drop,
      ])
    #expect(script.lines.map(\.number) == [3] + Array(5...26))
    #expect(script.lines.allSatisfy { "\($0.expectation)" == "go-on" })
  }

  @Test("Every expectation, and back as it was written")
  func expectations() throws {
    let written = [
      "from 192.0.2.1 => go-on", "mail a@b.test => go-on", "rcpt a@b.test => unknown", "rcpt a@b.test => relay-denied",
      "rcpt a@b.test => listed, blocked dnsbl", "rcpt a@b.test => refused 450",
      "rcpt a@b.test => refused 550 by cap", "rcpt a@b.test => refused 450 by cap: user alice, ip 1: 3, 4 left",
      "rcpt a@b.test => refused 450 user alice, ip 1: 3", "message 1 => held, alert a",
      "mail a@b.test => go-on", "message 1 => held by hijack, alert hijack, run firewall, run page by hijack",
      "mail a@b.test => go-on", "message 1 => held by hijack: 3 networks", "mail a@b.test => go-on",
      "message 1 => held 3 networks, observed x", "quit => go-on, blocked a", "from 192.0.2.1 => go-on, quiet",
    ]
    let lines = try script(written.joined(separator: "\n")).lines
    #expect(lines.map { "\($0.text) => \($0.expectation)" } == written)
    #expect(lines[7].expectation.verdict == .refused(code: 450, text: "user alice, ip 1: 3, 4 left"))
    #expect(lines[7].expectation.rule == "cap")
    #expect(lines[11].expectation.notices.map(\.kind) == [.alert, .run("firewall"), .run("page")])
    #expect(lines[11].expectation.notices.map(\.rule) == ["hijack", nil, "hijack"])
  }

  @Test("Notices alone mean that it goes on")
  func noticesAlone() throws {
    let line = try #require(try script("from 192.0.2.1 => observed a, blocked b").lines.first)
    #expect(line.expectation.verdict == .goOn)
    #expect(line.expectation.notices.map(\.kind) == [.observed, .blocked])
  }

  @Test("Line ends of any system")
  func lineEnds() throws {
    #expect(try script("from 192.0.2.1\r\nquit\r\n").lines.map(\.action) == [.from("192.0.2.1", daemon: nil), .quit])
  }

  @Test("The policy: within, in a file beside the script, or left open")
  func policy() throws {
    let text = """
      # first
      policy
        rules:
          - name: a

            count: messages   # kept
      from 192.0.2.1
      """
    #expect(
      try script(text).policySource == .text("\n\nrules:\n  - name: a\n\n    count: messages   # kept"))
    for (file, used, path) in [
      ("tests/x/a.session", "../../b.yaml", "tests/x/../../b.yaml"), ("a.session", "b.yaml", "b.yaml"),
      ("/t/a.session", "/etc/my policy.yaml", "/etc/my policy.yaml"),
    ] {
      #expect(try script("use \(used)\nfrom 192.0.2.1", file: file).policySource == .file(path))
    }
    #expect(try script("from 192.0.2.1").policySource == nil)
    #expect(try script("from 192.0.2.1", file: "/t/a b.session").name == "a b")
  }

  @Test("Rounds nest, and {n} is the innermost one's number")
  func rounds() throws {
    let script = try script(
      """
      repeat 2
        from 10.0.{n}.1 => refused 421 by rule{n}
        drop
        repeat 3
          release ip:10.0.0.{n}
        end
      end
      """)
    #expect(
      script.lines.map(\.text)
        == (1...2).flatMap { outer in
          ["from 10.0.\(outer).1", "drop"] + (1...3).map { "release ip:10.0.0.\($0)" }
        })
    #expect(script.lines.map(\.rounds)[4...6] == [[1, 3], [2], [2]])
    #expect(script.lines[5].expectation.rule == "rule2")
  }

  @Test("Time: a second an action, more by wait, another pace, a moment of its own")
  func time() throws {
    let script = try script(
      """
      at 2026-11-24T10:00:00Z
      from 192.0.2.1
      wait 90m
      mail a@b.test
      pace 0s
      rcpt c@d.test
      message 1
      pace 1m
      quit
      at 2028-02-29T23:59:59Z
      free server
      """)
    #expect(
      script.lines.map(\.at.rfc3339) == [
        "2026-11-24T10:00:00Z", "2026-11-24T10:00:01Z", "2026-11-24T11:30:01Z", "2026-11-24T11:30:02Z",
        "2026-11-24T11:30:02Z", "2026-11-24T11:30:02Z", "2026-11-24T11:31:02Z", "2028-02-29T23:59:59Z",
        "2028-03-01T00:00:59Z",
      ])
  }
}

@Suite("Problems of a script")
struct ProblemTests {
  @Test(
    "Each with its line and the nearest right word",
    arguments: [
      ("mesage 1000", #""mesage" is no action (did you mean "message"?)"#),
      ("xyzzyplugh", #""xyzzyplugh" is no action"#),
      ("from", #""from" needs more: write from 192.0.2.7"#),
      ("from 300.0.0.1", #""300.0.0.1" is not an address; write from 192.0.2.7"#),
      ("message ten", #""ten" is not a number of bytes up to 1000000000; write message 1000"#),
      ("message -1", #""-1" is not a number of bytes up to 1000000000; write message 1000"#),
      ("header Subject", #""Subject" is not a header field; write header List-Id: <news.local.test>"#),
      ("quit now", #""quit" stands alone, without "now""#),
      ("block user:a", #""user:a" is not a key and a time; write block user:alice for 1h"#),
      ("block user:a for ever", #""ever" is not a time; write 90s, 30m, 2h, 3d or 1h30m"#),
      ("release usr:a", #"unknown kind of key "usr" (did you mean "user"?)"#),
      ("free ip:x", #""x" is not a value for ip"#),
      ("wait 90", #""90" is not a time; write 90s, 30m, 2h, 3d or 1h30m"#),
      ("pace x", #""x" is not a time; write 90s, 30m, 2h, 3d or 1h30m"#),
      ("at 2026-02-29T10:00:00Z", #""2026-02-29T10:00:00Z" is not a moment in UTC; write at 2026-11-24T10:00:00Z"#),
      ("at 10:00", #""10:00" is not a moment in UTC; write at 2026-11-24T10:00:00Z"#),
      ("repeat", #""" is not how often; write repeat 25"#),
      ("repeat 0\nend", #""0" is not how often; write repeat 25"#),
      ("repeat 2", #"the "repeat" has no "end""#),
      ("end", #"there is no "repeat" to end here"#),
      ("use", "use which file? write use ../../default.yaml"),
      ("policy x.yaml", #""policy" stands alone; a policy in a file is named by "use FILE""#),
      ("rcpt guest{n}@far.test", "{n} is the number of a round, and nothing is repeated here"),
      ("mail a@b.test => goon", #""goon" is not an expectation (did you mean "go-on"?)"#),
      ("mail a@b.test =>", #"nothing follows "=>"; write go-on, or what is expected"#),
      ("mail a@b.test=>go-on", #"write " => ", with a space on either side"#),
      ("mail a@b.test => refused", #""" is not the code of a refusal; write refused 450, or refused 550"#),
      ("mail a@b.test => refused 250", #""250" is not the code of a refusal; write refused 450, or refused 550"#),
      ("mail a@b.test => refused 450 by", "by which rule? write by RULE, or by RULE: TEXT"),
      ("mail a@b.test => refused 450 by cap 61", "write a colon between rule and text: by cap: 61"),
      ("mail a@b.test => held", #""held" cannot follow "mail"; go-on, refused can"#),
      ("quit => refused 450", #""refused" cannot follow "quit"; go-on can"#),
      ("mail a@b.test => unknown", #""unknown" cannot follow "mail"; go-on, refused can"#),
      ("release user:a => go-on", #""release" has no answer to expect"#),
      ("mail a@b.test => go-on please", #""go-on" stands alone, without "please""#),
      ("mail a@b.test => alert", #""alert" is not a notice; write alert RULE"#),
      ("mail a@b.test => run a b", #""run a b" is not a notice; write run NAME, or run NAME by RULE"#),
      ("mail a@b.test => quiet please", #""quiet please" is not a notice; write quiet alone"#),
      ("mail a@b.test => alert cap, quiet", #""quiet" means no notice at all, not even "alert cap""#),
      ("mail a@b.test => go-on, alrt cap", #""alrt" is not an expectation (did you mean "alert"?)"#),
      ("mail a@b.test => refused 450, alrt cap", #""alrt" is not an expectation (did you mean "alert"?)"#),
    ])
  func one(_ line: String, _ message: String) {
    // In an open message, so that nothing else is wrong.
    let before = "from 192.0.2.1\n" + (line.hasPrefix("rcpt") ? "mail a@b.test\n" : "")
    let found = problems(before + line)
    let number = before.split(separator: "\n").count + 1
    #expect(found.first == "\(number): \(message)", "\(found)")
  }

  @Test("All at once, in the order of the file")
  func all() {
    #expect(
      problems(
        """
        use a.yaml
        use b.yaml
        form 192.0.2.1
        mail a@b.test => refused
        message
        """) == [
          "2: the script has a policy already",
          #"3: "form" is no action (did you mean "from"?)"#,
          #"4: "" is not the code of a refusal; write refused 450, or refused 550"#,
          #"5: "message" needs more: write message 1000"#,
        ])
  }

  @Test("What no session can do")
  func order() {
    #expect(problems("mail a@b.test") == ["1: no connection is open; open one with from ADDRESS"])
    #expect(problems("quit") == ["1: no connection is open"])
    #expect(
      problems("from 192.0.2.1\nfrom 192.0.2.1")
        == ["2: the connection before is still open; end it with quit or drop"])
    #expect(problems("from 192.0.2.1\nrcpt a@b.test") == ["2: no message is begun; begin one with mail ADDRESS"])
    #expect(
      problems("from 192.0.2.1\nmail a@b.test => refused 450\nmessage 1")
        == ["3: no message is begun; begin one with mail ADDRESS"])
    #expect(
      problems("from 192.0.2.1\nmail a@b.test\nmail a@b.test")
        == ["3: a message is begun already; end it with message or rset"])
    #expect(problems("from 192.0.2.1 => refused 421\nfrom 192.0.2.1 => refused 421\ndrop") == [])
    #expect(
      problems("from 192.0.2.1 => refused 421\nmail a@b.test")
        == ["2: no connection is open; open one with from ADDRESS"])
    #expect(problems("from 192.0.2.1\nmail a@b.test\ncut-off\nquit") == ["4: no connection is open"])
  }

  @Test("Time does not go back, nor beyond the calendar")
  func time() {
    #expect(
      problems("at 2026-11-24T10:00:00Z\nwait 1h\nat 2026-11-24T10:30:00Z")
        == ["3: it is 2026-11-24T11:00:00Z already: time does not go back to 2026-11-24T10:30:00Z"])
    #expect(problems("free server\nat 2026-11-24T10:00:00Z").count == 1)
    #expect(problems("repeat 100\nwait 36500d\nend") == ["2: this would be after 9999-12-31T23:59:59Z"])
  }

  @Test("A problem in a round is told once")
  func rounds() {
    #expect(
      problems("repeat 300\nfrom 10.0.0.{n}\ndrop\nend")
        == [#"2: "10.0.0.256" is not an address; write from 192.0.2.7"#])
  }

  @Test("A script that would never end is none")
  func bounds() {
    #expect(
      problems("repeat 9223372036854775807\nend") == ["1: the script has more than 200000 steps, from here on"])
    #expect(problems("repeat 1000\nrepeat 1000\nfree server\nend\nend").count == 1)
    let deep = String(repeating: "repeat 2\n", count: 100_000)
    let ends = String(repeating: "end\n", count: 100_000)
    #expect(problems(deep + "free server\n" + ends) == ["9: repeats nest at most 8 deep"])
    #expect(problems("") == ["1: the script does nothing"])
  }

  @Test("Nothing makes the reader crash")
  func garbage() {
    let words = [
      "from", "mail", "=>", "repeat", "end", "{n}", "by", "refused", "450", ",", "alert", "\u{0}", "é", "<", ">",
      "policy",
      "\n", "\n", "  ", "block", "for", "1h", "user:", ":", "#", "at", "99999999999999999999", "wait", "run", "held",
    ]
    var random = SystemRandomNumberGenerator()
    for _ in 0..<2_000 {
      let text = (0..<Int.random(in: 1...30, using: &random)).map { _ in words.randomElement(using: &random)! }
        .joined(separator: Bool.random(using: &random) ? " " : "")
      _ = problems(text)
    }
  }
}

@Suite("Rules that a script names")
struct NamedRuleTests {
  let policy = Policy(rules: [
    rule("account-cap", .messages, 1, then: Consequences(refusal: .tempfail)),
    rule("harvest", .unknownRecipients, 1, then: Consequences(run: ["firewall"])),
    rule("other", .messages, 1, then: Consequences(alert: true)),
  ])

  @Test("Those that the policy does not have are told")
  func unknown() throws {
    let script = try script(
      """
      from 192.0.2.1 => refused 421 by administrator
      repeat 2
      from 192.0.2.1 => refused 421 by acount-cap
      end
      drop
      from 192.0.2.1
      quit => alert harvst, run firewal, run firewall by harvest
      """)
    #expect(
      script.problems(under: policy).map(\.description) == [
        #"a.session:3: the policy has no rule "acount-cap" (did you mean "account-cap"?)"#,
        #"a.session:7: the policy has no rule "harvst" (did you mean "harvest"?)"#,
        #"a.session:7: the policy has no command "firewal" (did you mean "firewall"?)"#,
      ])
  }

  @Test("A rule is tested where it is expected to act")
  func tested() throws {
    for (text, tested) in [
      ("from 192.0.2.1", [false, false, false]), ("from 192.0.2.1 => refused 421", [false, false, false]),
      ("from 192.0.2.1 => refused 421 by account-cap", [true, false, false]),
      ("from 192.0.2.1 => alert other, blocked account-cap", [true, false, true]),
      ("from 192.0.2.1 => run firewall", [false, true, false]),
      ("from 192.0.2.1 => run firewall by other", [false, false, true]),
    ] {
      let script = try script(text)
      #expect(policy.rules.map { script.tests($0) } == tested, "\(text)")
    }
  }
}
