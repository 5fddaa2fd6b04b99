import Foundation
import WardenCore

/// Runs a program to its end.
public struct Shell {
  public struct Result: Sendable {
    public let status: Int32
    public let output: String
    public let errors: String
  }

  public struct Failure: Error, CustomStringConvertible {
    public let description: String
  }

  public static func run(
    _ program: String, _ arguments: [String], environment: [String: String] = [:]
  ) throws -> Result {
    let folder = try TemporaryFolder()
    let child = try ChildProcess(
      [program] + arguments, environment: environment, output: folder.file("out"), errors: folder.file("err"))
    // A daemon that should have refused to start would run for ever.
    defer {
      child.signal(SIGKILL)
      child.wait()
    }
    try eventually("\(program) ends", within: 120) { !child.isRunning }
    let status = child.wait()
    return Result(status: status, output: try folder.read("out"), errors: try folder.read("err"))
  }

  @discardableResult
  public static func check(
    _ program: String, _ arguments: [String], environment: [String: String] = [:]
  ) throws -> String {
    let result = try run(program, arguments, environment: environment)
    guard result.status == 0 else {
      throw Failure(
        description:
          "\(program) \(arguments.joined(separator: " ")) ended with \(result.status): \(result.errors)\(result.output)"
      )
    }
    return result.output
  }
}

/// A folder that goes away with its owner. Its path is short: UNIX sockets live in it.
public final class TemporaryFolder: Sendable {
  public let path: String

  public init(in parent: String = "/tmp") throws {
    var template = Array("\(parent)/mw.XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw Shell.Failure(description: "cannot make a temporary folder: \(String(cString: strerror(errno)))")
    }
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    // MTAs connect to sockets in it as other users.
    chmod(path, 0o755)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  public func file(_ name: String) -> String { "\(path)/\(name)" }

  public func read(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: file(name))), as: UTF8.self)
  }

  public func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: file(name)))
  }
}

/// Waits for a condition, looking every few milliseconds, up to a bound.
public func eventually(
  _ what: String, within seconds: Int = 15, _ condition: () throws -> Bool
) throws {
  let end = DispatchTime.now() + .seconds(seconds)
  while DispatchTime.now() < end {
    if try condition() { return }
    poll(nil, 0, 5)
  }
  throw Shell.Failure(description: "\(what): not within \(seconds) s")
}

/// Ports that this process has given out.
private let givenPorts = Locked<Set<UInt16>>([])

/// A TCP port of the loopback interface that nobody uses at this moment: below those that clients are given (32768 and up), of
/// which one could be taken before a server has it.
public func freePort() throws -> Int {
  for _ in 0..<200 {
    let port = UInt16.random(in: 20_000..<32_000)
    guard givenPorts.withLock({ $0.insert(port).inserted }) else { continue }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let isFree = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
    if isFree { return Int(port) }
  }
  throw Shell.Failure(description: "cannot find a free port")
}

/// Where the package's programs were built, beside the tests.
public func builtProgram(_ name: String) -> String {
  var folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
  while folder.path != "/" {
    let candidate = folder.appendingPathComponent(name).path
    if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
    folder.deleteLastPathComponent()
  }
  return name
}
