#!/bin/sh
# What faults of disks and receivers do to the milter's answers, with the binaries in FOLDER (mailwarden, milter-load):
#
#   faults.sh FOLDER [--quick]
#
# For each fault the daemon that has it beside one that has not, both with state, history and alerts, in turns. Needs root for
# disks of its own; without it says so and leaves those out.
set -eu
folder=$1
quick=${2:-}
here=$(dirname "$0")
work=$(mktemp -d /var/tmp/mwfault.XXXXXX)
frozen=
holder=
receiver=
clean_up() {
    [ -z "$frozen" ] || fsfreeze -u "$work/faulty" || true
    [ -z "$holder" ] || kill "$holder" 2>/dev/null || true
    [ -z "$receiver" ] || kill "$receiver" 2>/dev/null || true
    umount -l "$work/faulty" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

rounds=7
seconds=4
if [ "$quick" = --quick ]; then
    rounds=3
    seconds=2
fi

# policy NAME STATE ALERTS: some users are over a limit all the time, so that there is always something to store and to tell.
policy() {
    cat >"$work/$1.yaml" <<END
listen: {milter: "unix:$work/$1.sock", control: $work/$1.control}
state: $2
alerts: {$3, wait: 1s, interval: 1s, at-most: 1000 per 1h}
groups: {greedy: [$(seq -s ', ' -f 'user%g@mail.example' 0 24)]}
rules:
  - {name: cap, count: messages, per: user, only: group greedy, limit: 20 per 1m, then: [alert, tempfail]}
  - {name: rate, count: recipients, per: user, limit: 1000000 per 1h, then: tempfail}
  - {name: pushing, count: connections, per: ip, only: network 198.18.0.0/19, limit: 2 per 10s, then: block for 5s}
END
}

good="mail: {to: postmaster, from: mailwarden@localhost, program: $work/taken}"

# compare TITLE FAULT: a program or function that brings the fault about once the daemons run.
compare() {
    echo "$1"
    (
        sleep 3
        "$2"
    ) &
    fault=$!
    "$folder/milter-load" --name faulty --command "$folder/mailwarden run --config $work/faulty.yaml" \
        --socket "unix:$work/faulty.sock" \
        --beside "without unix:$work/good.sock $folder/mailwarden run --config $work/good.yaml" \
        --rounds $rounds --seconds $seconds --rest 1 --scenario 8,1,1 --allow-refusals
    wait $fault || true
}

nothing() { :; }

printf '#!/bin/sh\nexec cat >/dev/null\n' >"$work/taken"
printf '#!/bin/sh\nexit 75\n' >"$work/failing"
printf '#!/bin/sh\nexec sleep 600\n' >"$work/hanging"
chmod 755 "$work/taken" "$work/failing" "$work/hanging"
policy good "$work/good" "$good"

if [ "$(id -u)" = 0 ]; then
    mkdir "$work/faulty"
    policy faulty "$work/faulty" "$good"

    mount -t tmpfs -o size=2m tmpfs "$work/faulty"
    fill() { dd if=/dev/zero of="$work/faulty/filler" bs=4k 2>/dev/null || true; }
    compare "A full disk" fill
    umount -l "$work/faulty"

    mount -t tmpfs -o size=64m tmpfs "$work/faulty"
    mount -o remount,ro "$work/faulty"
    compare "A disk that cannot be written" nothing
    umount -l "$work/faulty"

    dd if=/dev/zero of="$work/image" bs=1M count=64 2>/dev/null
    mkfs.ext4 -q "$work/image"
    mount -o loop "$work/image" "$work/faulty"
    # Let go before the end: a process that waits for a frozen disk cannot be ended.
    freeze() {
        fsfreeze -f "$work/faulty"
        sleep $((rounds * 2 * (seconds + 1)))
        fsfreeze -u "$work/faulty"
    }
    frozen=yes
    compare "A disk that stands still" freeze
    frozen=
    umount -l "$work/faulty"
    rmdir "$work/faulty"
else
    echo "not root: a full disk, one that cannot be written and one that stands still are left out"
fi

policy faulty "$work/held" "$good"
mkdir "$work/held"
python3 - "$work/held/mailwarden.sqlite" <<'END' &
import sqlite3, sys, time
while True:
    try:
        held = sqlite3.connect(sys.argv[1], isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        time.sleep(3600)
    except sqlite3.OperationalError:
        time.sleep(0.1)
END
holder=$!
compare "A lock held by another process" nothing
kill "$holder"
holder=

policy faulty "$work/failing-state" "mail: {to: postmaster, from: mailwarden@localhost, program: $work/failing}"
compare "A mail program that fails" nothing
policy faulty "$work/hanging-state" "mail: {to: postmaster, from: mailwarden@localhost, program: $work/hanging}"
compare "A mail program that hangs" nothing

python3 -u "$here/../Tests/WardenAlertsTests/Receivers/web.py" >"$work/receiver" 2>/dev/null &
receiver=$!
until [ -s "$work/receiver" ]; do sleep 0.1; done
port=$(head -n 1 "$work/receiver")
for fault in hang 500 endless; do
    policy faulty "$work/$fault-state" "webhook: {url: 'http://127.0.0.1:$port/$fault'}"
    compare "A webhook: $fault" nothing
done
policy faulty "$work/refused-state" "webhook: {url: 'http://127.0.0.1:9/'}"
compare "A webhook that refuses connections" nothing

policy faulty "$work/twin-state" "$good"
compare "No fault at all: what two of the same differ by" nothing
