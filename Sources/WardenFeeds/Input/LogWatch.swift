import Glibc
import WardenCore

/// Wakes whoever waits for a log to be written to, or for another to take its place. Where the kernel gives no watch,
/// waiting just takes its whole time.
final class LogWatch {
  private let watch = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
  private var file: (descriptor: Int32, number: Int32) = (-1, -1)
  private var folder: (path: String, number: Int32) = ("", -1)

  deinit { if watch >= 0 { close(watch) } }

  /// - Parameter file: the open log; none with -1.
  func look(at file: Int32, in folder: String) {
    guard watch >= 0 else { return }
    if file != self.file.descriptor {
      inotify_rm_watch(watch, self.file.number)
      let number = file < 0 ? -1 : inotify_add_watch(watch, "/proc/self/fd/\(file)", UInt32(IN_MODIFY))
      self.file = (file, number)
    }
    if folder != self.folder.path {
      inotify_rm_watch(watch, self.folder.number)
      self.folder = (folder, inotify_add_watch(watch, folder, UInt32(IN_CREATE) | UInt32(IN_MOVED_TO)))
    }
  }

  /// Whether the signal was raised.
  func wait(_ most: TimeSpan, or stop: StopSignal) -> Bool {
    let isRaised = stop.wait(most, or: watch)
    withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 8) { room in
      while read(watch, room.baseAddress, room.count) > 0 {}
    }
    return isRaised
  }
}
