"""A Debian 12 of its own, booted with its own systemd and without any network but its own."""

import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

CACHE = pathlib.Path(".build/package-test")
MIRROR = "http://deb.debian.org/debian"
# What is there before anything is installed; the last three are for completions.
BASE = ["systemd", "systemd-sysv", "dbus", "ca-certificates", "man-db", "bash-completion", "zsh", "fish"]
# Downloaded with what they need, and installed from there: there is no network later. Each alone: some exclude others.
WANTED = [["postfix"], ["sendmail", "sendmail-bin"], ["libmilter1.0.1", "libsqlite3-0"]]


class Failure(Exception):
    pass


def run(*command, **options):
    """The output; a Failure with its end when the command fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          text=True, errors="replace", **options)
    if done.returncode:
        raise Failure(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout


def until(what, condition, seconds=60):
    """What the condition gives, once that is true."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def base():
    """The tarball of a Debian 12 with the packages above; made once."""
    recipe = repr((MIRROR, BASE, WANTED)).encode()
    tarball = CACHE / f"debian-12-{hashlib.sha256(recipe).hexdigest()[:12]}.tar.zst"
    if tarball.exists():
        return tarball
    print("   making a Debian 12; this is done once", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    root = CACHE.resolve() / f"base-{os.getpid()}"
    try:
        # The proxy of the machine's apt, for debootstrap and for the apt in there.
        proxy = run("sh", "-c", "eval $(apt-config shell p Acquire::http::Proxy); echo $p").strip()
        environment = {**os.environ, **({"http_proxy": proxy} if proxy else {})}
        # In namespaces of their own, so that nothing of them, no mount either, outlives an interrupted test.
        contained = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        run(*contained, "debootstrap", "--variant=minbase", f"--include={','.join(BASE)}", "bookworm", root, MIRROR,
            env=environment)
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        run(*contained, "chroot", root, "apt-get", "-q", "update", env=environment)
        for packages in WANTED:
            run(*contained, "chroot", root, "apt-get", "-q", "-y", "--download-only", "install", *packages, env=environment)
        # Sendmail and Postfix look their own name up.
        (root / "etc/resolv.conf").write_text("")
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 mx.example.test mx\n::1 localhost\n")
        (root / "etc/hostname").write_text("mx.example.test\n")
        part = tarball.with_suffix(".part")
        run("tar", "-C", root, "-I", "zstd -T0 -3", "-cf", part, ".")
        part.rename(tarball)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return tarball


class Container:
    def __init__(self):
        self.root = CACHE.resolve() / f"root-{os.getpid()}"
        self.nspawn = None
        self.leader = None

    def __enter__(self):
        try:
            self.root.mkdir(parents=True)
            run("tar", "-C", self.root, "-I", "zstd", "-xpf", base().resolve())
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.leader:
            os.kill(self.leader, signal.SIGKILL)
        if self.nspawn:
            try:
                self.nspawn.wait(20)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def boot(self):
        console = CACHE / f"console-{os.getpid()}.log"
        with open(console, "wb") as log:
            self.nspawn = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
                 "--machine=mailwarden-test", "--hostname=mx.example.test", "--resolv-conf=off", "--timezone=off",
                 "--console=pipe", "--directory", self.root, "--boot"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            def booted():
                if self.nspawn.poll() is not None:
                    raise Failure(f"it ended with {self.nspawn.returncode}")
                self.leader = self.leader or self.first_process()
                return self.leader and self.ask("systemctl", "is-system-running") in ("running", "degraded")
            until("the container has booted", booted)
        except Failure as failure:
            text = console.read_text(errors="replace")[-2000:]
            raise Failure(f"systemd-nspawn could not boot a Debian 12 here: {failure}. Its console:\n{text}")
        finally:
            console.unlink()
        # A client must not come from 127.0.0.0/8, which the default policy exempts.
        run("nsenter", "-t", str(self.leader), "-n", "ip", "address", "add", "203.0.113.77/32", "dev", "lo")

    def first_process(self):
        """The container's process 1, as seen from here."""
        def children(pid):
            try:
                return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                return []
        waiting = children(self.nspawn.pid)
        while waiting:
            pid = waiting.pop()
            try:
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            names = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
            if len(names) > 2 and names[-1] == "1":
                return int(pid)
            waiting += children(pid)

    def entered(self, command):
        return ["nsenter", "-t", str(self.leader), "--all", "--wdns=/", "env", "-i", "LC_ALL=C.UTF-8", "TERM=dumb",
                "DEBIAN_FRONTEND=noninteractive", "HOME=/root",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *map(str, command)]

    def do(self, *command):
        """Runs it inside; a Failure when it fails."""
        return run(*self.entered(command), timeout=300)

    def ask(self, *command):
        """Its output, however it ends."""
        return subprocess.run(self.entered(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              stdin=subprocess.DEVNULL, timeout=60).stdout.strip()

    def fails(self, *command):
        return subprocess.run(self.entered(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, timeout=120).returncode != 0

    def install(self, *packages):
        self.do("apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", "install", *packages)

    def path(self, name):
        """A file of the running container, as seen from here; what is mounted there included."""
        return pathlib.Path(f"/proc/{self.leader}/root{name}")
