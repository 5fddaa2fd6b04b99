import Foundation

/// Users and groups of this machine, and becoming one of them.
enum Account {
  struct Problem: Error, CustomStringConvertible {
    let description: String
  }

  /// The group's number, by name or number.
  static func group(_ name: String) throws -> gid_t {
    if let number = gid_t(name) { return number }
    guard let entry = getgrnam(name) else { throw Problem(description: "there is no group \"\(name)\" here") }
    return entry.pointee.gr_gid
  }

  static func hasGroup(_ name: String) -> Bool { getgrnam(name) != nil }

  /// Gives up root for good; without root it only checks that we are the user already.
  static func become(_ user: String) throws {
    guard let entry = getpwnam(user) else { throw Problem(description: "there is no user \"\(user)\" here") }
    let (uid, gid) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
    guard geteuid() == 0 else {
      if geteuid() == uid { return }
      throw Problem(description: "only root can become \"\(user)\"")
    }
    // glibc changes all threads at once.
    guard initgroups(user, gid) == 0, setgid(gid) == 0, setuid(uid) == 0 else {
      throw Problem(description: "cannot become \"\(user)\": \(String(cString: strerror(errno)))")
    }
    guard uid == 0 || setuid(0) != 0 else {
      throw Problem(description: "became \"\(user)\" but could become root again")
    }
  }

  /// Sets a socket file's group and mode, and looks that they hold.
  static func protect(_ path: String, group: String?, mode: UInt32) throws {
    var status = stat()
    // Whoever may write to the folder must not have root change another file.
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else {
      throw Problem(description: "\(path) is no longer the socket that was opened there")
    }
    if let group {
      guard lchown(path, uid_t.max, try Self.group(group)) == 0 else {
        throw Problem(description: "cannot give \(path) to the group \"\(group)\": \(String(cString: strerror(errno)))")
      }
    }
    guard chmod(path, mode) == 0, stat(path, &status) == 0, status.st_mode & 0o777 == mode else {
      throw Problem(
        description: "cannot make the mode of \(path) \(String(mode, radix: 8)): \(String(cString: strerror(errno)))")
    }
  }
}
