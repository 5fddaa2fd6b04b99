import Foundation
import WardenCore

/// What Dovecot's auth policy client, or another of weakforced's, asks or tells of one login.
///
/// Everything but JSON itself may be missing: which fields come is the administrator's choice, and the version's.
struct PolicyRequest: Decodable {
  /// As the client typed it; empty where it has characters that Dovecot does not allow.
  let login: String
  /// The client; nothing where it is missing or no address.
  let remote: IPAddress?
  /// What became of the login; nothing where it is not told, as before the password is checked.
  let outcome: LoginOutcome?

  private enum Field: String, CodingKey {
    case login, remote, pwhash, success
    case policyReject = "policy_reject"
    /// From 2.4 on.
    case failure = "fail_type"
  }

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Field.self)
    login = fields.text(.login)
    remote = IPAddress(fields.text(.remote))
    outcome = Self.outcome(of: login, fields)
  }

  private static func outcome(of login: String, _ fields: KeyedDecodingContainer<Field>) -> LoginOutcome? {
    guard let success = fields.flag(.success) else { return nil }
    // Also with `policy_reject`: then Dovecot only logs what the policy server says.
    if success { return .success }
    let failure = fields.text(.failure)
    if fields.flag(.policyReject) ?? false || failure == "policy" { return .noMatter }
    if ["internal", "expired", "disabled"].contains(failure) { return .noMatter }
    let hash = fields.text(.pwhash)
    // Without a login Dovecot hashes nothing that differs.
    return .failure(password: login.isEmpty || hash.isEmpty ? nil : "\(login)\0\(hash)")
  }
}
