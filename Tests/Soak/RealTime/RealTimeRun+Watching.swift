import Foundation
import WardenTestKit

/// Who watches it, as administrators and Prometheus do.
extension RealTimeRun {
  func watch() {
    for process in [stream, top].compactMap({ $0 }) {
      process.signal(SIGKILL)
      process.wait()
    }
    stream = try? ChildProcess(
      ["curl", "-sN", "--unix-socket", daemon.controlSocket, "http://x/v1/events"],
      output: daemon.folder.file("stream"))
    top = try? ChildProcess(
      [builtProgram("mailwarden"), "top", "--json", "--config", daemon.policyFile], output: daemon.folder.file("top"))
  }

  func checkWatchers() {
    for name in ["stream", "top"] {
      let text = (try? daemon.folder.read(name)) ?? ""
      findings.check(.watchers, text.count > 200, "\(name) said \(text.count) bytes")
    }
  }

  func sample() {
    while goesOn {
      if !absence.mark.isAway, let figures = ProcessFigures(daemon.pid) {
        samples.withLock { $0.append(Sample(at: .now, figures: figures)) }
      }
      poll(nil, 0, 500)
    }
  }

  func ask() {
    while goesOn {
      let before = absence.mark
      for path in ["/metrics", "/v1/status"] {
        let isAnswered =
          (try? Shell.check(
            "curl", ["-sSf", "--max-time", "10", "--unix-socket", daemon.controlSocket, "http://x\(path)"])) != nil
        findings.check(.watchers, isAnswered || absence.wasAway(since: before), "\(path) was not answered")
      }
      polls.withLock { $0 += 1 }
      poll(nil, 0, 1_000)
    }
  }
}
