import Testing
import WardenCore

@testable import WardenPolicy

/// Other files' parts of a policy.
struct IncludeTests {
  private static let rule = PolicyText.rule(name: "cap")

  private static func read(_ text: String, _ files: [String: [(file: String, text: String)]]) -> ReadResult {
    PolicyReader.read(
      text + rule, file: "main.yaml",
      load: { name throws(PolicyReader.IncludeProblem) in
        guard let found = files[name] else { throw PolicyReader.IncludeProblem("No such file or directory") }
        return found
      })
  }

  @Test("What files hold joins the policy, and each override knows its place")
  func joins() throws {
    let read = Self.read(
      "include: [a.yaml, overrides.d]\nexempt: {networks: [127.0.0.1], users: [root]}\ngroups: {staff: [alice]}\noverrides: {bob: exempt}\n",
      [
        "a.yaml": [
          ("/etc/a.yaml", "overrides:\n  # Ann's newsletter\n  ann: cap 500 per 1h\n  group robots: exempt\n")
        ],
        "overrides.d": [
          ("/etc/o/1.yaml", "groups: {robots: [backup]}\nexempt: {networks: [192.0.2.0/24], users: [monitor]}\n"),
          ("/etc/o/2.yaml", "# Nothing at present.\n"), ("/etc/o/3.yaml", "---\n"),
          ("/etc/o/4.yaml", "overrides:\n  group staff: cap off\n"),
        ],
      ])
    #expect(read.diagnostics.map(\.description) == [])
    let policy = try #require(read.configuration?.policy)
    #expect(policy.exempt.networks.map(\.description) == ["127.0.0.1/32", "192.0.2.0/24"])
    #expect(policy.exempt.users == ["root", "monitor"])
    #expect(policy.groups == ["staff": ["alice"], "robots": ["backup"]])
    #expect(policy.overrides.map(\.origin) == ["main.yaml:4", "/etc/a.yaml:3", "/etc/a.yaml:4", "/etc/o/4.yaml:2"])
    let limit = Limit(count: 500, window: .hours(1))
    #expect(policy.overrides[1].effect == .limits(rule: "cap", [limit]) && policy.overrides[1].target == .user("ann"))
  }

  @Test("Problems carry the name of their file")
  func problems() {
    let read = Self.read(
      "include: [a.yaml, overrides.d, b.yaml, a.yaml]\ngroups: {staff: [alice]}\noverrides: {ann: cap off, group staff: exempt}\n",
      [
        "a.yaml": [
          (
            "a.yaml",
            "rules: []\noverrides:\n  ann: cap off\n  bob: cup off\ngroups:\n  staff: [bob]\ninclude: x\n"
          )
        ],
        "b.yaml": [("b.yaml", "- a\n")],
        "overrides.d": [("o/1.yaml", "overrides: [\n"), ("o/2.yaml", "exempt: {networks: [192.0.2.1/24, here]}\n")],
      ])
    #expect(read.configuration == nil)
    #expect(
      read.diagnostics.map(\.description) == [
        "main.yaml:1:40: a.yaml is included twice",
        "a.yaml:1:1: unknown key \"rules\" in an included file",
        "a.yaml:3:8: rule \"cap\" is overridden for them already (main.yaml:3)",
        "a.yaml:4:8: there is no rule \"cup\" (did you mean \"cap\"?)",
        "a.yaml:6:3: there is a group \"staff\" already (main.yaml:2)",
        "a.yaml:7:1: unknown key \"include\" in an included file",
        "o/1.yaml:2:1: not valid YAML: did not find expected node content",
        "o/2.yaml:1:21: warning: 192.0.2.1/24 has bits beyond its prefix; it means 192.0.2.0/24",
        "o/2.yaml:1:35: \"here\" is not a network; write 192.0.2.0/24, 2001:db8::/32 or one address",
        "b.yaml:1:1: an included file has to be a mapping (groups: ..., overrides: ..., exempt: ...)",
      ])
  }

  @Test("What cannot be fetched is told where it is asked for")
  func missing() {
    let read = Self.read("include: overrides.d\n", [:])
    #expect(
      read.diagnostics.map(\.description) == [
        "main.yaml:1:10: \"overrides.d\" cannot be included: No such file or directory"
      ])
  }

  @Test("Warnings carry the name of their file, too")
  func warnings() {
    let read = Self.read(
      "include: a.yaml\n", ["a.yaml": [("a.yaml", "groups: {staff: [alice]}\nexempt:\n  users: [bob]\n")]])
    #expect(
      read.diagnostics.map(\.description) == ["a.yaml:1:10: warning: no rule and no override names group \"staff\""])
  }
}

/// Dates of overrides.
struct DateTextTests {
  @Test(
    "Dates are read",
    arguments: [
      ("1970-01-01", "1970-01-01T00:00:00Z"), ("2026-12-01", "2026-12-01T00:00:00Z"),
      ("2024-02-29", "2024-02-29T00:00:00Z"), ("2000-02-29", "2000-02-29T00:00:00Z"),
      ("9999-12-31", "9999-12-31T00:00:00Z"), ("2026-12-01T18:00:00Z", "2026-12-01T18:00:00Z"),
      ("2026-12-01T18:00:00+01:00", "2026-12-01T17:00:00Z"), ("2026-12-31T23:30:00-05:30", "2027-01-01T05:00:00Z"),
      ("2026-12-01T18:00:00.999Z", "2026-12-01T18:00:00Z"),
    ])
  func dates(text: String, wanted: String) {
    #expect(DateText.timestamp(text)?.rfc3339 == wanted)
  }

  @Test(
    "Everything else is not",
    arguments: [
      "", "2026", "2026-12", "2026-12-1", "2026-00-01", "2026-01-00", "2026-04-31", "2100-02-29", "1969-12-31",
      "2026-12-01T", "2026-12-01T18:00:00", "2026-12-01T18:00Z", "2026-12-01 18:00:00Z", "2026-12-01T24:00:00Z",
      "2026-12-01T18:60:00Z", "2026-12-01T18:00:61Z", "2026-12-01T18:00:00+25:00", "2026-12-01T18:00:00+0100",
      "2026-12-01T18:00:00.Z", "2026-12-01T18:00:00Zulu", "２０２６-12-01", "-026-12-01", "2026-12-01T18:00:00",
    ])
  func noDates(text: String) {
    #expect(DateText.timestamp(text) == nil)
  }
}
