#!/bin/sh
# rspamd with nothing but its ratelimit module, counting in a Redis of its own: rspamd.sh FOLDER LIMIT
# The leanest that limits at all: one worker that talks to the MTA and scans by itself, one rate (recipients per user).
set -eu
folder=$1
limit=$2
chown _rspamd:_rspamd "$folder"

# Nothing is saved, as with Mailwarden's counters in memory.
setpriv --reuid=_rspamd --regid=_rspamd --clear-groups \
    redis-server --port 0 --unixsocket "$folder/redis.sock" --dir "$folder" --save '' --appendonly no \
    --daemonize yes --pidfile "$folder/redis.pid" --logfile "$folder/redis.log"

timeout 10 sh -c "until [ -S '$folder/redis.sock' ]; do sleep 0.1; done"

cat >"$folder/rspamd.conf" <<END
options {
  filters = "";
  explicit_modules = ["ratelimit"];
  pidfile = "$folder/rspamd.pid";
  control_socket = "$folder/control.sock mode=0600";
  tempdir = "$folder";
  dns { nameserver = ["127.0.0.1"]; }
}
logging { type = "file"; filename = "$folder/rspamd.log"; level = "warning"; }
worker "rspamd_proxy" {
  bind_socket = "$folder/milter.sock mode=0600";
  milter = yes;
  count = $(nproc);
  upstream "local" { default = yes; self_scan = yes; }
}
actions { reject = 1000; }
redis { servers = "$folder/redis.sock"; }
modules { path = "/usr/share/rspamd/plugins/ratelimit.lua"; }
ratelimit { rates { user { bucket { burst = $limit; rate = "1 / 1d"; } } } }
END
rspamd --config "$folder/rspamd.conf" --user _rspamd --group _rspamd
timeout 10 sh -c "until [ -s '$folder/rspamd.pid' ]; do sleep 0.1; done"
