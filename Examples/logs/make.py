#!/usr/bin/env python3
"""Writes the example logs beside it, always the same ones.

Nobody in them exists: names and addresses are those reserved for documentation. The lines are those of Postfix 3.7 and
Sendmail 8.17.
"""

import gzip
import os
import random
from datetime import datetime, timedelta

HERE = os.path.dirname(os.path.abspath(__file__))

PEOPLE = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy",
    "karl", "laura", "mallory", "nina", "oscar", "peggy", "quentin", "rita", "sam", "trudy",
    "ursula", "victor", "wendy", "xaver", "yvonne", "zoe", "anton", "berta", "conrad", "dora",
]
FAR = ["far.test", "partner.test", "client.test", "school.test", "shop.test"]


class Chance:
    """Only what Python promises to do the same in every version."""

    def __init__(self, seed):
        self.source = random.Random(seed)

    def share(self):
        return self.source.random()

    def number(self, low, high):
        return low + int(self.share() * (high - low + 1))

    def one(self, items):
        return items[self.number(0, len(items) - 1)]


class Client:
    def __init__(self, address, name=None):
        self.address = address
        self.name = name

    @property
    def postfix(self):
        return f"{self.name or 'unknown'}[{self.address}]"

    @property
    def sendmail(self):
        address = f"[IPv6:{self.address}]" if ":" in self.address else f"[{self.address}]"
        return f"{self.name} {address}" if self.name else address


WEB_SERVER = Client("192.0.2.80", "web.example.org")


class Message:
    """What a client sends once it is connected."""

    def __init__(
        self, sender, recipients, size=2000, after=2.0, fate="sent", refused=None, rejected=None, reaches="end"
    ):
        self.sender = sender
        self.recipients = recipients
        self.size = size
        self.after = after  # seconds since the one before
        self.fate = fate
        self.refused = refused  # all recipients, for this: relay, unknown, dnsbl
        self.rejected = rejected  # at its end, by a filter, with these words
        self.reaches = reaches  # rcpt: the client leaves before DATA; data: it breaks off in the middle


class Session:
    def __init__(self, at, client, user=None, messages=(), guesses=(), ending="quit", limit=None):
        self.at = at
        self.client = client
        self.user = user
        self.messages = messages
        self.guesses = guesses  # names that it fails to log in as
        self.ending = ending  # quit or lost
        self.limit = limit  # what the MTA says instead of serving it


