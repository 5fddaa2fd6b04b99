import Glibc
import MilterClient

/// Loads a milter with SMTP sessions and compares it with a bare libmilter filter, or another one, under the same
/// traffic.
@main
struct MilterLoad {
  static let usage = """
    usage: milter-load --name NAME --command "PATH ARGUMENT..." --socket SOCKET
                       (--bare BARE_FILTER | --beside "NAME SOCKET COMMAND")
                       [--rounds N] [--seconds A_ROUND] [--rest SECONDS] [--pace MESSAGES_A_SECOND]
                       [--quick | --scenario CONNECTIONS,RECIPIENTS,MESSAGES]
                       [--allow-refusals] [--json FILE]
                       [--peer "NAME LANGUAGE SOCKET PIDFILE..."]... [--reference NAME]...
                       [--absent "NAME WHY"]...
           milter-load idle --socket SOCKET --pid PID [--sessions N]
    SOCKET as in libmilter: unix:PATH or inet:PORT@HOST
    LANGUAGE: milter, or policy-rcpt or policy-data (Postfix's policy delegation at that stage)
    """

  static func main() {
    do {
      let arguments = CommandLine.arguments.dropFirst()
      if arguments.first == "idle" {
        try IdleSessions(Options(arguments.dropFirst(), values: ["socket", "pid", "sessions"])).run()
      } else {
        let values: Set = [
          "name", "command", "socket", "bare", "beside", "rounds", "seconds", "rest", "pace", "json", "scenario",
          "peer",
          "reference", "absent",
        ]
        let options = try Options(arguments, values: values, switches: ["quick", "allow-refusals"])
        guard try Comparison(options).run() else { exit(1) }
      }
    } catch let error as Options.Problem {
      complain("\(error.text)\n\(usage)")
      exit(64)
    } catch {
      complain("\(error)")
      exit(1)
    }
  }
}

/// To standard error.
func complain(_ text: String) {
  let line = Array("milter-load: \(text)\n".utf8)
  _ = write(STDERR_FILENO, line, line.count)
}
