#!/usr/bin/python3
"""Remakes docs/screenshots: the page of a real daemon under live traffic, in Debian's Chromium.

    Scripts/screenshots.py MAILWARDEN-BINARY [OUTPUT-FOLDER]

The traffic is played: users, a stolen password, relay attempts, robots, a harvester; for some minutes.
What lies before, hours and days of it, is written into the history while the daemon is stopped: nobody waits a week.
"""

import math
import os
import pathlib
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Browser"))

from browser import NARROW, WIDE, Browser, Control  # noqa: E402
from milter import Session  # noqa: E402

SECONDS = int(os.environ.get("SECONDS_OF_TRAFFIC", "150"))
USERS = [
    f"{name}@{domain}"
    for domain in ("example.org", "shop.example", "school.example")
    for name in ("alice", "bob", "carol", "dora", "emil", "frieda", "gustav", "hanna", "ivo", "jana")
]
DOMAINS = ["example.com", "mail.example", "partner.example", "friends.example", "university.example"]
STOLEN = "frieda@school.example"
ROBOTS = [f"203.0.113.{number}" for number in range(5, 40)]

# Limits that a few minutes of traffic reach; otherwise like the default policy.
POLICY = """
listen:
  milter: unix:{folder}/milter.sock
  control: {folder}/control.sock
  web: {{at: "127.0.0.1:{port}", read-without-login: true}}
state: {folder}/state
rules:
  - name: hijack-flood
    description: Far more mail than the account ever sends.
    count: messages
    per: user
    limit: [150 per 1h, 600 per 1d]
    then: [alert, tempfail]
  - name: account-recipients
    description: More recipients than people write to.
    count: recipients
    per: user
    limit: 300 per 1h
    then: alert
    mode: observe
  - name: broken-connections
    description: Connects and leaves without mail.
    count: broken-connections
    per: ip
    limit: 4 per 2h
    then: block for 3d
  - name: relay-attempts
    description: Asks us to relay without having logged in.
    count: relay-attempts
    per: ip
    limit: 20 per 1h
    then: block for 1d
  - name: harvest
    description: Guesses recipients.
    count: unknown-recipients
    per: ip
    limit: 15 per 1h
    then: block for 1d
    mode: observe
  - name: not-smtp
    description: Speaks something that is not SMTP.
    count: bad-commands
    per: ip
    limit: 8 per 1h
    then: block for 1d
"""