class Log:
    def __init__(self, name, program, header="iso", seed=1):
        self.name = name
        self.program = program
        self.header = header
        self.chance = Chance(seed)
        self.lines = []
        self.sessions = []
        self.process = 1000

    def add(self, at, program, pid, text):
        self.lines.append((at, len(self.lines), program, pid, text))

    def write(self):
        for session in sorted(self.sessions, key=lambda session: session.at):
            self.process += self.chance.number(1, 3)
            getattr(self, self.program)(session, self.process)
        text = ""
        for at, _, program, pid, line in sorted(self.lines):
            if self.header == "iso":
                time = at.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
            else:
                time = at.strftime("%b ") + f"{at.day:2} " + at.strftime("%H:%M:%S")
            text += f"{time} mx {program}[{pid}]: {line}\n"
        path = os.path.join(HERE, self.name)
        if path.endswith(".gz"):
            with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
                packed.write(text.encode())
        else:
            with open(path, "w") as file:
                file.write(text)

    def later(self, at, low, high):
        return at + timedelta(microseconds=self.chance.number(int(low * 1e6), int(high * 1e6)))

    # --- Postfix ---

    def postfix(self, session, pid):
        smtpd = "postfix/submission/smtpd" if session.user else "postfix/smtpd"
        client, at = session.client.postfix, session.at
        self.add(at, smtpd, pid, f"connect from {client}")
        if session.limit:
            at = self.later(at, 0.001, 0.01)
            excess = f"{session.limit} from {client} for service smtp"
            self.add(at, smtpd, pid, f"warning: Connection rate limit exceeded: {excess}")
            self.add(self.later(at, 0.001, 0.01), smtpd, pid, f"disconnect from {client} commands=0/0")
            return
        counts = {"ehlo": [1, 1]}

        def count(command, accepted):
            counts.setdefault(command, [0, 0])
            counts[command][0] += accepted
            counts[command][1] += 1

        for name in session.guesses:
            at = self.later(at, 2, 4)
            count("auth", 0)
            reason = f"authentication failure, sasl_username={name}"
            self.add(at, smtpd, pid, f"warning: {client}: SASL LOGIN authentication failed: {reason}")
        if session.user:
            count("auth", 1)
        for message in session.messages:
            at = self.later(at, message.after * 0.5, message.after * 1.5)
            count("mail", 1)
            for recipient in message.recipients:
                count("rcpt", 0 if message.refused else 1)
                if message.refused:
                    at = self.later(at, 0.1, 0.5)
                    self.add(at, smtpd, pid, "NOQUEUE: reject: RCPT from " + self.refusal(session, message, recipient))
            if message.refused:
                continue
            if message.reaches != "rcpt":
                count("data", 0 if message.rejected or message.reaches == "data" else 1)
            self.pass_postfix(at, smtpd, pid, session, message)
        at = self.later(at, 0.2, 1)
        if session.ending == "lost":
            stage = "AUTH" if session.guesses else "EHLO"
            self.add(at, smtpd, pid, f"lost connection after {stage} from {client}")
        else:
            count("quit", 1)
        counts["commands"] = [sum(pair[place] for pair in counts.values()) for place in (0, 1)]
        words = "".join(f" {name}={good}" + (f"/{all}" if good < all else "") for name, (good, all) in counts.items())
        self.add(at, smtpd, pid, f"disconnect from {client}{words}")

    def refusal(self, session, message, recipient):
        client = session.client
        words = {
            "relay": f"554 5.7.1 <{recipient}>: Relay access denied",
            "unknown": f"550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in local recipient table",
            "dnsbl": f"554 5.7.1 Service unavailable; Client host [{client.address}] blocked using dnsbl.example.org",
        }[message.refused]
        helo = client.name or f"[{client.address}]"
        return f"{client.postfix}: {words}; from=<{message.sender}> to=<{recipient}> proto=ESMTP helo=<{helo}>"

    def pass_postfix(self, at, smtpd, pid, session, message):
        queue_id = f"{at.microsecond:05X}F8C9{self.chance.number(16, 255):02X}"
        login = f", sasl_method=PLAIN, sasl_username={session.user}" if session.user else ""
        self.add(at, smtpd, pid, f"{queue_id}: client={session.client.postfix}{login}")
        if message.reaches != "end":
            return
        at += timedelta(milliseconds=20)
        self.add(at, "postfix/cleanup", 811, f"{queue_id}: message-id=<{self.message_id(at, pid, message)}>")
        if message.rejected:
            words = (
                f"END-OF-MESSAGE from {session.client.postfix}: {message.rejected}; from=<{message.sender}> "
                f"to=<{message.recipients[0]}> proto=ESMTP helo=<{session.client.name or 'x'}>"
            )
            return self.add(at, "postfix/cleanup", 811, f"{queue_id}: milter-reject: {words}")
        at += timedelta(milliseconds=10)
        fates = ["deferred", "sent"] if message.fate == "deferred" else [message.fate]
        for fate in fates:
            envelope = f"from=<{message.sender}>, size={message.size}, nrcpt={len(message.recipients)}"
            self.add(at, "postfix/qmgr", 790, f"{queue_id}: {envelope} (queue active)")
            for recipient in message.recipients:
                self.deliver_postfix(at + timedelta(milliseconds=500), queue_id, recipient, fate)
            if fate == "deferred":
                at += timedelta(minutes=15)
        self.add(at + timedelta(milliseconds=500), "postfix/qmgr", 790, f"{queue_id}: removed")

    def message_id(self, at, pid, message):
        return f"{at:%H%M%S}.{pid}@{message.sender.partition('@')[2]}"

    def deliver_postfix(self, at, queue_id, recipient, fate):
        domain = recipient.partition("@")[2]
        if domain == "example.org":
            words = "relay=local, delay=0.5, delays=0.4/0/0/0.1, dsn=2.0.0, status=sent (delivered to mailbox)"
            return self.add(at, "postfix/local", 820, f"{queue_id}: to=<{recipient}>, {words}")
        host = f"mx.{domain}[203.0.113.25]"
        at_rcpt, at_mail = "(in reply to RCPT TO command)", "(in reply to MAIL FROM command)"
        words = {
            "sent": "2.0.0, status=sent (250 2.0.0 Ok: queued)",
            "deferred": f"4.7.1, status=deferred (host {host} said: 451 4.7.1 Greylisted, try again later {at_rcpt})",
            "bounced": f"5.1.1, status=bounced (host {host} said: 550 5.1.1 <{recipient}>: User unknown {at_rcpt})",
            "blocked": f"5.7.1, status=bounced (host {host} said: 554 5.7.1 Your address is on a block list {at_mail})",
        }[fate]
        route = f"relay={host}:25, delay=0.5, delays=0/0/0.3/0.2"
        self.add(at, "postfix/smtp", 830 + len(recipient) % 8, f"{queue_id}: to=<{recipient}>, {route}, dsn={words}")

    # --- Sendmail ---

    def sendmail(self, session, pid):
        client, at = session.client.sendmail, session.at
        if session.limit == "dnsbl":
            arguments = f"arg1={client.partition(' ')[0]}, arg2=127.0.0.2, relay={client}"
            reply = f"550 5.7.1 Rejected: {session.client.address} listed at dnsbl.example.org"
            return self.add(at, "sm-mta", pid, f"ruleset=check_relay, {arguments}, reject={reply}")
        if session.user:
            at = self.later(at, 0.2, 0.5)
            self.add(at, "sm-mta", pid, f"AUTH=server, relay={client}, authid={session.user}, mech=PLAIN, bits=0")
        for number, message in enumerate(session.messages):
            at = self.later(at, message.after * 0.5, message.after * 1.5)
            at = self.take_sendmail(at, self.queue_id(session, number, pid), pid, session, message)
        if not session.messages:
            name = self.queue_id(session, 0, pid)
            for guess in session.guesses:
                at = self.later(at, 2, 4)
                reason = "authentication failure (-13) SASL(-13): authentication failure: checkpass failed"
                self.add(at, "sm-mta", pid, f"{name}: AUTH failure (LOGIN): {reason}, user={guess}, relay={client}")
            at = self.later(at, 0.2, 1)
            words = "did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA-v4"
            self.add(at, "sm-mta", pid, f"{name}: {client} {words}")

    def queue_id(self, session, number, pid):
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        at = session.at
        values = [(at.year - 1900) % 60, at.month - 1, at.day, at.hour, at.minute, at.second, 0, number]
        return "".join(digits[value] for value in values) + f"{pid:06}"

    def take_sendmail(self, at, name, pid, session, message):
        """The lines of one MAIL, up to what becomes of it. Returns when it was over."""
        client = session.client.sendmail
        for place, recipient in enumerate(message.recipients if message.refused else []):
            at = self.later(at, 0.1, 0.5)
            if message.refused == "unknown":
                self.add(at, "sm-mta", pid, f"{name}: <{recipient}>... User unknown")
                if place == 3:
                    self.add(at, "sm-mta", pid, f"{name}: {client}: Possible SMTP RCPT flood, throttling.")
            else:
                reply = f"550 5.7.1 <{recipient}>... Relaying denied. Proper authentication required."
                arguments = f"arg1=<{recipient}>, relay={client}"
                self.add(at, "sm-mta", pid, f"{name}: ruleset=check_rcpt, {arguments}, reject={reply}")
        if message.reaches == "data":
            at = self.later(at, 30, 60)
            reason = f"Connection reset by {session.client.name or session.client.address}"
            self.add(at, "sm-mta", pid, f"{name}: collect: premature EOM: {reason}")
            words = f"relay={client}, from=<{message.sender}>, info=Connection reset"
            self.add(at, "sm-mta", pid, f"{name}: collect: {words}")
        is_whole = message.reaches == "end" and not message.refused
        size = message.size if is_whole else 0
        count = 0 if message.refused else len(message.recipients)
        identity = f"msgid=<{self.message_id(at, pid, message)}>, " if is_whole else ""
        protocol = "ESMTPA" if session.user else "ESMTP"
        self.add(
            at, "sm-mta", pid,
            f"{name}: from=<{message.sender}>, size={size}, class=0, nrcpts={count}, {identity}"
            f"proto={protocol}, daemon=MTA-v4, relay={client}")
        if message.rejected:
            self.add(at, "sm-mta", pid, f"{name}: Milter: data, reject=550 {message.rejected}")
        elif is_whole:
            at = self.later(at, 0.2, 0.6)
            for recipient in message.recipients:
                self.deliver_sendmail(at, name, pid + 1, recipient, message.fate)
        return at

    def deliver_sendmail(self, at, name, pid, recipient, fate):
        domain = recipient.partition("@")[2]
        words = {
            "sent": "dsn=2.0.0, stat=Sent (Ok: queued)",
            "deferred": "dsn=4.7.1, stat=Deferred: 451 4.7.1 Greylisted, try again later",
        }[fate]
        route = f"mailer=esmtp, pri=120500, relay=mx.{domain}. [203.0.113.25], {words}"
        if domain == "example.org":
            route = "mailer=local, pri=30500, dsn=2.0.0, stat=Sent"
        self.add(at, "sm-mta", pid, f"{name}: to=<{recipient}>, delay=00:00:01, xdelay=00:00:01, {route}")


