/// Who mails whom: 500 logins, 2,000 client addresses in 198.18.0.0/15, 20,000 recipients in 400 domains.
/// The same seed makes the same session.
struct Traffic {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// SplitMix64 (Steele, Lea and Flood, 2014): the seeds may be consecutive numbers.
  private mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  private mutating func number(below limit: Int) -> Int { Int(next() % UInt64(limit)) }

  /// One session in four comes without a login.
  mutating func client() -> Client {
    let place = number(below: 2000) * 61
    let address = "198.\(18 + place >> 16).\(place >> 8 & 0xff).\(place & 0xff)"
    let user = number(below: 500)
    let isLoggedIn = number(below: 4) > 0
    return Client(
      address: address, port: UInt16(1024 + number(below: 60_000)), name: "host-\(place).clients.example",
      login: isLoggedIn ? "user\(user)@mail.example" : nil,
      sender: isLoggedIn ? "user\(user)@mail.example" : "sender\(user)@domain\(user % 90).example")
  }

  mutating func recipientDomain() -> String { "domain\(number(below: 400)).example" }
  mutating func recipientName() -> String { "recipient\(number(below: 50))" }
  mutating func queueID() -> String { String(next() >> 16 | 1 << 47, radix: 16, uppercase: true) }

  struct Client {
    let address: String
    let port: UInt16
    let name: String
    let login: String?
    let sender: String
  }
}

/// One message's content, the same for all.
enum Message {
  static let headers = [
    ("Received", "from client.example (client.example [192.0.2.1])\r\n\tby mx.example (Postfix) with ESMTPSA"),
    ("From", "A Sender <sender@mail.example>"), ("To", "undisclosed-recipients:;"),
    ("Subject", "Minutes of the meeting"),
    ("Date", "Mon, 2 Nov 2026 10:00:00 +0000"), ("Message-ID", "<20261102100000.1@mail.example>"),
    ("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=utf-8"),
  ]
  /// 2 KB in lines.
  static let body = Array(
    String(repeating: "The quick brown fox jumps over the lazy dog, again and again.\r\n", count: 32).utf8)
}
