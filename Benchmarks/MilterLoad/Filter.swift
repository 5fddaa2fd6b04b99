import Glibc
import MilterClient

/// Who answers: a filter, or a policy server.
struct Filter: Sendable {
  enum Language: String {
    case milter
    /// Postfix's policy delegation, asked for each recipient (`smtpd_recipient_restrictions`).
    case policyAtRecipient = "policy-rcpt"
    /// The same, asked once a message (`smtpd_data_restrictions`).
    case policyAtData = "policy-data"
  }

  let name: String
  let language: Language
  let place: MilterPlace
  private let processes: ProcessTree

  init(name: String, language: Language = .milter, place: MilterPlace, processes: [pid_t]) {
    self.name = name
    self.language = language
    self.place = place
    self.processes = ProcessTree(roots: processes)
  }

  /// Reads `NAME LANGUAGE SOCKET PIDFILE...` for what runs already.
  init(_ text: String) throws {
    let words = text.split(separator: " ").map(String.init)
    guard words.count >= 4, let language = Language(rawValue: words[1]), let place = MilterPlace(words[2]) else {
      throw Options.Problem(text: "--peer is not \"NAME LANGUAGE SOCKET PIDFILE...\": \(text)")
    }
    let processes = try words[3...].map { file in
      let first = textFile(file)?.split(whereSeparator: \.isWhitespace).first
      guard let pid = first.flatMap({ pid_t($0) }), kill(pid, 0) == 0 else {
        throw Child.Failure(description: "\(words[0]): no running process in \(file)")
      }
      return pid
    }
    self.init(name: words[0], language: language, place: place, processes: processes)
  }

  /// User and system time of all its processes so far; nanoseconds.
  var cpuTime: UInt64 { processes.cpuTime }

  /// Whether it answers already.
  var answers: Bool {
    switch language {
    case .milter: (try? MilterClient(place, timeLimit: 2).negotiate()) != nil
    case .policyAtRecipient, .policyAtData: (try? PolicyClient(place, timeLimit: 2)) != nil
    }
  }

  /// Waits until it answers, as long as `isAlive` says so.
  func waitUntilAnswering(seconds: Int, isAlive: () -> Bool = { true }) throws {
    for _ in 0..<seconds * 50 {
      usleep(20_000)
      if answers { return }
      guard isAlive() else { throw Child.Failure(description: "\(name) has ended at once") }
    }
    throw Child.Failure(description: "\(name) does not answer at \(place) after \(seconds) s")
  }
}