class Daemon:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        (folder / "mailwarden.yaml").write_text(POLICY.format(folder=folder, port=self.port))
        self.base = f"http://127.0.0.1:{self.port}"
        self.milter = str(folder / "milter.sock")
        self.control = Control(str(folder / "control.sock"))

    def start(self):
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [self.binary, "run", "--config", self.folder / "mailwarden.yaml"], stdout=self.log, stderr=self.log
        )
        for _ in range(600):
            try:
                return self.control.ask("/v1/status")
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise SystemExit(f"the daemon did not start: {(self.folder / 'log').read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def seed(database):
    """A week of hours and a day of minutes, with days and nights, for the server and for some of its users."""
    chance = random.Random(7)
    now = int(time.time())
    connection = sqlite3.connect(database)
    columns = [
        row[1] for row in connection.execute("PRAGMA table_info(counts)") if row[1] not in ("period", "at", "key")
    ]

    def identity(kind, name):
        connection.execute("INSERT OR IGNORE INTO keys (kind, name) VALUES (?, ?)", (kind, name))
        return connection.execute("SELECT id FROM keys WHERE name = ?", (name,)).fetchone()[0]

    def enter(key, period, at, counts):
        connection.execute(
            f"INSERT OR IGNORE INTO counts (period, at, key, {', '.join(columns)})"
            f" VALUES (?, ?, ?{', ?' * len(columns)})",
            (period, at, key, *(counts.get(column, 0) for column in columns)),
        )

    def busy(at):
        """Between night and noon."""
        return 0.35 + 0.65 * max(0, math.sin(math.pi * ((at % 86_400) / 3_600 - 5) / 16))

    def server(at, minutes):
        level = busy(at) * minutes
        out = max(0, int(chance.gauss(160, 20) * level))
        attack = 0 < (now - at) % 90_000 < 5_400
        relays = int(level * (160 if attack else 2) * chance.random())
        return {
            "connections": int(level * 700),
            "messages": out + max(0, int(chance.gauss(280, 30) * level)),
            "submissions": out,
            "recipients": int(out * 1.4),
            "sender_mismatch": int(out * 0.03 * chance.random() * 2),
            "relay_attempts": relays,
            "auth_failures": int(level * (60 if attack else 8) * chance.random()),
            "refused": int(relays * 0.8),
        }

    whole = identity("server", "server")
    minute, hour = now // 60 * 60, now // 3_600 * 3_600
    for step in range(1, 1_440):
        enter(whole, 60, minute - 60 * step, server(minute - 60 * step, 1))
    for step in range(1, 168):
        enter(whole, 3_600, hour - 3_600 * step, server(hour - 3_600 * step, 60))
    for user in USERS:
        person = identity("user", f"user:{user}")
        for step in range(1, 168):
            at = hour - 3_600 * step
            sent = int(busy(at) * chance.gauss(4, 3)) if busy(at) > 0.5 else 0
            if sent > 0:
                enter(person, 3_600, at, {"messages": sent, "recipients": int(sent * 1.3), "connections": sent})
    connection.commit()
    connection.close()


class Traffic:
    def __init__(self, milter):
        self.milter = milter
        self.is_over = threading.Event()
        self.threads = [
            threading.Thread(target=self.run, args=(part, pause), daemon=True)
            for part, pause in (
                (self.honest, 0.25),
                (self.incoming, 0.15),
                (self.stolen, 0.8),
                (self.robot, 0.4),
                (self.relay, 0.5),
                (self.harvester, 0.7),
            )
        ]
        self.chance = random.Random(3)
        for thread in self.threads:
            thread.start()

    def run(self, part, pause):
        while not self.is_over.wait(pause * (0.5 + self.chance.random())):
            try:
                part()
            except OSError:
                pass

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def id(self):
        return "4" + "".join(self.chance.choices("BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789", k=10))

    def far(self):
        return f"{self.chance.choice('abcdefghij')}{self.chance.randint(1, 99)}@{self.chance.choice(DOMAINS)}"

    def honest(self):
        user = self.chance.choices(USERS, weights=range(len(USERS), 0, -1))[0]
        with Session(self.milter, ip=f"198.51.100.{USERS.index(user) + 10}", helo="laptop.local", user=user) as session:
            sender = user if self.chance.random() < 0.95 else "info@example.org"
            session.mail(sender, [self.far() for _ in range(self.chance.choice((1, 1, 1, 2, 4)))], self.id())

    def incoming(self):
        with Session(
            self.milter, ip=f"192.0.2.{self.chance.randint(1, 250)}", helo="mx." + self.chance.choice(DOMAINS)
        ) as session:
            session.mail(self.far(), [self.chance.choice(USERS)], self.id())

    def stolen(self):
        with Session(self.milter, ip=self.chance.choice(ROBOTS), helo="[10.0.0.1]", user=STOLEN) as session:
            for _ in range(3):
                session.mail(STOLEN, [self.far() for _ in range(3)], self.id())

    def robot(self):
        with Session(self.milter, ip=self.chance.choice(ROBOTS[:12])) as session:
            if self.chance.random() < 0.3 and not session.is_refused:
                session.unknown("GET / HTTP/1.1")

    def relay(self):
        ip = self.chance.choice(ROBOTS[12:16])
        with Session(self.milter, ip=ip, helo="WIN-8A1") as session:
            if not session.is_refused:
                session.refused_recipient(self.far(), "5.7.1", "Relay access denied")

    def harvester(self):
        with Session(self.milter, ip=ROBOTS[20], helo="list.example") as session:
            if not session.is_refused:
                session.refused_recipient(
                    f"guess{self.chance.randint(1, 999)}@example.org",
                    "5.1.1",
                    "Recipient address rejected: User unknown in local recipient table",
                )


VIEWS = {
    "now": ("#/", "[data-slot=penalties] tr"),
    "key": (f"#/key/user%3A{STOLEN.replace('@', '%40')}", "[data-slot=networks] tr"),
    "rule": ("#/rule/hijack-flood", "h1"),
}


def shoot(daemon, token, name, output):
    view, size, theme = name.split("-")
    with Browser(daemon.base, WIDE if size == "wide" else NARROW, dark=theme == "dark") as browser:
        browser.open(VIEWS.get(view, VIEWS["now"])[0])
        if view != "login":
            browser.log_in(token)
        browser.wait_text("#connection", "live")
        browser.wait("its figures", lambda: browser.find(VIEWS.get(view, VIEWS["now"])[1]))
        browser.wait("its chart", lambda: browser.all("canvas[aria-label]") or view == "rule")
        if view == "now":
            browser.wait("decisions", lambda: len(browser.all("[data-slot=decisions] > li")) >= 5, 60)
        if view == "login":
            browser.find("#log").click()
        # The whole of it, not only what the window holds.
        if view != "login":
            width, height = WIDE if size == "wide" else NARROW
            whole = browser.js("return document.documentElement.scrollHeight")
            browser.resize((width, max(height, whole)))
        browser.js("document.activeElement?.blur()")
        # A chart takes a new size a frame later.
        browser.js("return new Promise((done) => requestAnimationFrame(() => setTimeout(done, 300)))")
        browser.check_layout()
        file = output / f"{name}.png"
        browser.driver.save_screenshot(str(file))
        browser.check()
        if shutil.which("pngquant"):
            subprocess.run(["pngquant", "--force", "--skip-if-larger", "--ext", ".png", "128", file], check=False)
        print(f"{file}: {file.stat().st_size // 1000} kB")


def main():
    binary = sys.argv[1]
    output = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "docs" / "screenshots"
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mw.") as folder:
        daemon = Daemon(binary, pathlib.Path(folder))
        daemon.start()
        daemon.stop()
        seed(pathlib.Path(folder) / "state" / "mailwarden.sqlite")
        daemon.start()
        try:
            traffic = Traffic(daemon.milter)
            traffic.is_over.wait(SECONDS)
            token = daemon.control.token("alice")
            for view in ("now", "key", "rule"):
                for look in ("wide-light", "wide-dark", "narrow-light", "narrow-dark"):
                    shoot(daemon, token, f"{view}-{look}", output)
            shoot(daemon, token, "login-wide-light", output)
            shoot(daemon, token, "login-narrow-dark", output)
            traffic.stop()
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
