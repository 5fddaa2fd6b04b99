#!/bin/sh
# What it costs to keep the state, with the binaries in FOLDER (mailwarden, milter-load, state-bench):
#
#   state.sh FOLDER [--quick]
#
# What the milter's answers take with state, history and alerts beside without, then a start on the state of a large site.
set -eu
folder=$1
quick=${2:-}
here=$(dirname "$0")
# On a disk, since what is measured are SQLite's waits for it; /tmp may be memory.
work=$(mktemp -d /var/tmp/mwstate.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The default policy, listening under a name: policy NAME
policy() {
    sed -e "s|unix:/run/mailwarden/milter.sock|unix:$work/$1.sock|; s|/run/mailwarden/control.sock|$work/$1.control|" \
        -e '/^state:/d' -e 's|^user:.*||' "$here/../Examples/policies/default.yaml"
}

# What with.yaml has and without.yaml has not.
keeping() {
    echo "state: $work/state"
    echo "alerts: {mail: {to: postmaster, program: $work/sendmail}, wait: 1s, interval: 10s, at-most: 1000 per 1h}"
}

# The traffic repeats its users faster than people write, so every rule observes; see run.sh.
observing() {
    policy "$1" | sed -e '/^ *mode: /d; s|^\( *\)- name: .*|&\n\1  mode: observe|'
}

# One user in twenty is always over a limit, and one address in fifteen is blocked again and again.
tripping() {
    cat <<END
  - {name: greedy, count: messages, per: user, only: group greedy, limit: 20 per 1m, then: [alert, tempfail]}
  - {name: pushing, count: connections, per: ip, only: network 198.18.0.0/19, limit: 2 per 10s, then: block for 5s}
groups:
  greedy: [$(seq -s ', ' -f 'user%g@mail.example' 0 24)]
END
}

# beside TITLE MILTER-LOAD'S OPTIONS: the policies with.yaml and without.yaml, in turns. Rounds last longer than it takes
# until something is stored, and the rest after them until all is, so that none of it falls into the other's round.
beside() {
    echo "$1"
    shift
    "$folder/milter-load" --name with-state --command "$folder/mailwarden run --config $work/with.yaml" \
        --socket "unix:$work/with.sock" \
        --beside "without unix:$work/without.sock $folder/mailwarden run --config $work/without.yaml" \
        --seconds 6 --rest 4 "$@"
    rm -rf "$work/state"
}

printf '#!/bin/sh\nexec cat >/dev/null\n' >"$work/sendmail"
chmod 755 "$work/sendmail"

rounds=7
keys=1000000
penalties=100000
if [ "$quick" = --quick ]; then
    rounds=2
    keys=100000
    penalties=10000
fi
set -- --rounds "$rounds" --scenario 8,1,1
observing without >"$work/without.yaml"
{ observing with && keeping; } >"$work/with.yaml"
beside "Every rule observes, 300 messages a second" "$@" --pace 300
beside "Every rule observes, as many as go" "$@"
{ observing without && tripping; } >"$work/without.yaml"
{ observing with && tripping && keeping; } >"$work/with.yaml"
beside "Some users and addresses are stopped, 300 messages a second" "$@" --pace 300 --allow-refusals
beside "Some users and addresses are stopped, as many as go" "$@" --allow-refusals

echo "A start with $keys keys and $penalties penalties"
{
    policy large
    echo '  - {name: senders, count: messages, per: sender, limit: 1000 per 1d, then: alert}'
    echo "state: $work/large"
} >"$work/large.yaml"
state_bench() {
    command=$1
    shift
    "$folder/state-bench" "$command" --config "$work/large.yaml" "$@"
}
state_bench fill --keys $keys --penalties $penalties
state_bench start --daemon "$folder/mailwarden" --penalties $penalties
state_bench start --daemon "$folder/mailwarden" --penalties $penalties --cold
state_bench read
state_bench write --changes $((keys / 20))
