import AsyncHTTPClient
import Crypto
import Foundation
import Glibc
import NIOCore
import WardenCore

/// A JSON POST, signed so that the receiver can tell it from a stranger's.
struct Webhook: Channel {
  let settings: AlertSettings.Webhook
  var limit = Duration.seconds(10)
  /// Without the path, which may itself be a secret.
  private var place: String { settings.url.split(separator: "/").prefix(2).joined(separator: "//") }
  /// For the signature's date.
  let wall: @Sendable () -> Timestamp

  func send(_ message: AlertMessage) async throws {
    let secret = try settings.secretFile.map(Self.secret)
    let body = message.json
    let timestamp = String(wall().microseconds / 1_000_000)
    var request = HTTPClientRequest(url: settings.url)
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "application/json")
    request.headers.add(name: "User-Agent", value: "mailwarden/\(message.version)")
    request.headers.add(name: "X-Mailwarden-Id", value: message.id)
    request.headers.add(name: "X-Mailwarden-Timestamp", value: timestamp)
    if let secret {
      request.headers.add(
        name: "X-Mailwarden-Signature", value: "sha256=\(Self.signature(of: body, at: timestamp, secret))")
    }
    request.body = .bytes(ByteBuffer(string: body))
    let status = try await status(of: request)
    guard (200..<300).contains(status) else {
      let isRedirect = (300..<400).contains(status)
      throw SendFailure("\(place) answered \(status)\(isRedirect ? ", which is not followed" : "")")
    }
  }

  static func signature(of body: String, at timestamp: String, _ secret: SymmetricKey) -> String {
    HMAC<SHA256>.authenticationCode(for: Data("\(timestamp).\(body)".utf8), using: secret)
      .map { $0 < 16 ? "0\(String($0, radix: 16))" : String($0, radix: 16) }.joined()
  }

  private func status(of request: HTTPClientRequest) async throws -> UInt {
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.httpVersion = .http1Only
    do {
      return try await within(limit) { [configuration, limit] in
        // Messages are rare: a client for each leaves nothing open, and takes what still streams down with it.
        try await HTTPClient.withHTTPClient(configuration: configuration) { client in
          // The body is never read.
          try await client.execute(request, timeout: .nanoseconds(Int64(limit / .nanoseconds(1)))).status.code
        }
      }
    } catch is TimedOut {
      throw SendFailure("\(place) has not answered within \(limit)")
    } catch let error as CancellationError {
      throw error
    } catch let error as HTTPClientError where error == .deadlineExceeded || error == .connectTimeout {
      throw SendFailure("\(place) has not answered within \(limit)")
    } catch {
      throw SendFailure("\(place): \(error)")
    }
  }

  // MARK: - The secret

  /// What the file holds, without the line's end.
  private static func secret(_ path: String) throws -> SymmetricKey {
    if let problem = problem(withSecretFile: path) { throw SendFailure(problem) }
    let data = try? Data(contentsOf: URL(fileURLWithPath: path))
    let text = data.map { String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines) } ?? ""
    guard !text.isEmpty else { throw SendFailure("\(path) is empty") }
    return SymmetricKey(data: Data(text.utf8))
  }

  static func problem(withSecretFile path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0, access(path, R_OK) == 0 else {
      return "\(path) cannot be read: \(String(cString: strerror(errno)))"
    }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= 4_096 else { return "\(path) is no file with a secret" }
    return status.st_mode & 0o007 == 0 ? nil : "\(path) is open to everybody; chmod 640 or 600"
  }
}
