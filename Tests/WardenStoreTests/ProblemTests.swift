import Foundation
import GRDB
import Glibc
import Testing
import WardenCore

@testable import WardenStore

@Suite("What can be in the way, and how it is told")
struct ProblemTests {
  /// A small file system of a test's own.
  private final class Mount {
    let path: String
    init?(_ options: String) {
      path = FileManager.default.temporaryDirectory.path + "/store-mount-\(UUID().uuidString)"
      try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      guard Mount.run("mount", "-t", "tmpfs", "-o", options, "none", path) else { return nil }
    }
    deinit {
      _ = Mount.run("umount", "-l", path)
      try? FileManager.default.removeItem(atPath: path)
    }

    static func run(_ arguments: String...) -> Bool {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = arguments
      (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
      guard (try? process.run()) != nil else { return false }
      process.waitUntilExit()
      return process.terminationStatus == 0
    }

    static let isPossible = geteuid() == 0 && Mount("size=64k") != nil
  }

  private func problem(_ body: () throws -> Void) throws -> StoreProblem {
    try #require(throws: StoreProblem.self, performing: body)
  }

  @Test("A folder that is missing is made, for us alone; so is the file")
  func modes() throws {
    let folder = try TestFolder()
    let path = folder.path + "/var/lib/mailwarden"
    let store = try Store.open(folder: path, wall: .start).store
    try store.write { $0.documents = ["a": .some("1")] }
    func mode(_ path: String) -> mode_t {
      var status = stat()
      stat(path, &status)
      return status.st_mode & 0o777
    }
    #expect(mode(path) == 0o700)
    for suffix in ["", "-wal", "-shm"] { #expect(mode(path + "/mailwarden.sqlite" + suffix) == 0o600) }
  }

  @Test("Another process that holds the database is told as such, and nothing is set aside")
  func locked() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    try store.write { $0.documents = ["a": .some("1")] }
    var configuration = Configuration()
    configuration.allowsUnsafeTransactions = true
    let other = try DatabaseQueue(path: folder.database, configuration: configuration)
    try other.inDatabase { try $0.execute(sql: "BEGIN EXCLUSIVE") }
    let held = try problem { try store.write { $0.documents = ["a": .some("2")] } }
    #expect(held.kind == .locked)
    #expect(held.description.hasPrefix("cannot write to \(folder.database): another process holds it"))
    try other.inDatabase { try $0.execute(sql: "ROLLBACK") }
    try store.write { $0.documents = ["a": .some("2")] }
    store.close()

    try other.inDatabase { try $0.execute(sql: "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT") }
    let atStart = try problem { _ = try folder.open() }
    #expect(atStart.kind == .locked)
    #expect(folder.files.allSatisfy { !$0.contains("set-aside") })
    try other.close()
    #expect(try folder.open().store.load(at: .start).documents == ["a": "2"])
  }

  @Test("A folder serves one process at a time, and the next once that has let go")
  func oneAtATime() throws {
    let folder = try TestFolder()
    let first = try folder.open().store
    let problem = try problem { _ = try folder.open() }
    #expect(problem.kind == .locked && problem.description.contains("another mailwarden runs with this folder"))
    first.close()
    #expect(throws: Never.self) { _ = try folder.open() }
  }

  @Test("A bound on pages is a full disk: nothing of the write stays, and the next one works once there is room")
  func full() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    try store.write { $0.documents = ["a": .some("1")] }
    func bound(_ pages: Int) throws {
      try store.outsideTransaction("bound") { _ = try $0.number("PRAGMA max_page_count = \(pages)") }
    }
    try bound(30)
    let large = String(repeating: "x", count: 1_000_000)
    let full = try problem { try store.write { $0.documents = ["a": .some("2"), "b": .some(large)] } }
    #expect(full.kind == .full)
    #expect(full.description.contains("no room is left on its disk"))
    #expect(try store.load(at: .start).documents == ["a": "1"])
    try bound(1_000_000)
    try store.write { $0.documents = ["a": .some("2"), "b": .some(large)] }
    #expect(try store.load(at: .start).documents == ["a": "2", "b": large])
  }

  @Test("A disk that is full is told as such, at a start and later", .enabled(if: Mount.isPossible))
  func fullDisk() throws {
    let disk = try #require(Mount("size=1m"))
    let store = try Store.open(folder: disk.path, wall: .start).store
    try store.write { $0.documents = ["a": .some("1")] }
    let large = String(repeating: "x", count: 3_000_000)
    let full = try problem { try store.write { $0.documents = ["b": .some(large)] } }
    #expect(full.kind == .full, "\(full)")
    #expect(try store.load(at: .start).documents == ["a": "1"])
    try store.write { $0.documents = ["a": .some("2")] }
    store.close()

    let tiny = try #require(Mount("size=16k"))
    let atStart = try problem { _ = try Store.open(folder: tiny.path, wall: .start) }
    #expect(atStart.kind == .full, "\(atStart)")
  }

  @Test("A folder that cannot be written is told as such", .enabled(if: Mount.isPossible))
  func readOnly() throws {
    let disk = try #require(Mount("size=1m"))
    let store = try Store.open(folder: disk.path + "/state", wall: .start).store
    try store.write { $0.documents = ["a": .some("1")] }
    store.close()
    #expect(Mount.run("mount", "-o", "remount,ro", disk.path))
    for folder in ["/state", "/other"] {
      let problem = try problem { _ = try Store.open(folder: disk.path + folder, wall: .start) }
      #expect(problem.kind == .forbidden, "\(problem)")
    }
  }

  @Test("Where beginning anew fails as well, it works once the hindrance is gone")
  func beginsAnewLater() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    try store.write { $0.documents = ["a": .some("1")] }
    let damage = StoreProblem(.damaged, doing: "write to", path: store.path, why: "a test says so")
    try FileManager.default.moveItem(atPath: folder.path, toPath: folder.path + "-away")
    _ = try problem { _ = try store.beginAnew(because: damage, wall: .start) }
    _ = try problem { try store.write { $0.documents = ["a": .some("2")] } }
    try FileManager.default.moveItem(atPath: folder.path + "-away", toPath: folder.path)
    try store.write { $0.documents = ["b": .some("3")] }
    #expect(try store.load(at: .start).documents["b"] == "3")
  }

  @Test("Something else in the folder's place is told as such")
  func notAFolder() throws {
    let folder = try TestFolder()
    try Data().write(to: URL(fileURLWithPath: folder.path + "/file"))
    for path in ["/file", "/file/below"] {
      let problem = try problem { _ = try Store.open(folder: folder.path + path, wall: .start) }
      #expect(problem.kind == .forbidden, "\(problem)")
    }
  }

  @Test("Questions are answered while somebody writes")
  func readingWhileWriting() throws {
    let folder = try TestFolder()
    let store = try folder.open().store
    try store.write { $0.documents = ["a": .some("1")] }
    try store.write("wait in") { database in
      try database.execute(sql: "UPDATE documents SET text = '2'")
      // On another connection, which sees what was before.
      let found = Locked<String?>(nil)
      let thread = Thread { found.withLock { $0 = (try? store.load(at: .start))?.documents["a"] ?? "none" } }
      thread.start()
      while found.withLock({ $0 == nil }) { usleep(1_000) }
      #expect(found.withLock { $0 } == "1")
    }
  }
}
