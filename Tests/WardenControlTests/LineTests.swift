import Dispatch
import Testing
import WardenCore

@testable import WardenControl

/// Questions that take their time.
@Suite("Questions in a line")
struct LineTests {
  private struct Answer: Encodable { let number: Int }

  @Test("are answered one after the other, so many wait, and one too many is told to come again")
  func bound() async throws {
    let line = Routes.Line("test")
    let isFree = DispatchSemaphore(value: 0)
    let running = Locked((now: 0, most: 0))
    let refused = try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<40 {
        group.addTask {
          do {
            _ = try await line.json {
              running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
              _ = isFree.wait(timeout: .now() + 30)
              running.withLock { $0.now -= 1 }
              return Answer(number: 1)
            }
            return false
          } catch let error as ErrorReport where error.status == .serviceUnavailable {
            return true
          }
        }
      }
      // Those that are refused are so at once, while the first still works.
      var refused = 0
      while refused < 8, try await group.next() == true { refused += 1 }
      for _ in 0..<32 { isFree.signal() }
      for try await isRefused in group { refused += isRefused ? 1 : 0 }
      return refused
    }
    #expect(running.withLock { $0.most } == 1 && refused == 8)
    // Whoever comes later is answered again.
    isFree.signal()
    _ = try await line.json { Answer(number: 0) }
  }

  @Test("What was found holds for a second, or ten times as long as it took; each question by itself")
  func kept() {
    let kept = Kept<Int>()
    let now = Locked(Timestamp(microseconds: 1_000_000_000))
    var found = 0
    func ask(_ question: String, taking span: TimeSpan = .seconds(0)) -> Int {
      kept.value(of: [question], clock: { now.withLock { $0 } }) {
        found += 1
        now.withLock { $0 = $0 + span }
        return found
      }
    }
    #expect(ask("a") == 1 && ask("a") == 1 && ask("b") == 2)
    now.withLock { $0 = $0 + .seconds(1) }
    #expect(ask("a", taking: .seconds(2)) == 3)
    now.withLock { $0 = $0 + .seconds(17) }
    #expect(ask("a") == 3 && ask("b") == 4)
    now.withLock { $0 = $0 + .seconds(1) }
    #expect(ask("a") == 5)
  }
}
