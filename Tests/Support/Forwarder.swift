import Foundation

/// From a port of the loopback interface to a UNIX socket, for programs that know no such sockets.
public final class Forwarder {
  public let port: Int
  private let process: ChildProcess

  public init(to socket: String, output: String) throws {
    let port = try freePort()
    self.port = port
    process = try ChildProcess(["/usr/bin/python3", "-c", Self.program, "\(port)", socket], output: output)
    try eventually("the port answers") {
      try Shell.run("curl", ["-s", "http://127.0.0.1:\(port)/"]).status == 0
    }
  }

  public func end() {
    process.signal(SIGKILL)
    process.wait()
  }

  /// Each connection on threads of its own.
  private static let program = """
    import socket, sys, threading
    def pump(a, b):
        try:
            while data := a.recv(65536): b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError: pass
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
    while True:
        client, _ = server.accept()
        other = socket.socket(socket.AF_UNIX)
        other.connect(sys.argv[2])
        for pair in ((client, other), (other, client)): threading.Thread(target=pump, args=pair, daemon=True).start()
    """
}