# --- What people do ---


def day(text):
    return datetime.strptime(text, "%Y-%m-%d")


def home(user):
    """Where somebody works: the office of most, a line of their own of every third."""
    place = PEOPLE.index(user) if user in PEOPLE else 40
    if place % 3 == 2:
        return Client(f"198.51.100.{place + 10}", f"dsl-{place + 10}.isp.test")
    return Client(f"192.0.2.{place + 20}", f"pc{place + 20}.example.org")


def friend(log, user):
    """Nearly everybody writes to the same few people."""
    if log.chance.share() < 0.3:
        return f"{log.chance.one(PEOPLE)}@example.org"
    return f"{log.chance.one(PEOPLE)}.{user[0]}{log.chance.number(1, 6)}@{FAR[ord(user[-1]) % len(FAR)]}"


def moment(log, begin, seconds):
    return begin + timedelta(seconds=log.chance.number(0, seconds), microseconds=log.chance.number(0, 999999))


def office(log, date, users, most):
    """A working day: each of the users writes up to so many messages; some two or three in one session."""
    quiet = date.weekday() > 4
    for user in users:
        for _ in range(log.chance.number(0, 1 if quiet else most)):
            at = moment(log, date + timedelta(hours=8), 10 * 3600)
            count = 2 if log.chance.share() < 0.2 else 1
            messages = [
                Message(
                    f"{user}@example.org", [friend(log, user) for _ in range(2 if log.chance.share() < 0.15 else 1)],
                    size=log.chance.number(1500, 40000), after=3 if number == 0 else 40,
                    fate="deferred" if log.chance.share() < 0.02 else "sent")
                for number in range(count)
            ]
            log.sessions.append(Session(at, home(user), user, messages))


