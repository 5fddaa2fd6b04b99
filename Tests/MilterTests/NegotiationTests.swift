import CLibmilter
import Testing

@testable import Milter

@Suite("Negotiation")
struct NegotiationTests {
  private let everything: UInt = 0x1f_ffff

  @Test("By default every stage is shown and replied to")
  func byDefault() {
    let bits = Negotiation(offeredActions: []).protocolBits(offered: everything)
    #expect(bits == UInt(SMFIP_SKIP))
  }

  @Test("A stage left out is asked away; a stage only watched is spared its reply")
  func stages() {
    var negotiation = Negotiation(offeredActions: [])
    negotiation.stages = [.mail, .recipient, .header]
    negotiation.withoutReply = [.recipient, .header, .helo]
    let bits = negotiation.protocolBits(offered: everything)
    for (bit, isSet) in [
      (SMFIP_NOCONNECT, true), (SMFIP_NOHELO, true), (SMFIP_NOBODY, true), (SMFIP_NODATA, true), (SMFIP_NOEOH, true),
      (SMFIP_NOUNKNOWN, true), (SMFIP_NOMAIL, false), (SMFIP_NORCPT, false), (SMFIP_NOHDRS, false),
      (SMFIP_NR_RCPT, true), (SMFIP_NR_HDR, true), (SMFIP_NR_MAIL, false), (SMFIP_NR_HELO, false),
      (SMFIP_RCPT_REJ, false),
    ] { #expect((bits & UInt(bit) != 0) == isSet) }
  }

  @Test("Nothing is asked that the MTA did not offer")
  func offered() {
    var negotiation = Negotiation(offeredActions: [])
    negotiation.stages = []
    negotiation.seesRefusedRecipients = true
    #expect(negotiation.protocolBits(offered: UInt(SMFIP_NOHELO)) == UInt(SMFIP_NOHELO))
  }

  @Test("What libmilter needs to find its way to the end of a message is asked for besides, without an answer")
  func complete() {
    func completed(_ stages: Stages, offered: UInt? = nil) -> Negotiation {
      var negotiation = Negotiation(offeredActions: [])
      negotiation.stages = stages
      negotiation.complete(offered: offered ?? everything)
      return negotiation
    }
    for stages: Stages in [[.mail], [.mail, .header, .body], [.mail, .data], .all] {
      let negotiation = completed(stages)
      #expect(negotiation.stages == stages && negotiation.withoutReply == [])
    }
    #expect(completed([.data, .header]).stages == [.data, .header, .endOfHeaders])
    // Postfix with milter_protocol = 3: no way leads from an unknown command to the message.
    #expect(completed([.mail, .unknown], offered: 0x1ff).stages == [.mail])
    #expect(completed([.data, .header]).withoutReply == [.endOfHeaders])
    #expect(completed([.unknown]).stages == [.unknown, .data])
    #expect(completed([.unknown, .header]).withoutReply == [.data, .endOfHeaders])
  }
}
