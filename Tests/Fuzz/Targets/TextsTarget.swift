import Foundation
import Logging

@testable import Milter
@testable import WardenControl
@testable import WardenCore
@testable import WardenPolicy
@testable import mailwarden

/// Short texts: what is read of one is written so that it is read as the same again, and what is written of a client's
/// words is one line of printable ASCII.
let textsTarget = FuzzTarget(name: "texts") { input in
  let text = String(decoding: input, as: UTF8.self)
  try checkKey(text)
  if let stored = Key(bytes: input) {
    // What is no UTF-8 in it is repaired, once.
    try require(stored.bytes.withUnsafeBytes { Key(bytes: $0) ?? stored } == stored, "\(stored) is stored as another")
  }
  try checkLimit(text)
  try checkAddress(text)
  try checkTime(text)
  try checkMailbox(text)
  try checkReply(text)
  try checkQuoted(text)
  try checkLogLine(text)
  _ = WebHosts(host: "127.0.0.1", port: 8025, names: ["warden.test"]).include(text)
}

private let realms = LocalRealms(listed: ["example.org"])

private func checkKey(_ text: String) throws {
  guard let key = try? Key(text, realms: realms) else { return }
  try require(
    (try? Key(key.description, realms: realms)) == key, "\(key) of \(text.debugDescription) is read as another")
  try require(key.bytes.withUnsafeBytes { Key(bytes: $0) } == key, "\(key) is stored as another")
  try require(key.bytes.count <= KeyNames.largest, "\(key) is too long")
}

private func checkLimit(_ text: String) throws {
  let quantities: [Quantity] = [
    .measure(.signal(.messages)), .measure(.signal(.bytes)), .measure(.distinct(.recipients)),
    .share(.signal(.badRecipients), of: .signal(.recipients)),
  ]
  for quantity in quantities {
    guard let limit = try? LimitText.limit(text, of: quantity) else { continue }
    let written = limit.description
    try require(
      (try? LimitText.limit(written, of: quantity)) == limit, "\(written) of \(text.debugDescription) is another limit")
    try require(
      limit.window.microseconds > 0 && limit.window <= Limit.longestWindow, "the window of \(text.debugDescription)")
  }
  _ = try? PolicyReader.limits(text, of: quantities[0])
  if let size = try? LimitText.size(text) { try require(size >= 0, "\(text) is a size of \(size)") }
}

private func checkAddress(_ text: String) throws {
  if let address = IPAddress(text) {
    try require(IPAddress(address.description) == address, "\(address) is read as another")
  }
  if let network = Network(text) {
    try require(Network(network.description) == network, "\(network) is read as another")
    try require(network.contains(network.address), "\(network) lacks itself")
  }
}

private func checkTime(_ text: String) throws {
  if let span = TimeSpan(text) {
    try require(TimeSpan(span.description) == span, "\(span) of \(text.debugDescription) is read as another")
    try require(span.rounded >= span, "\(span) is rounded down")
  }
  if let date = DateText.timestamp(text) {
    // A year of four digits is all that can be read.
    let written = date.rfc3339
    try require(
      written.utf8.count != 20 || DateText.timestamp(written).map { $0 == date } ?? (date < Timestamp(microseconds: 0)),
      "\(written) of \(text.debugDescription) is read as another")
  }
}

private func checkMailbox(_ text: String) throws {
  let address = Mailbox.normalized(text)
  _ = (Mailbox.domain(of: address), Mailbox.isForwarded(address), Mailbox.belongs(sender: address, to: text))
  let bounded = Bounded.text(text)
  try require(bounded.utf8.count <= Bounded.bytes, "not bounded: \(bounded)")
  try require(Bounded.text(bounded) == bounded, "bounded twice")
}

private func checkReply(_ text: String) throws {
  let lines = try SMTPReply(
    code: 450, lines: text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
  try requireSound(lines.lines)
  let shape = KeyShape(.user, .ip)
  guard let template = try? ReplyText.template(text, per: shape) else { return }
  let key = Key(.user(Bounded.text("eve%\r\n421 \(text)")), .ip(IPAddress(v4: 0xc000_0207)))
  let limit = Limit(count: 25, window: .hours(2))
  let finding = Reason.Finding(
    quantity: .measure(.signal(.messages)), count: 26, isLeast: false, limit: 25, bound: limit, share: nil)
  let reason = Reason(rule: "cap", key: key, cause: .over([finding]), until: Fixture.start + .hours(1))
  try requireSound(
    Refusal(code: template.code, lines: reason.lines(template, now: Fixture.start), reason: reason, isPenalty: false))
}

private func isPrintable(_ text: String) -> Bool { text.utf8.allSatisfy { (0x20...0x7e).contains($0) } }

private func checkQuoted(_ text: String) throws {
  let (value, json) = (Quoted.value(text), Quoted.json(text))
  try require(isPrintable(value) && isPrintable(Quoted.control(text)), "not printable: \(value.debugDescription)")
  try require(value.first == "\"" ? value.last == "\"" : !value.contains(" "), "not one word: \(value)")
  try require(isPrintable(json), "not printable: \(json.debugDescription)")
  let read = try? JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed) as? String
  try require(
    read.map { $0.unicodeScalars.elementsEqual(text.unicodeScalars) } ?? false, "not the same in JSON: \(json)")
}

private func checkLogLine(_ text: String) throws {
  let event = LogEvent(
    level: .notice, message: "\(text)",
    metadata: ["queue_id": "\(text)", "user": "\(text)", "times": .stringConvertible(3)],
    source: nil, file: "", function: "", line: 0)
  for format in LogFormat.allCases {
    let line = LineLogHandler(format: format, level: .debug).line(of: event)
    try require(line.last == "\n" && isPrintable(String(line.dropLast())), "not one line: \(line.debugDescription)")
    guard format == .json else { continue }
    let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    try require(object?["times"] as? Int == 3, "no object: \(line)")
    try require(
      (object?["message"] as? String)?.unicodeScalars.elementsEqual(text.unicodeScalars) ?? false,
      "another message: \(line)")
  }
}
