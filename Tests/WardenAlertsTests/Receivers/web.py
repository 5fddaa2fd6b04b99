"""A webhook's receiver that behaves as its path says. Prints its port, then each request as a line of JSON."""
import http.server
import json
import time


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        print(json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body}), flush=True)
        if self.path == "/hang":
            time.sleep(600)
        elif self.path == "/half":
            self.wfile.write(b"HTTP/1.1 200")
            time.sleep(600)
        elif self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/ok")
            self.end_headers()
        elif self.path in ("/endless", "/endless-500"):
            self.send_response(200 if self.path == "/endless" else 500)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 65536)
        elif self.path == "/endless-header":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                self.wfile.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
        else:
            self.send_response(int(self.path[1:]) if self.path[1:].isdigit() else 204)
            self.end_headers()

    def do_GET(self):
        print(json.dumps({"path": self.path, "headers": {}, "body": "GET"}), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
