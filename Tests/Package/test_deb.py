#!/usr/bin/env -S python3 -B
"""Installs the Debian package on a booted Debian 12, and shows what an administrator relies on; as root.

    test_deb.py PACKAGE
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

from clients import connecting, negotiate, read_packet, speak_smtp
from container import Container, Failure, run, until

POLICY = "/etc/mailwarden/mailwarden.yaml"
CLIENT = "203.0.113.77"
BLOCKED = f"ip:{CLIENT}"
# Everything takes some four minutes; nothing may take for ever.
LIMIT_SECONDS = 1_200

shown = 0


def claim(text, holds=True, evidence=""):
    global shown
    if not holds:
        raise Failure(f"does not hold: {text}\n{evidence}")
    shown += 1
    print(f"ok  {text}", flush=True)


def status(box, field):
    return json.loads(box.do("mailwarden", "status", "--json"))[field]


def connections(box):
    return json.loads(box.do("mailwarden", "status", "--json"))["totals"]["connections"]["total"]


def penalties(box):
    return [penalty["key"] for penalty in json.loads(box.do("mailwarden", "penalties", "--json"))]


def main_process(box):
    return box.ask("systemctl", "show", "--value", "-p", "MainPID", "mailwarden.service")


def is_active(box, unit="mailwarden.service"):
    return box.ask("systemctl", "is-active", unit) == "active"


def restart(box):
    # As often as this test systemd lets nobody start anything.
    box.do("systemctl", "reset-failed", "mailwarden.service")
    box.do("systemctl", "restart", "mailwarden.service")


def snapshot(box):
    """All paths, and of each file below /etc what it holds."""
    found = {}
    for folder, folders, files in os.walk(box.root):
        folders[:] = [name for name in folders if not os.path.ismount(os.path.join(folder, name))]
        for name in folders + files:
            path = pathlib.Path(folder, name)
            inside = "/" + str(path.relative_to(box.root))
            is_read = inside.startswith("/etc/") and path.is_file() and not path.is_symlink()
            found[inside] = hashlib.sha256(path.read_bytes()).hexdigest() if is_read else ""
    return found


# What changes for whatever is installed and removed.
BOOKKEEPING = re.compile(
    r"^/("
    r"var/lib/(dpkg|apt|ucf)/|var/cache/|var/log/|var/backups/|"  # dpkg, apt, man-db, logs
    r"(etc/(passwd|group|shadow|gshadow|subuid|subgid)-|etc/\.pwd\.lock)$|"  # the copies of before
    r"etc/ld\.so\.cache$|var/lib/systemd/|"  # libraries; clocks and seeds
    r"var/spool/postfix/(active|bounce|corrupt|defer|deferred|flush|hold|incoming|maildrop|pid|private|public|saved|trace)"
    r"/|var/mail/|var/lib/postfix/|tmp/|var/tmp/|root/)"
)


def show_installation(box, package):
    box.install("/" + package.name)
    claim("installing gives an active service, enabled at boot, and its socket",
          all(box.ask("systemctl", way, unit) == way[3:] for way in ["is-active", "is-enabled"]
              for unit in ["mailwarden.service", "mailwarden.socket"]), box.ask("systemctl", "status", "mailwarden"))
    user = box.do("ps", "-o", "user:20=", "-p", main_process(box)).strip()
    claim("the daemon runs as user mailwarden", user == "mailwarden", user)
    checked = box.do("mailwarden", "check")
    claim("the policy that comes with it has no errors and no warnings", "warning" not in checked, checked)
    box.do("mailwarden", "test")
    claim("its tests pass")
    text = box.ask("systemctl", "status", "mailwarden.service")
    claim("systemctl status says what it does", "sessions open" in text and "penalties" in text, text)
    verified = box.ask("systemd-analyze", "verify", "mailwarden.service", "mailwarden.socket", "mailwarden-postfix.service")
    claim("systemd-analyze verify has nothing to say of the units", "mailwarden" not in verified, verified)
    exposure = box.ask("systemd-analyze", "security", "--no-pager", "mailwarden.service").splitlines()[-1]
    claim("systemd-analyze security: " + exposure.lstrip("→ "), "OK" in exposure, exposure)


def show_handbook(box):
    for page in sorted(box.path("/usr/share/man").glob("man*/mailwarden*.gz")):
        name, section = page.name.removesuffix(".gz").rsplit(".", 1)
        box.do("man", "-P", "cat", section, name)
        warnings = box.ask("sh", "-c", f"man --warnings -P cat {section} {name} 2>&1 >/dev/null")
        claim(f"man {section} {name} renders without a warning", not warnings, warnings)
    loads = {
        "bash": ["bash", "-c", ". /usr/share/bash-completion/bash_completion; _completion_loader mailwarden; "
                 "complete -p mailwarden"],
        "zsh": ["zsh", "-c", "autoload -U compinit; compinit -u -D; whence -w _mailwarden; (( $+_comps[mailwarden] ))"],
        "fish": ["fish", "-c", "complete -C 'mailwarden pen' | grep -q penalties"],
    }
    for shell, command in loads.items():
        box.do(*command)
        claim(f"the completions load in {shell}")


def show_mail(box, mta):
    """With the documented lines in place."""
    before = connections(box)
    reply = until(f"{mta} takes mail", lambda: try_mail(box), 90)
    claim(f"{mta}: mail by SMTP is taken", reply.startswith("250"), reply)
    claim(f"{mta}: and counted", connections(box) > before)
    box.do("mailwarden", "block", BLOCKED, "--for", "1d", "--reason", "test of the package")
    reply = speak_smtp(box, CLIENT)
    claim(f"{mta}: a client that is blocked is refused: {reply}", reply[:1] in "45", reply)
    box.do("mailwarden", "release", BLOCKED)
    reply = speak_smtp(box, CLIENT)
    claim(f"{mta}: and no longer, once it is released", reply.startswith("250"), reply)


def try_mail(box):
    """The reply; nothing where nobody listens yet."""
    try:
        return speak_smtp(box, CLIENT)
    except OSError:
        return None


def show_postfix(box):
    lines = ["smtpd_milters = unix:/run/mailwarden/milter.sock", "milter_default_action = accept",
             "milter_connect_timeout = 5s", "milter_command_timeout = 10s"]
    box.do("postconf", "-e", *lines)
    box.do("postfix", "reload")
    is_chrooted = box.do("postconf", "-F", "smtp/inet/chroot")
    claim("Postfix: its smtpd runs in the chroot, as Debian has it", is_chrooted.strip().endswith("= y"), is_chrooted)
    show_mail(box, "Postfix")
    socket = box.do("stat", "-c", "%U %G %a", "/run/mailwarden/milter.sock").strip()
    claim("the milter's socket is for the daemon and group postfix alone", socket == "mailwarden postfix 660", socket)
    claim("and user postfix may not give orders",
          box.fails("setpriv", "--reuid=postfix", "--regid=postfix", "--init-groups", "mailwarden", "status"))


def show_sendmail(box):
    configuration = box.path("/etc/mail/sendmail.mc")
    documented = pathlib.Path("Examples/sendmail/mailwarden.mc").read_text()
    line = next(line for line in documented.splitlines() if line.startswith("INPUT_MAIL_FILTER"))
    text = configuration.read_text()
    configuration.write_text(text.replace("MAILER_DEFINITIONS", line + "\nMAILER_DEFINITIONS", 1))
    box.do("make", "-C", "/etc/mail")
    box.do("systemctl", "restart", "sendmail")
    show_mail(box, "Sendmail")


def show_activation(box):
    box.do("systemctl", "stop", "mailwarden.service")
    claim("stopping leaves the socket to systemd",
          not is_active(box) and is_active(box, "mailwarden.socket") and box.path("/run/mailwarden/milter.sock").exists())
    connection, wait = negotiate(box)
    connection.close()
    claim(f"connecting starts the daemon (answered after {wait:.1f} s)", is_active(box))

    with connecting(box) as (waits, failures):
        for _ in range(3):
            restart(box)
    claim(f"through three restarts {len(waits)} connections are answered, none refused (longest wait {max(waits):.1f} s)",
          not failures and len(waits) > 20, failures[:5])

    connection, _ = negotiate(box)
    restarting = subprocess.Popen(box.entered(["systemctl", "restart", "mailwarden.service"]))
    try:
        until("it drains", lambda: box.ask("systemctl", "is-active", "mailwarden.service") == "deactivating")
        # CONNECT, which may be left without an answer, and MAIL.
        for packet in [b"Chost\x004\x04\xd2203.0.113.77\0", b"M<a@client.example>\0"]:
            connection.sendall(len(packet).to_bytes(4, "big") + packet)
        answer = read_packet(connection)
        claim("a session that is open when the daemon is restarted is served on", answer == b"c", answer)
    finally:
        connection.close()
        restarting.wait()


def show_reload(box):
    policy = box.path(POLICY)
    good = policy.read_text()
    policy.write_text(good + "\n  - {name: added-by-admin, count: messages, per: user, limit: 9 per 1h, then: alert}\n")
    box.do("systemctl", "reload", "mailwarden")
    claim("systemctl reload takes a changed policy", "added-by-admin" in box.do("mailwarden", "status", "--json"))
    changed = policy.read_text()
    policy.write_text(changed.replace("count: messages, per: user, limit: 9", "count: mesages, per: user, limit: 9"))
    claim("systemctl reload fails on a policy with an error", box.fails("systemctl", "reload", "mailwarden"))
    claim("and the one before stays in force",
          is_active(box) and "added-by-admin" in box.do("mailwarden", "status", "--json"))
    policy.write_text(changed)
    box.do("systemctl", "reload", "mailwarden")


def show_outage(box):
    """Postfix reaches the daemon again after everything that has kept it away."""
    def is_counted():
        before = connections(box)
        return try_mail(box).startswith("250") and connections(box) > before

    box.do("systemctl", "stop", "mailwarden.socket", "mailwarden.service")
    reply = speak_smtp(box, CLIENT)
    claim("while both units are stopped mail passes", reply.startswith("250"), reply)
    box.do("systemctl", "start", "mailwarden.service")
    claim("started again, it counts what comes through Postfix", is_counted(), box.ask("journalctl", "-n", "30"))

    policy = box.path(POLICY)
    good = policy.read_text()
    policy.write_text(good + "\nnonsense: 1\n")
    claim("a start with an error in the policy fails", box.fails("systemctl", "restart", "mailwarden.service"))
    until("systemd gives up, and closes the socket, too",
          lambda: box.ask("systemctl", "is-failed", "mailwarden.socket") == "failed", 120)
    reply = speak_smtp(box, CLIENT)
    claim("a daemon that cannot start does not hold mail up: systemd closes the socket", reply.startswith("250"), reply)
    policy.write_text(good)
    box.do("systemctl", "reset-failed", "mailwarden.socket", "mailwarden.service")
    box.do("systemctl", "restart", "mailwarden.service")
    claim("mended and restarted, it counts what comes through Postfix", is_counted(), box.ask("journalctl", "-n", "30"))

    socket, shadow = "/run/mailwarden/milter.sock", box.path("/etc/shadow")
    before = shadow.stat()
    box.do("setpriv", "--reuid=mailwarden", "--regid=mailwarden", "--clear-groups",
           "sh", "-c", f"rm {socket} && ln -s /etc/shadow {socket}")
    box.do("systemctl", "restart", "postfix")
    claim("who is user mailwarden cannot have root give another file to Postfix", shadow.stat().st_gid == before.st_gid)
    box.do("systemctl", "stop", "mailwarden.socket", "mailwarden.service")
    box.do("rm", "-f", socket)
    box.do("systemctl", "start", "mailwarden.service")
    claim("with a new socket it counts what comes through Postfix", is_counted(), box.ask("journalctl", "-n", "30"))


def show_recovery(box):
    box.do("mailwarden", "block", BLOCKED, "--for", "1d", "--reason", "test of the package")
    # The unit's own 60 s are longer than a test should take.
    drop_in = box.path("/run/systemd/system/mailwarden.service.d")
    drop_in.mkdir(parents=True)
    (drop_in / "test.conf").write_text("[Service]\nWatchdogSec=4\n")
    box.do("systemctl", "daemon-reload")
    restart(box)
    for how, order in [("stands still (SIGSTOP)", "-STOP"), ("is killed (SIGKILL)", "-KILL")]:
        before = main_process(box)
        box.do("kill", order, before)
        until(f"a daemon that {how} is started anew",
              lambda: main_process(box) not in (before, "0") and is_active(box))
        claim(f"a daemon that {how} is started anew, and what was blocked is blocked", BLOCKED in penalties(box))
    shutil.rmtree(drop_in)
    box.do("systemctl", "daemon-reload")
    claim("it was the watchdog", "Watchdog timeout" in box.do("journalctl", "--no-pager", "-u", "mailwarden.service"))
    restart(box)


def show_upgrade(box, newer):
    before = main_process(box)
    with connecting(box) as (waits, failures):
        box.install("/" + newer.name)
    claim("an upgrade restarts the daemon", is_active(box) and main_process(box) != before)
    claim(f"meanwhile {len(waits)} connections are answered, none refused (longest wait {max(waits):.1f} s)",
          not failures and len(waits) > 20, failures[:5])
    claim("an upgrade keeps the changed policy", "added-by-admin" in box.path(POLICY).read_text()
          and "added-by-admin" in box.do("mailwarden", "status", "--json"))
    claim("an upgrade keeps what is blocked", BLOCKED in penalties(box))


def show_removal(box, package, before):
    box.do("apt-get", "-q", "-y", "remove", "mailwarden")
    claim("removing keeps policy and state",
          box.path(POLICY).exists() and box.path("/var/lib/mailwarden/mailwarden.sqlite").exists()
          and not box.path("/usr/bin/mailwarden").exists() and not is_active(box, "mailwarden.socket"))
    reply = speak_smtp(box, CLIENT)
    claim(f"Postfix goes on without it: {reply}", reply.startswith("250"), reply)
    box.install("/" + package.name)
    claim("installed again, it goes on with them",
          is_active(box) and BLOCKED in penalties(box) and "added-by-admin" in box.path(POLICY).read_text())
    box.do("apt-get", "-q", "-y", "purge", "--autoremove", "mailwarden")
    after = snapshot(box)
    different = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    left = sorted(path for path in different if not BOOKKEEPING.match(path) and path != "/etc/postfix/main.cf")
    claim("purging leaves nothing behind, apart from what dpkg, apt and systemd keep of any package", not left,
          "\n".join(left))
    claim("not in /run either, nor a unit", not box.path("/run/mailwarden").exists()
          and "mailwarden" not in box.ask("systemctl", "list-units", "--all", "--full", "--plain", "--no-legend"),
          box.ask("systemctl", "list-units", "--all", "--full", "--plain", "--no-legend", "*mailwarden*"))


def newer_version(package, folder):
    """The same as a later version."""
    tree = folder / "newer"
    run("dpkg-deb", "--raw-extract", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", "Version: 999.0", control.read_text()))
    newer = folder / "mailwarden-newer.deb"
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, newer)
    shutil.rmtree(tree)
    return newer


def show_commands(box):
    """A program that must become another: Postfix's sendmail(1) is set-group."""
    drop_in = box.path("/etc/systemd/system/mailwarden.service.d")
    drop_in.mkdir()
    shutil.copy(box.path("/usr/share/doc/mailwarden/examples/systemd/commands.conf"), drop_in)
    box.do("systemctl", "daemon-reload")
    policy = box.path(POLICY)
    policy.write_text(policy.read_text() + """
  - {name: told, count: connections, per: ip, limit: 1 per 1h, then: [alert, run mail-root]}
commands: {mail-root: [/usr/sbin/sendmail, -i, root]}
""")
    restart(box)
    for _ in range(2):
        speak_smtp(box, CLIENT)
    mailbox = box.path("/var/mail/root")
    until("the program's mail is there", lambda: mailbox.exists() and '"rule":"told"' in mailbox.read_text())
    claim("with the drop-in commands.conf a program that the policy runs can hand in mail by Postfix's sendmail(1)")


