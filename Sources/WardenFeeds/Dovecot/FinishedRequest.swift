import Foundation
import WardenCore

/// An event `auth_request_finished` of Dovecot's event exporter: one login, after the fact.
struct FinishedRequest: Decodable {
  let login: String
  /// The client; nothing where it is missing or no address.
  let remote: IPAddress?
  let outcome: LoginOutcome

  /// Another event than a login's end.
  struct OfNoInterest: Error {}

  private enum Part: String, CodingKey { case event, fields }
  private enum Field: String, CodingKey {
    case success, error, user
    case originalUser = "original_user"
    case remote = "remote_ip"
    case realRemote = "real_remote_ip"
    case policy = "policy_result"
  }

  init(from decoder: any Decoder) throws {
    let parts = try decoder.container(keyedBy: Part.self)
    guard parts.text(.event) == "auth_request_finished" else { throw OfNoInterest() }
    let fields = try parts.nestedContainer(keyedBy: Field.self, forKey: .fields)
    let original = fields.text(.originalUser)
    login = original.isEmpty ? fields.text(.user) : original
    remote = IPAddress(fields.text(.remote)) ?? IPAddress(fields.text(.realRemote))
    if fields.text(.policy) == "refused" || fields.text(.error) == "internal failure" {
      outcome = .noMatter
    } else {
      outcome = fields.flag(.success) ?? false ? .success : .failure(password: nil)
    }
  }
}
