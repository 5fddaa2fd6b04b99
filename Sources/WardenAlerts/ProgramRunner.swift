import Foundation
import Subprocess
import WardenCore

/// Runs a program without a shell: a text on its standard input, a time limit, and the beginning of what it complained of.
public struct ProgramRunner: Sendable {
  public enum Outcome: Sendable, Equatable, CustomStringConvertible {
    case succeeded
    /// It said `exited(1)` or died of a signal. What it complained of may hold anything.
    case failed(status: String, complaint: String)
    case tookTooLong(limit: Duration, complaint: String)
    case notRun(String)

    public var description: String {
      switch self {
      case .succeeded: "succeeded"
      case .failed(let status, let complaint): "ended with \(status)\(complaint.isEmpty ? "" : ": \(complaint)")"
      case .tookTooLong(let limit, let complaint):
        "took longer than \(limit) and was stopped\(complaint.isEmpty ? "" : ": \(complaint)")"
      case .notRun(let why): "could not be run: \(why)"
      }
    }
  }

  /// What is kept of its standard error, in bytes.
  public static let longestComplaint = 1_000
  /// What a program can be given: the largest pipe that anybody may have.
  public static let largestInput = 1 << 20

  let limit: Duration

  public init(limit: Duration = .seconds(30)) { self.limit = limit }

  /// - Parameter command: a program's path and its arguments.
  /// - Throws: `CancellationError` when the task is cancelled; the program is stopped then, too.
  public func run(_ command: [String], input: String) async throws(CancellationError) -> Outcome {
    guard let program = command.first else { return .notRun("there is no program") }
    let errors: Pipe
    let stdin: Pipe
    do throws(SystemProblem) {
      errors = try Pipe()
      stdin = try Pipe(holding: input)
    } catch {
      return .notRun(error.description)
    }
    let outcome: Outcome
    do {
      let status = try await within(limit) {
        // Whoever complains at length must not wait for a reader.
        errors.startReading()
        defer { errors.stopReading() }
        return try await Self.status(of: program, Array(command.dropFirst()), stdin: stdin, errors: errors)
      }
      outcome =
        if status == .exited(0) { .succeeded } else {
          .failed(status: "\(status)", complaint: errors.text)
        }
    } catch is TimedOut {
      outcome = .tookTooLong(limit: limit, complaint: errors.text)
    } catch let error as CancellationError {
      throw error
    } catch {
      outcome = .notRun("\(error)")
    }
    // It may have ended of being stopped with us.
    if Task.isCancelled { throw CancellationError() }
    return outcome
  }

  private static func status(
    of program: String, _ arguments: [String], stdin: Pipe, errors: Pipe
  ) async throws -> TerminationStatus {
    var options = PlatformOptions()
    // With what it has started itself.
    options.processGroupID = 0
    options.teardownSequence = [
      .gracefulShutDown(toProcessGroup: true, allowedDurationToNextStep: .seconds(2))
    ]
    return try await Subprocess.run(
      .path(.init(program)), arguments: Arguments(arguments), platformOptions: options,
      input: .fileDescriptor(.init(rawValue: stdin.exit), closeAfterSpawningProcess: false), output: .discarded,
      error: .fileDescriptor(.init(rawValue: errors.entrance), closeAfterSpawningProcess: false)
    ).terminationStatus
  }
}

/// The system would not do something.
private struct SystemProblem: Error {
  let description: String
  init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
}

/// The kernel's memory between a program and us: neither side ever waits for the other, and no disk is needed.
///
/// Were standard input written as the program reads, a program that does not read would end us:
/// https://github.com/swiftlang/swift-subprocess/issues/367. And were standard error read to its end, a program that
/// leaves another behind would keep us waiting for that one.
private final class Pipe: Sendable {
  let exit: Int32
  /// -1 once all is written.
  let entrance: Int32

  // F_SETPIPE_SZ and F_GETPIPE_SZ, hidden behind _GNU_SOURCE
  private static let setSize: Int32 = 1_031
  private static let getSize: Int32 = 1_032

  /// Takes what a program writes.
  init() throws(SystemProblem) { (exit, entrance) = try Self.open() }

  /// Holds the text, and then ends.
  init(holding text: String) throws(SystemProblem) {
    let (exit, entrance) = try Self.open()
    var text = text
    let size = text.utf8.count
    _ = fcntl(entrance, F_SETFL, O_NONBLOCK)
    // A pipe as it is made holds 64 KB, and less where the user has many.
    let hasRoom =
      fcntl(entrance, Self.getSize) >= size || fcntl(entrance, Self.setSize, Int32(clamping: size)) >= size
    let isWritten = hasRoom && text.withUTF8 { write(entrance, $0.baseAddress, $0.count) == $0.count }
    let problem = SystemProblem("cannot write its standard input")
    close(entrance)
    (self.exit, self.entrance) = (exit, -1)
    // From here on deinit closes.
    if !isWritten { throw problem }
  }

  deinit {
    close(exit)
    if entrance >= 0 { close(entrance) }
  }

  private static func open() throws(SystemProblem) -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    guard Glibc.pipe(&ends) == 0 else { throw SystemProblem("cannot make a pipe") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  /// Takes what there is now, without waiting for more; keeps its beginning.
  func drain() {
    _ = fcntl(exit, F_SETFL, O_NONBLOCK)
    var bytes = [UInt8](repeating: 0, count: 65_536)
    kept.withLock { kept in
      while true {
        let count = read(exit, &bytes, bytes.count)
        guard count > 0 else { return }
        kept += bytes[..<min(count, max(0, ProgramRunner.longestComplaint - kept.count))]
      }
    }
  }

  /// On a thread of its own: a program must not wait for other work of ours.
  func startReading() {
    Thread.detachNewThread { [self] in
      while !isRead.withLock({ $0 }) {
        var descriptor = pollfd(fd: exit, events: Int16(POLLIN), revents: 0)
        if poll(&descriptor, 1, Self.pause) == 1 { drain() }
      }
    }
  }

  func stopReading() { isRead.withLock { $0 = true } }

  private let isRead = Locked(false)
  /// In milliseconds.
  private static let pause: Int32 = 50

  /// What was kept.
  var text: String {
    drain()
    return String(decoding: kept.withLock { $0 }, as: UTF8.self).split(whereSeparator: \.isNewline)
      .joined(separator: "; ")
  }
  private let kept = Locked<[UInt8]>([])
}
