#!/bin/sh
# Runs the comparison with the binaries in FOLDER: run.sh FOLDER [--quick] [milter-load's options]
set -eu
folder=$1
shift
here=$(dirname "$0")
work=$(mktemp -d /tmp/mwbench.XXXXXX)
trap 'rm -rf "$work"' EXIT

# The default policy, listening here. The traffic repeats its users faster than people write, so every rule observes; what
# is counted, and what the MTA is asked for, stays what it is.
sed -e "s|unix:/run/mailwarden/milter.sock|unix:$work/milter.sock|; s|/run/mailwarden/control.sock|$work/control.sock|" \
    -e '/^state:/d' -e 's|^user:.*||; s|group: [a-z]*, ||' \
    -e '/^ *mode: /d; s|^\( *\)- name: .*|&\n\1  mode: observe|' \
    "$here/../Examples/policies/default.yaml" >"$work/policy.yaml"

"$folder/milter-load" --name mailwarden --command "$folder/mailwarden run --config $work/policy.yaml" \
    --socket "unix:$work/milter.sock" --bare "$folder/bare-filter" "$@"

echo
echo "2,000 idle sessions"
"$folder/mailwarden" run --config "$work/policy.yaml" 2>"$work/log" &
pid=$!
trap 'kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
tries=0
until grep -q ' ready ' "$work/log"; do
    tries=$((tries + 1))
    [ "$tries" -le 100 ] || { cat "$work/log"; exit 1; }
    sleep 0.1
done
ulimit -n 8192 2>/dev/null || true
"$folder/milter-load" idle --socket "unix:$work/milter.sock" --pid "$pid" --sessions 2000
