import Foundation
import WardenCore

/// A message of our own as RFC 5322 and MIME want it: plain text, ASCII throughout, lines of at most 998 octets.
struct Letter: Sendable {
  /// Without what ends a line.
  let lines: [String]

  private static let largestBody = 256_000

  init(
    to: [String], from: String, subject: String, body: String, id: String, at date: Timestamp
  ) {
    let domain = from.split(separator: "@").last.map(String.init) ?? "localhost"
    var lines = [
      "From: Mailwarden <\(from)>",
      "To: " + to.joined(separator: ",\n "),
      "Subject: \(Self.header(subject))",
      "Date: \(Self.date(date))",
      "Message-ID: <mailwarden.\(id)@\(domain)>",
      "Auto-Submitted: auto-generated",
      "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=utf-8",
    ].flatMap { $0.split(separator: "\n").map(String.init) }
    var body = body
    if body.utf8.count > Self.largestBody {
      body = String(decoding: body.utf8.prefix(Self.largestBody), as: UTF8.self) + "\n[cut]\n"
    }
    if body.hasSuffix("\n") { body.removeLast() }
    let text = body.split(separator: "\n", omittingEmptySubsequences: false)
    let isPlain = text.allSatisfy { $0.utf8.count <= 998 && $0.utf8.allSatisfy { (0x20...0x7e).contains($0) } }
    lines.append("Content-Transfer-Encoding: \(isPlain ? "7bit" : "base64")")
    lines.append("")
    lines +=
      isPlain
      ? text.map(String.init)
      : Data((body + "\n").utf8).base64EncodedString(options: [.lineLength76Characters, .endLineWithLineFeed])
        .split(separator: "\n").map(String.init)
    self.lines = lines
  }

  /// One line, whatever the template made of it; what is not ASCII as encoded words (RFC 2047).
  private static func header(_ text: String) -> String {
    let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
    let clean = String(
      String.UnicodeScalarView(line.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7f }.prefix(300)))
    // What looks like an encoded word would be decoded.
    if clean.utf8.allSatisfy({ $0 < 0x80 }), !clean.contains("=?") { return clean }
    var words: [String] = []
    var word = ""
    for scalar in clean.unicodeScalars {
      if word.utf8.count + String(scalar).utf8.count > 42 {
        words.append(word)
        word = ""
      }
      word.unicodeScalars.append(scalar)
    }
    words.append(word)
    return words.map { "=?UTF-8?B?\(Data($0.utf8).base64EncodedString())?=" }.joined(separator: "\n ")
  }

  /// `Tue, 24 Nov 2026 10:14:05 +0000`.
  private static func date(_ time: Timestamp) -> String {
    let text = time.rfc3339
    let parts = text.split { "-T:Z".contains($0) }.map(String.init)
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    // 1970 began on a Thursday.
    let day = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][time.microseconds / 86_400_000_000 % 7]
    return "\(day), \(parts[2]) \(months[Int(parts[1])! - 1]) \(parts[0]) \(parts[3]):\(parts[4]):\(parts[5]) +0000"
  }
}
