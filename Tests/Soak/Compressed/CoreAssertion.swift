/// What holds in simulated time.
enum CoreAssertion: String, CaseIterable {
  case neverTooMany = "a limit admits at most N in every window, to the microsecond"
  case notHeldTooLong = "nobody is refused who had fewer than N in the window and a sixtieth more"
  case blockedWhenDue =
    "an address is blocked when its limit is passed, and not before, each time for the span that is due"
  case blockedThroughout = "whoever is blocked is let in at no stage, until the moment it ends, and then is"
  case counters = "what the engine counts of a key lies within the exact window and a sixtieth more"
  case nothingUnread = "a restart takes back every record"
  case totals = "the totals of a process are those of the books"
  case trend = "the trend goes on over restarts with what the books have"
  case hours = "the history by hour is the books', over steps of the wall's clock, restarts and crashes"
  case days = "the day's report is the books', on the days of 23 and 25 hours too"
  case users = "the history of a user by local day is the books'"
  case memory = "keys and memory are flat once the longest window is full"
  case nothingDropped = "nothing is evicted or dropped"
}
