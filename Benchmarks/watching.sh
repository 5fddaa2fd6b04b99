#!/bin/sh
# What watchers and a dashboard do to the milter's answers, with the binaries in FOLDER (mailwarden, milter-load):
#
#   watching.sh FOLDER [--quick]
#
# A daemon with 20 event streams, a screen and a dashboard's requests beside one that nobody looks at, in turns. The
# dashboard's requests come from curl at a page's pace: a browser on this machine would take the cores that are measured.
set -eu
folder=$1
quick=${2:-}
work=$(mktemp -d /var/tmp/mwwatch.XXXXXX)
lookers=
clean_up() {
    for pid in $lookers; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

rounds=7
seconds=6
if [ "$quick" = --quick ]; then
    rounds=2
    seconds=3
fi

# policy NAME: some users and addresses are stopped all the time, so that there is always something to tell.
policy() {
    cat >"$work/$1.yaml" <<END
listen: {milter: "unix:$work/$1.sock", control: $work/$1.control}
state: $work/$1
groups: {greedy: [$(seq -s ', ' -f 'user%g@mail.example' 0 24)]}
rules:
  - {name: cap, count: messages, per: user, only: group greedy, limit: 20 per 1m, then: [alert, tempfail]}
  - {name: rate, count: recipients, per: user, limit: 1000000 per 1h, then: tempfail}
  - {name: pushing, count: connections, per: ip, only: network 198.18.0.0/19, limit: 2 per 10s, then: block for 5s}
END
}

ask() { curl -s -m 20 -o /dev/null --unix-socket "$work/watched.control" "http://x$1"; }

# What an open page asks for, every five seconds.
dashboard() {
    while :; do
        for path in /v1/status '/v1/keys?order=limit&limit=20' '/v1/penalties?limit=50' /v1/episodes '/v1/trend?span=1h'; do
            ask "$path" || true
        done
        sleep 5
    done
}

look() {
    until ask /v1/status; do sleep 0.1; done
    for number in $(seq 20); do
        curl -sN -o /dev/null --unix-socket "$work/watched.control" http://x/v1/events &
        lookers="$lookers $!"
    done
    curl -sN -o /dev/null --unix-socket "$work/watched.control" \
        'http://x/v1/events?decision=refused,held,delayed,blocked,observed,alert&pulse=yes' &
    lookers="$lookers $!"
    dashboard &
    lookers="$lookers $!"
    echo "$lookers" >"$work/lookers"
}

# beside TITLE MILTER-LOAD'S OPTIONS
beside() {
    echo "$1"
    shift
    (
        trap - EXIT
        look
    ) &
    looking=$!
    "$folder/milter-load" --name watched --command "$folder/mailwarden run --config $work/watched.yaml" \
        --socket "unix:$work/watched.sock" \
        --beside "alone unix:$work/alone.sock $folder/mailwarden run --config $work/alone.yaml" \
        --rounds $rounds --seconds $seconds --rest 1 --scenario 8,1,1 --allow-refusals "$@"
    wait $looking || true
    lookers=$(cat "$work/lookers")
    for pid in $lookers; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work/watched" "$work/alone"
}

policy watched
policy alone
beside "20 watchers and a dashboard, 300 messages a second" --pace 300
beside "20 watchers and a dashboard, as many as go"
