@testable import Milter
@testable import WardenControl
@testable import WardenCore
@testable import WardenFeeds
@testable import WardenPolicy
@testable import WardenReplay
@testable import WardenScript
@testable import mailwarden

@Sendable func checkTexts(_ input: UnsafeRawBufferPointer) throws {
  let text = String(decoding: input, as: UTF8.self)
  try require(Quoted.control(text).utf8.allSatisfy { (0x20...0x7e).contains($0) }, "not printable")
  _ = SMTPReply.printable(text)
}
