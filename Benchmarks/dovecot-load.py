#!/usr/bin/env python3
"""Plays a hundred Dovecots towards an auth policy server: see dovecot.sh."""
import argparse
import collections
import json
import random
import select
import socket
import statistics
import sys
import time
import urllib.parse


class Connection:
    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.since = 0


class Load:
    def __init__(self, url, token, connections, seed=1):
        place = urllib.parse.urlsplit(url)
        self.host = f"{place.hostname}:{place.port}"
        self.path = place.path or "/"
        self.token = f"X-Mailwarden-Token: {token}\r\n" if token else ""
        self.random = random.Random(seed)
        self.epoll = select.epoll()
        self.connections = {}
        for _ in range(connections):
            connection = Connection((place.hostname, place.port))
            self.connections[connection.socket.fileno()] = connection
            self.epoll.register(connection.socket, select.EPOLLIN)
        self.others = 0

    def request(self, command):
        head = "{} {}?command={} HTTP/1.1\r\nHost: {}\r\nUser-Agent: dovecot/auth-policy-client\r\n{}"
        if command == "ping":
            return (head.format("GET", self.path, command, self.host, self.token) + "\r\n").encode()
        number = self.random.randrange(2000)
        login = {
            "device_id": "", "login": f"user{self.random.randrange(500)}@mail.example", "protocol": "imap",
            "pwhash": f"{self.random.randrange(4096):04x}", "remote": f"198.18.{number // 250}.{number % 250 + 1}",
            "session_id": "xfWxQsBgjIN/AAAB",
        }
        if command == "report":
            login.update(success=self.random.random() < 0.9, policy_reject=False)
        body = json.dumps(login | {"tls": True}, separators=(",", ":"))
        head = head.format("POST", self.path, command, self.host, self.token)
        return f"{head}Content-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n{body}".encode()

    def round(self, command, count, rate):
        """The times of so many answers in ns. With a rate requests begin when they are due, or wait for a connection, and
        their time counts from then."""
        requests = [self.request(command) for _ in range(count)]
        free = collections.deque(self.connections.values())
        times = []
        start = time.perf_counter_ns()
        gap = 1_000_000_000 // rate if rate else 0
        sent = 0
        while len(times) < count:
            now = time.perf_counter_ns()
            while free and sent < count and (due := start + sent * gap if gap else now) <= now:
                connection = free.popleft()  # in turn: none may idle until it is closed
                connection.since = due
                connection.socket.sendall(requests[sent])
                sent += 1
            wait = 10.0 if not free or sent == count else max(0, start + sent * gap - now) / 1e9
            ready = self.epoll.poll(wait)
            if not ready and wait == 10.0:
                sys.exit(f"no answer to {command} within 10 s")
            for number, _ in ready:
                connection = self.connections[number]
                part = connection.socket.recv(65536)
                if not part:
                    sys.exit(f"the server closed the connection after {command}")
                connection.received += part
                if connection.received.endswith(b"}\n"):
                    times.append(time.perf_counter_ns() - connection.since)
                    expected = b'"status":0' if command == "allow" else b'"status":"ok"'
                    self.others += expected not in connection.received
                    connection.received = b""
                    free.append(connection)
        return times, (time.perf_counter_ns() - start) / 1e9


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--token", default="")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--requests", type=int, default=20_000, help="of each command")
    parser.add_argument("--rate", type=int, default=0, help="a second; 0: each connection as fast as it is answered")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    load = Load(options.url, options.token, options.connections)
    commands = ["ping", "allow", "report"]
    figures = {command: [] for command in commands}
    seconds = dict.fromkeys(commands, 0.0)
    for number in range(options.rounds + 1):
        for command in commands if number % 2 else reversed(commands):
            times, taken = load.round(command, options.requests // options.rounds, options.rate)
            # The first round is for warming up.
            if number:
                figures[command] += times
                seconds[command] += taken
    pace = f"{options.rate} a second" if options.rate else "as fast as they are answered"
    print(f"{options.requests} of each over {options.connections} connections, {pace}:")
    for command in commands:
        times = statistics.quantiles(figures[command], n=1000)
        print(
            f"  {command:6}  p50 {times[499] / 1e6:7.2f} ms   p99 {times[989] / 1e6:7.2f} ms   "
            f"max {max(figures[command]) / 1e6:7.2f} ms   {len(figures[command]) / seconds[command]:6.0f} a second")
    if load.others:
        print(f"  {load.others} answers were other than to go on")


main()
