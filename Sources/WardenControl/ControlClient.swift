import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// Asks a running daemon over its control socket.
public struct ControlClient: Sendable {
  let path: String
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
  ///   - query: values are escaped here.
  ///   - accepts: further status codes whose body is the answer.
  public func ask<Answer: Decodable>(
    _ endpoint: String, method: String = "GET", query: KeyValuePairs<String, String> = [:],
    body: (some Encodable)? = Optional<String>.none, accepts: Set<UInt> = [], as: Answer.Type
  ) async throws -> Answer {
    var request = HTTPClientRequest(url: url(endpoint, query))
    request.method = .RAW(value: method)
    request.headers.add(name: "Host", value: "localhost")
    if let body {
      request.headers.add(name: "Content-Type", value: "application/json")
      request.body = .bytes(ByteBuffer(string: JSONCoding.text(body)))
    }
    let (status, bytes) = try await send(request)
    guard status.code < 300 || accepts.contains(status.code) else {
      let report = try? JSONCoding.decode(ErrorReport.self, from: bytes)
      throw Problem.refused(report?.error ?? "the daemon answered \(status)")
    }
    return try JSONCoding.decode(Answer.self, from: bytes)
  }

  private func send(_ request: HTTPClientRequest) async throws -> (HTTPResponseStatus, ByteBuffer) {
    var configuration = HTTPClient.Configuration()
    // A daemon that is not there will not be there in a moment either.
    configuration.connectionPool.retryConnectionEstablishment = false
    let client = HTTPClient(configuration: configuration)
    do {
      let response = try await client.execute(request, timeout: .seconds(30))
      let bytes = try await response.body.collect(upTo: Self.largestAnswer)
      try await client.shutdown()
      return (response.status, bytes)
    } catch {
      try? await client.shutdown()
      throw Problem.unreachable(path: path, why: Self.why(error))
    }
  }

  private func url(_ endpoint: String, _ query: KeyValuePairs<String, String>) -> String {
    let unreserved = CharacterSet.alphanumerics.intersection(CharacterSet(charactersIn: "\0"..."~")).union(
      CharacterSet(charactersIn: "-._~"))
    func escaped(_ text: String) -> String { text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? "" }
    let parameters = query.map { "\($0.key)=\(escaped($0.value))" }.joined(separator: "&")
    return "http+unix://\(escaped(path))\(endpoint)\(parameters.isEmpty ? "" : "?" + parameters)"
  }

  private static func why(_ error: any Error) -> String {
    switch (error as? IOError)?.errnoCode {
    case ENOENT: "there is no such socket; is mailwarden running, and is --socket right?"
    case ECONNREFUSED: "nobody listens there; is mailwarden running?"
    case EACCES: "permission denied; only root and the socket's group may ask"
    default: "\(error)"
    }
  }
}
