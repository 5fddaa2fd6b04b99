import Foundation

/// A wall clock that can be set while programs run by it: those alone that are given its environment (Debian's package
/// faketime). Clocks that nobody sets, CLOCK_MONOTONIC and CLOCK_BOOTTIME, are theirs as ever.
public final class SteppedClock {
  public let environment: [String: String]
  private let folder: TemporaryFolder
  private let holder: ChildProcess
  /// What `holder` waits for, to clean up then.
  private let sleeper: pid_t

  /// - Parameters:
  ///   - seconds: how far it is ahead of the machine's.
  ///   - zone: in which programs show it.
  public init(ahead seconds: Int, zone: String) throws {
    folder = try TemporaryFolder()
    // The library is to find its shared memory: where it makes it, it adds to the environment before a program begins, and
    // Swift then looks for the arguments in the wrong place.
    let output = folder.file("holder")
    holder = try ChildProcess(
      ["faketime", "-f", "+0", "sh", "-c", #"echo "$$ $LD_PRELOAD $FAKETIME_SHARED"; exec sleep infinity"#],
      output: output)
    var words: [String] = []
    try eventually("faketime has made its shared memory") {
      words = try String(contentsOfFile: output, encoding: .utf8).split(separator: " ").map(String.init)
      return words.last?.hasSuffix("\n") ?? false
    }
    sleeper = pid_t(words[0]) ?? 0
    environment = [
      "LD_PRELOAD": words[1].replacing("libfaketime.so", with: "libfaketimeMT.so"),
      "FAKETIME_SHARED": words[2...].joined(separator: " ").trimmingCharacters(in: .newlines),
      "FAKETIME_TIMESTAMP_FILE": folder.file("ahead"), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
      "NO_FAKE_STAT": "1", "TZ": zone,
    ]
    try set(ahead: seconds)
  }

  deinit {
    if sleeper > 0 { kill(sleeper, SIGTERM) }
    holder.wait()
  }

  public func set(ahead seconds: Int) throws {
    // In one piece: programs read it all the time.
    try folder.write("\(seconds < 0 ? "" : "+")\(seconds)\n", to: "ahead.new")
    guard rename(folder.file("ahead.new"), folder.file("ahead")) == 0 else {
      throw Shell.Failure(description: "cannot set the clock: \(String(cString: strerror(errno)))")
    }
  }
}
