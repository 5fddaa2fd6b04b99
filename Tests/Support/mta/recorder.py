"""Plays an auth policy server, and any other receiver of JSON, that always gives the same answer.

  recorder.py ANSWER

Prints its port, then each request as a line of JSON: {"path", "token", "body"}.
"""
import http.server
import json
import os
import sys


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = {"path": self.path, "token": self.headers["X-Mailwarden-Token"], "body": json.loads(body)}
        os.write(1, f"{json.dumps(request)}\n".encode())  # in one piece: requests come at the same time
        answer = sys.argv[1].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
