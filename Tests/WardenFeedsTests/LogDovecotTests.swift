import Testing
import WardenCore

@testable import WardenFeeds

/// What Dovecot's login processes and its authentication server say.
@Suite("Dovecot's lines")
struct LogDovecotTests {
  private func failed(
    _ client: String?, _ user: String?, _ failure: LogFact.Failure = .refused, attempts: Int = 1
  ) -> Told {
    Told(.loginFailed(attempts: attempts, failure), client, user: user)
  }

  private func expect(_ lines: [(String, Told?)]) {
    for (line, told) in lines {
      #expect(Lines.told(line, by: "dovecot") == told, "\(line)")
      // Dovecot's own file.
      Lines.fact(Array("Nov 21 02:34:04 \(line)".utf8)) { #expect($0.map(Told.init) == told, "\(line)") }
    }
  }

  @Test("Sessions, once at their end, with how many attempts there were")
  func sessions() {
    let fields = "user=<alice>, method=PLAIN, rip=192.0.2.3, lip=192.0.2.1, TLS, session=<XLBdVcBgKsN/AAAB>"
    expect([
      ("imap-login: Login: \(fields)", Told(.loggedIn, "192.0.2.3", user: "alice")),
      ("pop3-login: Info: Login: \(fields)", Told(.loggedIn, "192.0.2.3", user: "alice")),
      (
        "imap-login: Disconnected: Connection closed (auth failed, 3 attempts in 22 secs): \(fields)",
        failed("192.0.2.3", "alice", attempts: 3)
      ),
      (
        "imap-login: Info: Aborted login (auth failed, 7 attempts in 111 secs): \(fields)",
        failed("192.0.2.3", "alice", attempts: 7)
      ),
      ("pop3-login: Disconnected (auth failed, 1 attempts): \(fields)", failed("192.0.2.3", "alice")),
      (
        "imap-login: Login aborted: Connection closed (auth failed, 3 attempts in 16 secs) (auth_failed): \(fields)",
        failed("192.0.2.3", "alice", attempts: 3)
      ),
      (
        "submission-login: Client has quit the connection (auth failed, 2 attempts in 3 secs): \(fields)",
        failed("192.0.2.3", "alice", attempts: 2)
      ),
      (
        "imap-login: Disconnected: Too many invalid commands (auth failed, 1 attempts in 0 secs): user=<a@b.test>, "
          + "rip=2001:db8::1, lip=::1, session=<x>",
        failed("2001:db8::1", "a@b.test")
      ),
      (
        "imap-login: Disconnected (tried to use disallowed plaintext auth): user=<>, rip=192.0.2.3, lip=192.0.2.1",
        failed("192.0.2.3", nil, .aborted)
      ),
      (
        "imap-login: Disconnected (client didn't finish SASL auth, waited 9 secs): user=<>, rip=192.0.2.3, lip=192.0.2.1",
        failed("192.0.2.3", nil, .aborted)
      ),
      (
        "imap-login: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip=192.0.2.3, lip=x",
        Told(.other)
      ),
      ("imap-login: Info: proxy(a): started proxying to 192.0.2.9:143", Told(.other)),
      ("imap(alice)<267><xdwfVcBg7sJ/AAAB>: Disconnected: Logged out in=12 out=477", Told(.other)),
    ])
    #expect(Lines.told("master: Dovecot v2.3.19.1 (9b53102964) starting up for imap", by: "dovecot") == Told(.other))
  }

  @Test("The authentication server's words, attempt by attempt")
  func attempts() {
    expect([
      ("auth: passwd-file(alice,192.0.2.3): Password mismatch", failed("192.0.2.3", "alice")),
      ("auth: Info: passwd-file(alice,192.0.2.3): Password mismatch", failed("192.0.2.3", "alice")),
      ("auth: passwd-file(a@b.test,2001:db8::1,<I/FDQcBghNx/AAAB>): unknown user", failed("2001:db8::1", "a@b.test")),
      (
        "auth(default): pam(alice,192.0.2.3): pam_authenticate() failed: Authentication failure (password mismatch?)",
        failed("192.0.2.3", "alice")
      ),
      ("auth-worker(24544): pam(alice,192.0.2.3): unknown user", failed("192.0.2.3", "alice")),
      (
        "auth-worker(63712): Info: conn unix:auth-worker (pid=58074,uid=109): auth-worker<4>: sql(alice,192.0.2.3): unknown user",
        failed("192.0.2.3", "alice")
      ),
      ("auth: ldap(alice,192.0.2.3): invalid credentials", failed("192.0.2.3", "alice")),
      ("auth: sql(alice,192.0.2.3): unknown user (given password: Password123$)", failed("192.0.2.3", "alice")),
      ("auth: sql(alice,192.0.2.3): Password mismatch (SHA1 of given password: 21bd12)", failed("192.0.2.3", "alice")),
      ("auth(alice,192.0.2.3,sasl:login)<sess>: Info: sql: Password mismatch", failed("192.0.2.3", "alice")),
      ("auth(alice,192.0.2.3,sasl:login): Info: sql: unknown user", failed("192.0.2.3", "alice")),
      (
        "auth: policy(alice,192.0.2.3): Authentication failure due to policy server refusal",
        failed("192.0.2.3", "alice", .policy)
      ),
      (
        "auth: policy(alice,192.0.2.3): Authentication failure due to policy server refusal: mailwarden: x",
        failed("192.0.2.3", "alice", .policy)
      ),
      (
        "auth: plain(?,192.0.2.3): Username character disallowed by auth_username_chars: 0x5d (username: eve]: from=<x>)",
        failed("192.0.2.3", nil)
      ),
      ("auth: policy(alice,192.0.2.3): Policy check action is drop connection", Told(.other)),
      ("auth: Error: policy(alice,192.0.2.3): Policy server HTTP error: 500", Told(.other)),
      ("auth: Error: auth client 0 disconnected with 1 pending requests: EOF", Told(.other)),
    ])
  }
}

/// What saslauthd says.
@Suite("saslauthd's lines")
struct LogSaslauthdTests {
  @Test("A failed login has a name, and no client")
  func logins() {
    for (line, user) in [
      (
        "                : auth failure: [user=alice] [service=smtp] [realm=] [mech=pam] [reason=PAM auth error]",
        "alice"
      ),
      ("do_auth         : auth failure: [user=a b] [service=smtp] [realm=x] [mech=pam] [reason=Unknown]", "a b"),
      ("                : auth failure: [user=x] [x]] [service=smtp] [realm=] [mech=pam] [reason=x]", "x] [x]"),
      ("                : auth failure: [user=x] [service=y] [service=smtp] [realm=] [mech=pam] [reason=x]", nil),
      ("                : auth failure: [user=] [service=smtp] [realm=] [mech=pam] [reason=x]", nil),
      ("                : login exceeded MAX_REQ_LEN: 256", nil),
    ] {
      #expect(
        Lines.told(line, by: "saslauthd") == Told(.loginFailed(attempts: 1, .refused), user: user), "\(line)")
    }
  }

  @Test("PAM tells the same once more")
  func noise() {
    for line in [
      "pam_unix(smtp:auth): authentication failure; logname= uid=0 euid=0 tty= ruser= rhost=  user=alice",
      "DEBUG: auth_pam: pam_authenticate failed: Authentication failure", "                : master pid is: 37",
    ] {
      #expect(Lines.told(line, by: "saslauthd") == Told(.other), "\(line)")
    }
  }
}
