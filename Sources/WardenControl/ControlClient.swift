import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// Asks a running daemon over its control socket.
public struct ControlClient: Sendable {
  public let path: String
  private static let largestAnswer = 64 << 20

  public init(path: String) { self.path = path }

  /// Why there was no answer.
  public enum Problem: Error, CustomStringConvertible {
    case unreachable(path: String, why: String)
    case refused(String)

    public var description: String {
      switch self {
      case .unreachable(let path, let why):
        "cannot reach the daemon at \(path): \(why)"
      case .refused(let message): message
      }
    }
  }

  /// - Parameters:
  ///   - query: values are escaped here; what has none is left out.
  ///   - accepts: further status codes whose body is the answer.
  public func ask<Answer: Decodable>(
    _ endpoint: String, method: String = "GET", query: KeyValuePairs<String, String?> = [:],
    body: (some Encodable)? = Optional<String>.none, accepts: Set<UInt> = [], as: Answer.Type
  ) async throws -> Answer {
    var request = request(endpoint, query.compactMap { name, value in value.map { (name, $0) } })
    request.method = .RAW(value: method)
    if let body {
      request.headers.add(name: "Content-Type", value: "application/json")
      request.body = .bytes(ByteBuffer(string: JSONCoding.text(body)))
    }
    let (status, bytes) = try await send(request)
    guard status.code < 300 || accepts.contains(status.code) else { throw Self.refusal(status, bytes) }
    return try JSONCoding.decode(Answer.self, from: bytes)
  }

  /// Listens to a stream of server-sent events until the daemon ends it, or `each` throws.
  ///
  /// Nothing is read while `each` works: a daemon does not wait for those who are slow, it drops them.
  /// - Parameter opened: called once the daemon has agreed.
  public func follow(
    _ endpoint: String, query: [(String, String)], opened: @Sendable () -> Void = {},
    each: (ServerSentEvents.Message) throws -> Void
  ) async throws {
    try await withClient { client in
      let response = try await client.execute(request(endpoint, query), timeout: .seconds(30))
      guard response.status == .ok else {
        throw Self.refusal(response.status, try await response.body.collect(upTo: Self.largestAnswer))
      }
      opened()
      var events = ServerSentEvents()
      for try await bytes in response.body {
        for message in try events.take(bytes.readableBytesView) { try each(message) }
      }
    }
  }

  private func send(_ request: HTTPClientRequest) async throws -> (HTTPResponseStatus, ByteBuffer) {
    try await withClient { client in
      let response = try await client.execute(request, timeout: .seconds(30))
      return (response.status, try await response.body.collect(upTo: Self.largestAnswer))
    }
  }

  private func withClient<Answer>(_ work: (HTTPClient) async throws -> Answer) async throws -> Answer {
    var configuration = HTTPClient.Configuration()
    // A daemon that is not there will not be there in a moment either.
    configuration.connectionPool.retryConnectionEstablishment = false
    // A stream says every 15 seconds that it is still there.
    configuration.timeout.read = .seconds(60)
    let client = HTTPClient(configuration: configuration)
    do {
      let answer = try await work(client)
      try await client.shutdown()
      return answer
    } catch {
      try? await client.shutdown()
      if error is Problem || error is CancellationError { throw error }
      throw Problem.unreachable(path: path, why: Self.why(error))
    }
  }

  private static func refusal(_ status: HTTPResponseStatus, _ body: ByteBuffer) -> Problem {
    let report = try? JSONCoding.decode(ErrorReport.self, from: body)
    return .refused(report?.error ?? "the daemon answered \(status)")
  }

  private func request(_ endpoint: String, _ query: [(String, String)]) -> HTTPClientRequest {
    var request = HTTPClientRequest(url: url(endpoint, query))
    request.headers.add(name: "Host", value: "localhost")
    return request
  }

  private func url(_ endpoint: String, _ query: [(String, String)]) -> String {
    let unreserved = CharacterSet.alphanumerics.intersection(CharacterSet(charactersIn: "\0"..."~")).union(
      CharacterSet(charactersIn: "-._~"))
    func escaped(_ text: String) -> String { text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? "" }
    let parameters = query.map { "\($0)=\(escaped($1))" }.joined(separator: "&")
    return "http+unix://\(escaped(path))\(endpoint)\(parameters.isEmpty ? "" : "?" + parameters)"
  }

  private static func why(_ error: any Error) -> String {
    if let error = error as? HTTPClientError {
      if error == .remoteConnectionClosed { return "it has closed the connection" }
      if error == .readTimeout || error == .deadlineExceeded { return "it does not answer" }
    }
    return switch (error as? IOError)?.errnoCode {
    case ENOENT: "there is no such socket; is mailwarden running, and is --socket right?"
    case ECONNREFUSED: "nobody listens there; is mailwarden running?"
    case EACCES: "permission denied; only root and the socket's group may ask"
    default: "\(error)"
    }
  }
}
