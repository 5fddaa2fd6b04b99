import Foundation
import Milter
import WardenAlerts
import WardenPolicy

/// A policy file on disk.
struct PolicyFile {
  let path: String

  func read() -> ReadResult {
    let text: String
    do throws(PlainFile.Unreadable) {
      text = try PlainFile.read(path)
    } catch {
      return ReadResult(
        configuration: nil,
        diagnostics: [Diagnostic(file: path, line: 0, column: 0, message: "cannot be read: \(error)")])
    }
    return PolicyReader.read(
      text, file: path, now: LiveClock().now(),
      socketCheck: { socket in
        do throws(MilterSocket.Problem) {
          _ = try MilterSocket(socket)
          return nil
        } catch {
          return error.description
        }
      }, templateCheck: AlertTemplate.problem, load: load)
  }

  /// What `include` names: a file, or a folder's `*.yaml` in the order of their names.
  private func load(_ name: String) throws(PolicyReader.IncludeProblem) -> [(file: String, text: String)] {
    let place = URL(fileURLWithPath: name, relativeTo: URL(fileURLWithPath: path).deletingLastPathComponent()).path
    var files = [place]
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: place, isDirectory: &isFolder), isFolder.boolValue {
      do {
        files = try FileManager.default.contentsOfDirectory(atPath: place).filter { $0.hasSuffix(".yaml") }.sorted()
          .map { "\(place)/\($0)" }
      } catch {
        throw PolicyReader.IncludeProblem("the folder cannot be listed")
      }
    }
    var texts: [(file: String, text: String)] = []
    for file in files {
      do throws(PlainFile.Unreadable) {
        texts.append((file, try PlainFile.read(file)))
      } catch {
        throw PolicyReader.IncludeProblem(files == [place] ? error.description : "\(file): \(error.description)")
      }
    }
    return texts
  }
}
