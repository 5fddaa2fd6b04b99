"""What a postmaster writes in an afternoon: recipients per user in a sliding window, in memory.

    sliding_window.py SOCKET LIMIT
"""

import sys
import threading
import time
from collections import defaultdict, deque

import Milter

WINDOW = 7200  # seconds


class Window:
    """The recipients of one user, oldest first."""

    def __init__(self):
        self.passed = deque()
        self.count = 0

    def count_at(self, now):
        while self.passed and self.passed[0][0] <= now - WINDOW:
            self.count -= self.passed.popleft()[1]
        return self.count

    def add(self, now, recipients):
        self.passed.append((now, recipients))
        self.count += recipients


windows = defaultdict(Window)
# libmilter calls from a thread for each connection.
lock = threading.Lock()
limit = int(sys.argv[2])


class Filter(Milter.Base):
    # What is not overridden here, the MTA does not send. The macros are the MTA's own choice: asking for them fails in
    # python3-milter 1.0.5.

    def envfrom(self, sender, *arguments):
        self.user = self.getsymval("{auth_authen}")
        self.recipients = 0
        if self.user and self.count() >= limit:
            return self.refuse()
        return Milter.CONTINUE

    @Milter.noreply
    def envrcpt(self, recipient, *arguments):
        self.recipients += 1
        return Milter.CONTINUE

    def eom(self):
        if not self.user:
            return Milter.ACCEPT
        now = time.monotonic()
        with lock:
            window = windows[self.user]
            passes = window.count_at(now) + self.recipients <= limit
            if passes:
                window.add(now, self.recipients)
        return Milter.ACCEPT if passes else self.refuse()

    def count(self):
        with lock:
            return windows[self.user].count_at(time.monotonic())

    def refuse(self):
        self.setreply("450", "4.7.1", f"{self.user}: more than {limit} recipients")
        return Milter.TEMPFAIL


Milter.factory = Filter
Milter.set_flags(0)
Milter.runmilter("sliding-window", f"unix:{sys.argv[1]}")
