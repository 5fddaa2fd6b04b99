#!/usr/bin/env python3
"""Reads the same mail log with Mailwarden and with others, in turns; see `make bench`.

    logs.py FOLDER [--quick]

FOLDER has the binaries: log-bench and mailwarden. pflogsumm and fail2ban are fetched from Debian and unpacked, not
installed. Each round runs every contender once; figures are medians over the rounds, and ratios are within a round.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

FOLDER = sys.argv[1]
QUICK = "--quick" in sys.argv
HERE = os.path.dirname(os.path.abspath(__file__))
LINES = 100_000 if QUICK else 1_000_000
ROUNDS = 3 if QUICK else 5
MEMORY_LINES = 500_000 if QUICK else 10_000_000
MEMORY_USERS = 20_000 if QUICK else 200_000
PACKAGES = ["pflogsumm", "libdate-calc-perl", "libcarp-clan-perl", "libdate-calc-xs-perl", "libbit-vector-perl", "fail2ban"]


def fetch(work):
    """Unpacks the peers below WORK/root; says what is missing."""
    root = os.path.join(work, "root")
    get = subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download"] + PACKAGES, cwd=work,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if get.returncode != 0:
        print("logs.py: the peers are left out, they could not be fetched:", get.stderr.strip().splitlines()[-1:])
        return None
    for name in os.listdir(work):
        if name.endswith(".deb"):
            subprocess.run(["dpkg", "-x", os.path.join(work, name), root], check=True)
    return root


def run(command, environment=None):
    """Wall-clock seconds and peak memory in MB of one run."""
    start = time.monotonic()
    # Not to /dev/null: grep would stop at the first line.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, env={**os.environ, **(environment or {})})
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    # grep -c exits 0 where it has found a line.
    if status != 0:
        raise SystemExit(f"logs.py: {' '.join(command)} ended with {status}")
    return seconds, usage.ru_maxrss / 1024


def contenders(log, root, policy):
    bench, daemon = os.path.join(FOLDER, "log-bench"), os.path.join(FOLDER, "mailwarden")
    found = [
        ("grep -c", ["grep", "-c", "", log], None),
        ("log-bench parse: lines read", [bench, "parse", log], None),
        ("log-bench join: and joined to events", [bench, "join", log], None),
        ("mailwarden replay, consultant.yaml", [daemon, "replay", log, "--quiet", "--policy",
                                                os.path.join(HERE, "../Examples/policies/consultant.yaml")], None),
        ("mailwarden replay, default.yaml", [daemon, "replay", log, "--quiet", "--policy", policy], None),
    ]
    if root:
        libraries = f"{root}/usr/share/perl5:" + ":".join(
            os.path.join(path, name) for path, names, _ in os.walk(f"{root}/usr/lib") for name in names
            if os.path.basename(path) == "perl5")
        found += [
            ("pflogsumm", [f"{root}/usr/sbin/pflogsumm", log], {"PERL5LIB": libraries}),
            ("fail2ban-regex", ["python3", f"{root}/usr/bin/fail2ban-regex", "-c", f"{root}/etc/fail2ban", log,
                                f"{root}/etc/fail2ban/filter.d/postfix.conf"],
             {"PYTHONPATH": f"{root}/usr/lib/python3/dist-packages"}),
        ]
    return found


def main():
    with tempfile.TemporaryDirectory(prefix="mwlogs.") as work:
        log = os.path.join(work, "mail.log")
        bench = os.path.join(FOLDER, "log-bench")
        subprocess.run([bench, "generate", log, "--lines", str(LINES), "--users", "2000"], check=True)
        policy = os.path.join(HERE, "../Examples/policies/default.yaml")
        all_of = contenders(log, fetch(work), policy)
        seconds = {name: [] for name, _, _ in all_of}
        memory = {}
        for _ in range(ROUNDS):
            for name, command, environment in all_of:
                taken, used = run(command, environment)
                seconds[name].append(taken)
                memory[name] = max(memory.get(name, 0), used)
        print(f"{LINES:,} lines of a Postfix log, {os.path.getsize(log) / 1e6:.0f} MB, {ROUNDS} rounds in turns")
        print(f"{'':42}{'lines/s':>12}{'to pflogsumm':>16}{'to fail2ban-regex':>20}{'MB':>8}")
        for name, taken in seconds.items():
            row = f"{name:42}{LINES / statistics.median(taken):>12,.0f}"
            for peer, width in (("pflogsumm", 16), ("fail2ban-regex", 20)):
                ratios = [b / a for a, b in zip(taken, seconds.get(peer, []))]
                row += f"{f'{statistics.median(ratios):.1f}x' if ratios else '-':>{width}}"
            print(row + f"{memory[name]:>8.0f}")
        os.remove(log)

        log = os.path.join(work, "large.log")
        subprocess.run([bench, "generate", log, "--lines", str(MEMORY_LINES), "--users", str(MEMORY_USERS)], check=True)
        daemon = os.path.join(FOLDER, "mailwarden")
        print(f"\n{MEMORY_LINES:,} lines of {MEMORY_USERS:,} users, memory of the policy bounded at 256 MB")
        for name in ("consultant", "default"):
            taken, used = run([daemon, "replay", log, "--quiet", "--policy", os.path.join(HERE, f"../Examples/policies/{name}.yaml")])
            print(f"mailwarden replay, {name}.yaml{'':10}{MEMORY_LINES / taken:>12,.0f} lines/s{used:>8.0f} MB")


main()