def show_all(box, package):
    shutil.copy(package, box.root)
    newer = newer_version(package, box.root)
    claim("a Debian 12 boots")
    box.install("postfix")
    before = snapshot(box)

    show_installation(box, package)
    show_handbook(box)
    show_postfix(box)
    show_activation(box)
    show_reload(box)
    show_outage(box)
    show_recovery(box)
    show_upgrade(box, newer)
    show_removal(box, package, before)

    box.install("/" + package.name)
    claim("it can be installed after a purge", is_active(box))
    box.install("sendmail")
    claim("it does not mind that Sendmail takes Postfix's place", is_active(box) and is_active(box, "mailwarden.socket"))
    show_sendmail(box)
    # Now Mailwarden is there first.
    box.do("apt-get", "-q", "-y", "purge", "sendmail", "sendmail-bin", "sendmail-base", "sendmail-cf")
    claim("without any MTA it goes on", is_active(box))
    box.install("postfix")
    # Sendmail has left its aliases, without the table that Postfix makes of them.
    box.do("newaliases")
    show_postfix(box)
    box.do("systemctl", "restart", "postfix")
    reply = until("Postfix is back", lambda: try_mail(box))
    claim("after a restart of Postfix, too", reply.startswith("250"), reply)
    show_commands(box)


def main():
    package = pathlib.Path(sys.argv[1])
    missing = [name for name in ["debootstrap", "systemd-nspawn", "nsenter", "zstd"] if not shutil.which(name)]
    if os.geteuid() != 0:
        missing.append("root")
    if missing:
        sys.exit(f"test_deb.py: a Debian 12 cannot be booted without {', '.join(missing)}")
    for number in [signal.SIGTERM, signal.SIGHUP, signal.SIGALRM]:
        signal.signal(number, lambda number, _: sys.exit(f"test_deb.py: ended by {signal.Signals(number).name}"))
    signal.alarm(LIMIT_SECONDS)
    try:
        with Container() as box:
            try:
                show_all(box, package)
            except Failure:
                print(box.ask("journalctl", "--no-pager", "-n", "150"), file=sys.stderr)
                raise
    except (Failure, subprocess.TimeoutExpired) as failure:
        sys.exit(f"FAILED after {shown} claims: {failure}")
    print(f"{shown} claims shown")


if __name__ == "__main__":
    main()
