#!/bin/sh
# How long a login waits for the Dovecot feed: allow and report beside ping, which does no work, in turns, on the daemon
# in FOLDER.
#
#   dovecot.sh FOLDER [--quick]
#
# At a rate far above any server's logins, and as fast as a hundred connections (Dovecot's most) are answered. The rules let
# all logins pass; answers that do not are counted.
set -eu
folder=$1
requests=20000
[ "${2-}" != --quick ] || requests=2000
here=$(dirname "$0")
work=$(mktemp -d /tmp/mwbench.XXXXXX)
pid=
trap 'kill $pid 2>/dev/null || true; rm -rf "$work"' EXIT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
echo token >"$work/token"
cat >"$work/policy.yaml" <<END
listen: {milter: "unix:$work/milter.sock", control: $work/control.sock}
feeds: {dovecot-policy: {listen: "127.0.0.1:$port", token-file: $work/token}}
rules:
  - {name: guessing, count: distinct passwords, per: [user, ip], limit: 5 per 1h, then: reject, mode: observe}
  - {name: failures, count: auth-failures, per: ip, limit: [20 per 10m, 100 per 1d], then: block for 1h, mode: observe}
  - {name: spraying, count: distinct users, per: ip, limit: 10 per 1h, then: block for 1d, mode: observe}
  - {name: everywhere, count: distinct ips, per: user, only: failed-logins, limit: 10 per 1h, then: alert, mode: observe}
END
"$folder/mailwarden" run --config "$work/policy.yaml" 2>"$work/log" &
pid=$!
tries=0
until grep -q ' ready ' "$work/log"; do
    tries=$((tries + 1))
    [ "$tries" -le 100 ] || { cat "$work/log"; exit 1; }
    sleep 0.1
done
for rate in 1000 0; do
    python3 "$here/dovecot-load.py" "http://127.0.0.1:$port/" --token token --requests "$requests" --rate "$rate"
done