def incoming(log, date, users, count):
    for _ in range(count):
        at = moment(log, date, 86000)
        domain = log.chance.one(FAR)
        client = Client(f"203.0.113.{25 + FAR.index(domain)}", f"out.{domain}")
        sender = f"{log.chance.one(PEOPLE)}.{log.chance.number(1, 9)}@{domain}"
        message = Message(sender, [f"{log.chance.one(users)}@example.org"], size=log.chance.number(2000, 60000))
        log.sessions.append(Session(at, client, None, [message]))


# --- The five situations ---


def rare_line():
    """Ten days of a small office on Sendmail; on the last one the machine is in trouble, and two people stand out."""
    log = Log("s1-rare-line.log.gz", "sendmail", seed=1)
    users = PEOPLE[:8]
    first = day("2026-11-09")
    for number in range(10):
        date = first + timedelta(days=number)
        office(log, date, users, 4)
        incoming(log, date, users, 14)
    last = first + timedelta(days=9)
    # An invitation to far more people than carol ever writes to.
    guests = [f"guest{guest}@{FAR[guest % 5]}" for guest in range(120)]
    invitations = [Message("carol@example.org", guests[start : start + 30], size=8200) for start in range(0, 120, 30)]
    log.sessions.append(Session(last + timedelta(hours=9, minutes=41, seconds=7), home("carol"), "carol", invitations))
    # A mailbox sent away as a whole.
    parts = [Message("dave@example.org", ["dave.home@far.test"], size=24_000_000, after=20) for _ in range(6)]
    log.sessions.append(Session(last + timedelta(hours=10, minutes=5), home("dave"), "dave", parts))
    # A line that breaks in the middle of each message.
    for number in range(6):
        at = last + timedelta(hours=11, minutes=10 + 6 * number, seconds=number)
        message = Message("office@builder.test", ["alice@example.org"], reaches="data")
        log.sessions.append(Session(at, Client("203.0.113.90", "gw.builder.test"), None, [message]))
    # The machine itself; it answers nobody until it has recovered.
    at = last + timedelta(hours=11, minutes=52)
    for number in range(14):
        at += timedelta(seconds=15, microseconds=104729)
        log.add(at, "sm-mta", 611, f"rejecting connections on daemon MTA-v4: load average: {12 + number}")
        if number % 4 == 3:
            log.add(at, "sm-mta", 9000 + number, "runqueue: Aborting queue run: load average too high")
    at += timedelta(minutes=31)
    log.add(at, "sm-mta", 611, "accepting connections again for daemon MTA-v4")
    log.sessions = [session for session in log.sessions if not last + timedelta(hours=11, minutes=51) < session.at < at]
    log.write()


