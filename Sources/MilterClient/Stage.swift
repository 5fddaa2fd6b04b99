/// A stage of the SMTP dialogue: its command, the `SMFIP_` bits by which a filter does without it or without
/// its reply, and its number (`SMFIM_`) in the filter's macro lists.
struct Stage: Sendable {
  let command: UInt8
  let omitted: UInt32
  let unanswered: UInt32
  let macros: Int32?

  private init(_ command: Character, omitted: UInt32 = 0, unanswered: UInt32 = 0, macros: Int32? = nil) {
    self.command = command.asciiValue!
    self.omitted = omitted
    self.unanswered = unanswered
    self.macros = macros
  }

  static let connect = Stage("C", omitted: 0x1, unanswered: 0x1000, macros: 0)
  static let helo = Stage("H", omitted: 0x2, unanswered: 0x2000, macros: 1)
  static let mail = Stage("M", omitted: 0x4, unanswered: 0x4000, macros: 2)
  static let recipient = Stage("R", omitted: 0x8, unanswered: 0x8000, macros: 3)
  static let data = Stage("T", omitted: 0x200, unanswered: 0x10000, macros: 4)
  static let header = Stage("L", omitted: 0x20, unanswered: 0x80)
  static let endOfHeaders = Stage("N", omitted: 0x40, unanswered: 0x40000, macros: 6)
  static let body = Stage("B", omitted: 0x10, unanswered: 0x80000)
  static let endOfMessage = Stage("E", macros: 5)
  static let unknown = Stage("U", omitted: 0x100, unanswered: 0x20000)
}
