#!/bin/sh
# policyd-rate-limit with one limit, recipients per user, counting in SQLite: policyd-rate-limit.sh FOLDER LIMIT
set -eu
folder=$1
limit=$2

cat >"$folder/policyd.yaml" <<END
debug: False
user: nobody
group: nogroup
pidfile: $folder/policyd.pid
backend: 0
sqlite_config: {database: $folder/counts.sqlite3}
SOCKET: $folder/policy.sock
socket_permission: 0600
limits: [[$limit, 7200]]
limit_by_sasl: True
END
chown nobody:nogroup "$folder"
policyd-rate-limit --file "$folder/policyd.yaml" >"$folder/policyd.log" 2>&1 &