def hacked_account():
    """Eleven days of thirty users on Postfix. Frank's password is guessed, and used from a botnet in the night."""
    log = Log("s2-hacked-account.log.gz", "postfix", seed=2)
    first = day("2026-11-09")
    for number in range(12):
        date = first + timedelta(days=number)
        office(log, date, PEOPLE, 2)
        incoming(log, date, PEOPLE, 5)
    # The newsletter goes out every Tuesday.
    for number in (1, 8):
        at = first + timedelta(days=number, hours=10, minutes=30)
        for part in range(3):
            readers = [f"reader{part * 20 + place}@{FAR[place % 5]}" for place in range(20)]
            letters = [Message("news@example.org", [reader], size=18000, after=4) for reader in readers]
            log.sessions.append(Session(at + timedelta(minutes=5 * part), WEB_SERVER, "news", letters))
    # Guessing, slowly, for two days.
    for number in range(36):
        at = first + timedelta(days=8, hours=2, minutes=71 * number, seconds=log.chance.number(0, 59))
        names = ["frank"] if number % 3 else ["frank", "info"]
        log.sessions.append(Session(at, Client("203.0.113.66"), guesses=names, ending="lost"))
    # Then the spam, each session from another machine.
    start = first + timedelta(days=10, hours=22, minutes=41)
    for number in range(190):
        machine = log.chance.number(0, 19)
        address = ["203.0.113.130", "198.51.100.180"][machine] if machine < 2 else f"2001:db8:{machine:x}::25"
        spam = []
        for _ in range(2):
            is_taken = number < 90 and log.chance.share() < 0.8
            fate = "sent" if is_taken else log.chance.one(["bounced", "blocked"])
            victim = f"{log.chance.one(PEOPLE)}{log.chance.number(10, 99)}@{log.chance.one(FAR)}"
            spam.append(Message("frank@example.org", [victim], size=2904, after=6, fate=fate))
        at = moment(log, start + timedelta(seconds=178 * number), 120)
        log.sessions.append(Session(at, Client(address), "frank", spam))
    # In the morning somebody asks why nothing arrives any more, and locks the account.
    end = first + timedelta(days=11, hours=8, minutes=40)
    log.sessions = [session for session in log.sessions if session.at < end]
    log.write()


