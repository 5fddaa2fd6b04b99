/// What holds in real time.
enum DaemonAssertion: String, CaseIterable {
  case noSessionBroken = "every session ends as is due, through reloads, restarts, rotation and steps of the clock"
  case straddling = "sessions that are open when SIGTERM comes are served to their end"
  case blocked = "not one MAIL of a blocked address is taken, by either MTA, at any time"
  case capped = "limits admit exactly what they say, over restarts and steps of the clock"
  case history = "the history is the books': nothing lost, nothing doubled by log and milter"
  case metrics = "/metrics and status count what the books do between two looks"
  case counters = "the counters of every user are the books'"
  case mtaLog = "the MTA's log has no word of a failing milter but while the daemon is restarted"
  case descriptors = "with no session open, descriptors are back at their number"
  case threads = "with no session open, threads are back at their number"
  case memory = "resident memory is flat"
  case nothingDropped = "nothing is dropped, and no fault is counted or logged"
  case steps = "the daemon's wall clock takes each step, and its own time does not"
  case utc = "the log is in UTC, whatever the zone, over a change of the clocks"
  case badReloads = "a bad policy is refused and changes nothing"
  case watchers = "streams, /metrics, status and top are served all the time"
}
