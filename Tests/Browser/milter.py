"""Plays the MTA to a milter: as much of the protocol as live traffic for the page takes.

Texts are bytes or str, so that a client can send what is no UTF-8.
"""

import socket
import struct

# What the MTA offers: all actions, all steps.
VERSION, ACTIONS, STEPS = 6, 0x1FF, 0x1FFFFF
# By command: the bits by which a milter does without it, or without its reply.
OMITTED = {b"C": 0x1, b"H": 0x2, b"M": 0x4, b"R": 0x8, b"B": 0x10, b"L": 0x20, b"N": 0x40, b"U": 0x100, b"T": 0x200}
UNANSWERED = {
    b"L": 0x80,
    b"C": 0x1000,
    b"H": 0x2000,
    b"M": 0x4000,
    b"R": 0x8000,
    b"T": 0x10000,
    b"U": 0x20000,
    b"N": 0x40000,
    b"B": 0x80000,
}
SHOWS_REFUSED_RECIPIENTS = 0x800


def raw(text):
    return text if isinstance(text, bytes) else text.encode()


class Session:
    """A client's SMTP session, as an MTA shows it."""

    def __init__(self, path, ip="192.0.2.1", helo="client.example", user=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(15)
        self.socket.connect(path)
        self.user = user
        self._send(b"O", struct.pack(">III", VERSION, ACTIONS, STEPS))
        _, answer = self._receive()
        self.steps = struct.unpack(">III", answer[:12])[2]
        self.is_refused = self._ask(
            b"C", b"[" + raw(ip) + b"]\0" + b"4" + struct.pack(">H", 40_000) + raw(ip) + b"\0", {"j": "mx.test"}
        )
        if not self.is_refused:
            self._ask(b"H", raw(helo) + b"\0")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._send(b"A")
            self._send(b"Q")
            # The milter closes once it has heard of the end.
            while self.socket.recv(4096):
                pass
        except OSError:
            pass
        self.socket.close()

    def mail(self, sender="a@b.example", recipients=("x@far.example",), queue_id="4YB2kQ1", size=500):
        """A message. Returns whether it passed; whoever is not let in sends none."""
        if self.is_refused:
            return False
        macros = {"{auth_authen}": self.user, "{auth_type}": "PLAIN"} if self.user else {}
        if self._ask(b"M", b"<" + raw(sender) + b">\0", macros):
            return False
        for recipient in recipients:
            if self._ask(b"R", b"<" + raw(recipient) + b">\0", {"{rcpt_mailer}": "smtp", "i": queue_id}):
                self._send(b"A")
                return False
        if self._ask(b"T", b"", {"i": queue_id}):
            self._send(b"A")
            return False
        self._ask(b"L", b"Subject\0test\0")
        self._ask(b"N", b"")
        self._ask(b"B", b"x" * size)
        return not self._ask(b"E", b"", {"i": queue_id})

    def refused_recipient(self, recipient, code, text):
        """A recipient that the MTA itself refuses."""
        self._ask(b"M", b"<a@b.example>\0")
        if self.steps & SHOWS_REFUSED_RECIPIENTS:
            macros = {"{rcpt_mailer}": "error", "{rcpt_host}": code, "{rcpt_addr}": text, "i": "Q1"}
            self._ask(b"R", b"<" + raw(recipient) + b">\0", macros)
        self._send(b"A")

    def unknown(self, command):
        return self._ask(b"U", raw(command) + b"\0")

    def _ask(self, command, payload, macros=None):
        """Sends a command. Returns whether the milter refuses it."""
        if self.steps & OMITTED.get(command, 0):
            return False
        if macros:
            pairs = b"".join(raw(name) + b"\0" + raw(value) + b"\0" for name, value in macros.items())
            self._send(b"D", command + pairs)
        self._send(command, payload)
        if self.steps & UNANSWERED.get(command, 0):
            return False
        while True:
            answer, _ = self._receive()
            if answer in (b"c", b"a", b"d", b"s"):
                return False
            if answer in (b"r", b"t", b"y", b"4"):
                return True

    def _send(self, command, payload=b""):
        self.socket.sendall(struct.pack(">I", len(payload) + 1) + command + payload)

    def _receive(self):
        length = struct.unpack(">I", self._exactly(4))[0]
        packet = self._exactly(length)
        return packet[:1], packet[1:]

    def _exactly(self, count):
        found = b""
        while len(found) < count:
            more = self.socket.recv(count - len(found))
            if not more:
                raise OSError("the milter has closed the connection")
            found += more
        return found