def six_rows(name, program, header):
    """A morning on which each row of the consultant's table is reached once, and three nearly."""
    log = Log(name, program, header, seed=3)
    date = day("2026-11-16")
    office(log, date, PEOPLE[:6], 2)
    at = date + timedelta(hours=9)
    # Five broken connections, and four.
    for address, count in (("203.0.113.11", 5), ("203.0.113.12", 4)):
        for number in range(count):
            log.sessions.append(Session(at + timedelta(minutes=10 * number), Client(address), ending="lost"))
    # Nine guesses at who lives here, and eight.
    names = ["sales", "info", "office", "admin", "test", "web", "root", "staff", "team"]
    for address, count in (("203.0.113.21", 9), ("203.0.113.22", 8)):
        at += timedelta(minutes=7)
        guesses = Message("offer@bulk.test", [f"{name}@example.org" for name in names[:count]], refused="unknown")
        log.sessions.append(Session(at, Client(address), None, [guesses]))
    # Thirteen attempts of an address on a block list, and ten.
    for client, count in ((Client("203.0.113.31", "mail.bulk.test"), 13), (Client("203.0.113.32"), 10)):
        at += timedelta(seconds=1)
        for number in range(count):
            session = Session(at + timedelta(minutes=5 * number), client)
            if program == "sendmail":
                session.limit = "dnsbl"
            else:
                session.messages = [Message("offer@bulk.test", ["alice@example.org"], refused="dnsbl")]
            log.sessions.append(session)
    # Twelve messages that another filter refuses.
    reply = "5.7.1 Blocked by SpamAssassin"
    spam = [Message("win@prize.test", ["bob@example.org"], rejected=reply, after=30) for _ in range(12)]
    log.sessions.append(Session(at + timedelta(minutes=40), Client("203.0.113.41", "mail.prize.test"), None, spam))
    # A program that logs in again and again, mostly without sending anything.
    for number in range(28):
        check = Message("erin@example.org", ["backup@far.test"], reaches="rcpt" if number % 7 else "end")
        log.sessions.append(Session(at + timedelta(hours=1, seconds=240 * number), home("erin"), "erin", [check]))
    # A user who writes to everybody, one by one.
    many = [Message("dave@example.org", [f"guest{number}@far.test"], after=45) for number in range(31)]
    log.sessions.append(Session(at + timedelta(minutes=75, seconds=30), home("dave"), "dave", many))
    log.write()


def web_host():
    """A day of a web host: the five cases, of customers and of robots."""
    log = Log("s4-web-host.log.gz", "postfix", seed=4)
    date = day("2026-11-18")
    users = PEOPLE[:20]
    office(log, date, users, 6)
    incoming(log, date, users, 60)
    # Without a login: the web server, trusted by its address.
    for number in range(40):
        order = Message("shop@example.org", [f"buyer{number}@{log.chance.one(FAR)}"])
        at = moment(log, date + timedelta(hours=6, minutes=19 * number), 59)
        log.sessions.append(Session(at, WEB_SERVER, None, [order]))
    # Under another name: an accountant for two offices, and an account that writes in the name of banks.
    for number in range(6):
        message = Message("office@example.org", ["tax@far.test"])
        log.sessions.append(Session(date + timedelta(hours=9, minutes=50 * number), home("laura"), "laura", [message]))
    for number in range(45):
        name = log.chance.one(["billing", "support", "ceo", "post"])
        sender = f"{name}@{log.chance.one(['bank.test', 'parcel.test', 'shop.test'])}"
        forged = Message(sender, [f"{log.chance.one(PEOPLE)}{number}@{log.chance.one(FAR)}"])
        at = moment(log, date + timedelta(hours=3, seconds=150 * number), 90)
        log.sessions.append(Session(at, Client(f"203.0.113.{170 + number % 5}"), "oscar", [forged]))
    # Refused, because nobody had logged in: a robot that probes a big provider, and a scanner set up wrongly.
    for number in range(30):
        probe = Message("test@example.org", [f"probe{number}@bigmail.test"], refused="relay")
        at = moment(log, date + timedelta(hours=13, seconds=70 * number), 30)
        log.sessions.append(Session(at, Client("203.0.113.77"), None, [probe]))
    for number in range(3):
        scan = Message("scan@customer.test", ["office@customer.test"], refused="relay")
        client = Client("198.51.100.77", "scanner.customer.test")
        log.sessions.append(Session(date + timedelta(hours=8 + 3 * number), client, None, [scan]))
    # Refused, because the login failed: guessing, and a phone with an old password.
    for number in range(25):
        names = [log.chance.one(["info", "admin", "oscar", "office"])] * 2
        at = moment(log, date + timedelta(hours=1, minutes=9 * number), 59)
        log.sessions.append(Session(at, Client("203.0.113.88"), guesses=names, ending="lost"))
    for number in range(8):
        log.sessions.append(Session(date + timedelta(hours=7 + number), home("nina"), guesses=["nina"]))
    log.write()


