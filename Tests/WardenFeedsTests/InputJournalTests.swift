import Foundation
import Testing
import WardenCore
import WardenTestKit

@testable import WardenFeeds

@Suite("Following the journal")
struct InputJournalTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private static let maker = "/lib/systemd/systemd-journal-remote"
  private static let canMakeJournals =
    access(maker, X_OK) == 0 && access("/usr/bin/journalctl", X_OK) == 0

  /// Adds to a journal of its own, of a machine that was started anew now and then.
  private func add(_ messages: [String], boot: Int) throws {
    let records = messages.map { message in
      """
      __REALTIME_TIMESTAMP=1700000000000000
      _BOOT_ID=\(String(repeating: "\(boot)", count: 32))
      SYSLOG_IDENTIFIER=postfix/smtpd
      SYSLOG_PID=108
      MESSAGE=\(message)

      """
    }
    try folder.write(records.joined(separator: "\n") + "\n", to: "export")
    let journal = folder.file("journal")
    mkdir(journal, 0o755)
    try run(Self.maker, "--output=\(journal)/test.journal", folder.file("export"))
  }

  /// A program in journalctl's place.
  private func standIn(_ script: String) throws -> String {
    // A program that is open for writing, if only in a child that another test is starting, cannot be run.
    try folder.write("#!/bin/sh\n\(script)\n", to: "script")
    try run("cp", folder.file("script"), folder.file("journalctl"))
    chmod(folder.file("journalctl"), 0o755)
    return folder.file("journalctl")
  }

  private struct Record: Decodable {
    let MESSAGE: String
    let SYSLOG_IDENTIFIER: String
    let __CURSOR: String
  }

  @Test("A journal is read on from a cursor, across a restart of the machine", .enabled(if: canMakeJournals))
  func real() throws {
    let messages = (0..<40).map { #"line \#($0) "__CURSOR":"s=forged""# }
    try add(Array(messages[..<1]), boot: 1)
    let first = try Shell.check("/usr/bin/journalctl", ["--directory=\(folder.file("journal"))", "--output=json"])
    let cursor = try JSONDecoder().decode(Record.self, from: Data(first.utf8)).__CURSOR
    try add(Array(messages[1..<15]), boot: 1)
    try add(Array(messages[15..<30]), boot: 2)
    let stop = StopSignal()
    // If not all comes.
    DispatchQueue.global().asyncAfter(deadline: .now() + 60) { stop.raise() }
    var records: [Record] = []
    let follower = JournalFollower(
      folder: folder.file("journal"), resume: cursor,
      handle: { lines, cursor in
        let before = records.count
        lines.forEach { records.append(try! JSONDecoder().decode(Record.self, from: Data($0))) }
        #expect(records.last?.__CURSOR == cursor)
        if before < 29, records.count >= 29 { try! self.add(Array(messages[30...]), boot: 2) }
        if records.count >= 39 { stop.raise() }
      },
      notice: {
        Issue.record("\($0)")
        stop.raise()
      })
    follower.run(until: stop)
    #expect(records.map(\.MESSAGE) == Array(messages[1...]))
    #expect(records.allSatisfy { $0.SYSLOG_IDENTIFIER == "postfix/smtpd" })
  }

  @Test("A cursor that is none is told of, and given up", .enabled(if: canMakeJournals))
  func badCursor() throws {
    try add(["one"], boot: 1)
    let stop = StopSignal()
    var notices: [String] = []
    let follower = JournalFollower(
      program: "/usr/bin/journalctl", folder: folder.file("journal"), resume: "s=nonsense", firstPause: .seconds(0),
      handle: { _, _ in Issue.record("there is nothing new") },
      notice: {
        notices.append($0)
        stop.raise()
      })
    follower.run(until: stop)
    #expect(
      notices == [
        "/usr/bin/journalctl has ended: Failed to seek to cursor: Invalid argument; exit status 1; "
          + "what came since the last record read is lost; it is started again in 0s"
      ])
  }

  @Test("When it ends it is started again, from the last whole record")
  func restarted() throws {
    let program = try standIn(
      #"""
      echo "$@" >>"\#(folder.file("arguments"))"
      echo '{"MESSAGE":"one","__CURSOR":"s=1"}'
      echo '{"__CURSOR":"s=2","MESSAGE":"two"}'
      printf '{"__CURSOR":"s=3","MESS'
      echo first >&2
      echo second >&2
      printf 'the last' >&2
      exit 3
      """#)
    let stop = StopSignal()
    var lines: [String] = []
    var cursors: Set<String> = []
    var notices: [String] = []
    let follower = JournalFollower(
      program: program, folder: "/j", resume: nil, firstPause: .seconds(0),
      handle: { block, cursor in
        block.forEach { lines.append($0.text) }
        cursors.insert(cursor)
      },
      notice: {
        notices.append($0)
        if notices.count == 2 { stop.raise() }
      })
    follower.run(until: stop)
    let two = [#"{"MESSAGE":"one","__CURSOR":"s=1"}"#, #"{"__CURSOR":"s=2","MESSAGE":"two"}"#]
    #expect(lines == two + two)
    #expect(cursors.isSubset(of: ["s=1", "s=2"]) && cursors.contains("s=2"))
    #expect(notices[0] == "\(program) has ended: the last; exit status 3; it is started again in 0s")
    let common =
      "--follow --merge --quiet --all --output=json "
      + "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID"
    #expect(
      try folder.read("arguments") == """
        \(common) --lines=0 --directory=/j
        \(common) --no-tail --after-cursor=s=2 --directory=/j

        """)
  }

  @Test("A program that is not there is told of with its package")
  func absent() {
    let stop = StopSignal()
    var notices: [String] = []
    let follower = JournalFollower(
      program: "/nonexistent/journalctl", resume: nil, handle: { _, _ in },
      notice: {
        notices.append($0)
        stop.raise()
      })
    follower.run(until: stop)
    #expect(
      notices == [
        "cannot run /nonexistent/journalctl: it is not there; the Debian package systemd has it; "
          + "it is tried again in 1s"
      ])
  }

  @Test("A program that will not stop, and complains without end, is ended with the signal")
  func stubborn() throws {
    let program = try standIn(
      """
      trap '' TERM INT HUP PIPE
      echo $$ >"\(folder.file("pid"))"
      mkfifo "\(folder.file("never"))"
      complaint=0123456789abcdef
      for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do complaint=$complaint$complaint; done
      echo $complaint >&2
      echo $complaint >&2
      echo '{"__CURSOR":"s=1"}'
      exec 2>&-
      read -r line <"\(folder.file("never"))"
      """)
    let stop = StopSignal()
    let follower = JournalFollower(
      program: program, resume: nil, handle: { _, _ in stop.raise() }, notice: { Issue.record("\($0)") })
    follower.run(until: stop)
    let pid = try #require(pid_t(folder.read("pid").dropLast()))
    #expect(kill(pid, 0) != 0 && errno == ESRCH)
  }
}