def guide():
    """A day with something under each heading of the guide."""
    log = Log("s5-guide.log.gz", "postfix", seed=5)
    date = day("2026-11-19")
    users = PEOPLE[:15]
    office(log, date, users, 6)
    incoming(log, date, users, 80)
    # Spam and viruses, which other filters refuse.
    for number in range(4):
        recipients = [f"{log.chance.one(users)}@example.org" for _ in range(6)]
        reply = "5.7.1 Blocked by SpamAssassin"
        spam = [Message("win@prize.test", [recipient], rejected=reply, after=20) for recipient in recipients]
        client = Client(f"203.0.113.{41 + number}", "mail.prize.test")
        log.sessions.append(Session(date + timedelta(hours=2 + 4 * number), client, None, spam))
    reply = "5.7.1 virus found: Eicar-Signature"
    virus = [Message("fax@parcel.test", [f"{user}@example.org"], rejected=reply, after=20) for user in users[:3]]
    log.sessions.append(Session(date + timedelta(hours=11), Client("203.0.113.50"), None, virus))
    # Three addresses on a block list, all day.
    for number in range(34):
        offer = Message("offer@bulk.test", ["alice@example.org"], refused="dnsbl")
        at = moment(log, date + timedelta(minutes=40 * number), 59)
        log.sessions.append(Session(at, Client(f"203.0.113.{31 + number % 3}"), None, [offer]))
    # Too many connections at once.
    for number in range(60):
        at = date + timedelta(hours=15, seconds=2 * number, milliseconds=number)
        log.sessions.append(Session(at, Client("203.0.113.99"), limit=31 + number))
    # A list that has grown old: every third reader is gone.
    letters = []
    for number in range(60):
        fate = "bounced" if number % 3 == 0 else "sent"
        letters.append(Message("news@example.org", [f"reader{number}@{FAR[number % 5]}"], after=3, fate=fate))
    log.sessions.append(Session(date + timedelta(hours=10), WEB_SERVER, "news", letters))
    # A school that puts off what it gets.
    pupils = [f"pupil{number}@school.test" for number in range(25)]
    late = [Message("judy@example.org", [pupil], after=3, fate="deferred") for pupil in pupils]
    log.sessions.append(Session(date + timedelta(hours=14), home("judy"), "judy", late))
    # The disk fills up.
    for number in range(8):
        at = date + timedelta(hours=16, minutes=number, microseconds=7919 * number)
        words = "not enough free space in mail queue: 102400000 bytes < 1.5*message size limit"
        log.add(at, "postfix/smtpd", 1900 + number, f"warning: {words}")
    log.write()


rare_line()
hacked_account()
six_rows("s3-postfix.log", "postfix", "iso")
six_rows("s3-sendmail.log", "sendmail", "rfc3164")
web_host()
guide()
