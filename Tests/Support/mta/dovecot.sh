#!/bin/sh
# A private, real Dovecot on loopback, for the integration tests: it checks the
# logins of IMAP and, through a socket, those of a private Postfix.
#
#   dovecot.sh up DIR PORT   start it; prints "ready"
#   dovecot.sh down DIR      stop it; fine when it does not run
#
# Everything lives in DIR (the log is DIR/dovecot.log), the machine's own Dovecot
# is not touched and instances do not collide. PORT (127.0.0.1) speaks IMAP. The
# accounts are those of postfix.sh, with or without @test. For Postfix:
# DOVECOT=DIR postfix.sh up ...
#
# Environment: POLICY_URL (of an auth policy server, asked before each password
# is looked at and told of each outcome), POLICY_TOKEN (what it gets as
# X-Mailwarden-Token), EVENT_URL (where the event exporter posts each finished
# login), DOVECOT_EXTRA (lines for dovecot.conf).
# Exit status: 0 done, 1 failed, 2 wrong usage, 77 not possible here.
set -eu
PATH=$PATH:/usr/sbin:/sbin # where Dovecot is

. "$(dirname "$0")/common.sh"

usage() {
    echo 'usage: dovecot.sh up DIR PORT | down DIR' >&2
    exit 2
}

fail_with_log() {
    tail -n 25 "$dir/start.log" "$dir/dovecot.log" >&2
    fail "$1"
}

# The pid of our master. A pid file may be stale and its number reused: only a
# process that works in our own folder is ours.
master() {
    [ -r "$dir/run/master.pid" ] || return 1
    read -r pid <"$dir/run/master.pid" || [ -n "$pid" ] || return 1
    [ "$(readlink "/proc/$pid/cwd")" = "$dir/run" ] || return 1
    echo "$pid"
}

# The master leads the process group of its services. It would wait seconds for them, and leave behind those that still
# have clients.
stop() {
    pid=$(master) || return 0
    kill -s TERM -- "-$pid" 2>/dev/null || true
    tries=0
    while group_lives "$pid"; do
        tries=$((tries + 1))
        [ $tries -ne $((stop_limit * 20)) ] || kill -s KILL -- "-$pid" 2>/dev/null || true
        [ $tries -le $((stop_limit * 40)) ] || fail "process group $pid does not end"
        sleep 0.05
    done
}

configure() {
    mkdir -p "$dir/run" "$dir/mail"
    # The services run as users of their own, and mktemp -d makes private directories.
    chmod go+x "$dir"
    chown nobody:nogroup "$dir/mail"
    : >"$dir/dovecot.log"
    for name in $accounts; do
        printf '%s:{PLAIN}secret-%s\n' "$name" "$name"
    done >"$dir/users"
    chmod 644 "$dir/users"

    cat >"$dir/dovecot.conf" <<END
base_dir = $dir/run
state_dir = $dir/run
log_path = $dir/dovecot.log
auth_verbose = yes
auth_failure_delay = 0
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:$dir/mail/%n
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%n $dir/users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=$dir/mail/%n
}
service auth {
  unix_listener auth-postfix {
    mode = 0660
    user = postfix
    group = postfix
  }
}
service imap-login {
  inet_listener imap {
    port = $port
  }
  inet_listener imaps {
    port = 0
  }
}
# Its own waiting for those who guess (up to 17 s) would come before the policy server is asked.
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
END
    [ -z "${POLICY_URL:-}" ] || cat >>"$dir/dovecot.conf" <<END
auth_policy_server_url = $POLICY_URL
auth_policy_server_api_header = X-Mailwarden-Token: ${POLICY_TOKEN:-}
auth_policy_hash_nonce = private
auth_policy_server_timeout_msecs = 500
auth_policy_check_after_auth = no
END
    [ -z "${EVENT_URL:-}" ] || cat >>"$dir/dovecot.conf" <<END
event_exporter mailwarden {
  format = json
  format_args = time-rfc3339
  transport = http-post
  transport_args = $EVENT_URL
}
metric logins {
  exporter = mailwarden
  filter = event=auth_request_finished
}
END
    printf '%s\n' "${DOVECOT_EXTRA:-}" >>"$dir/dovecot.conf"
}

up() {
    for command in dovecot /usr/lib/dovecot/imap-login; do
        command -v $command >/dev/null || fail "there is no $command; see Scripts/deps.sh"
    done
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd -P)
    # Dovecot makes sockets below DIR/run; a socket's path ends at 107 bytes.
    [ ${#dir} -le 70 ] || fail "the path of $dir is too long"
    stop
    ! listening "$port" || fail "port $port is taken"
    configure
    # No output of ours may stay open in a daemon: the caller may wait for its end.
    dovecot -c "$dir/dovecot.conf" >"$dir/start.log" 2>&1 </dev/null ||
        fail_with_log 'Dovecot did not start'
    deadline=$(($(date +%s) + start_limit))
    until listening "$port" && [ -S "$dir/run/auth-postfix" ]; do
        master >/dev/null || fail_with_log 'Dovecot has ended'
        [ "$(date +%s)" -lt $deadline ] || {
            stop
            fail_with_log "nobody listens on port $port"
        }
        sleep 0.1
    done
    echo ready
}

verb=${1-}
dir=${2-}
case "$verb:$#" in
up:3 | down:2) ;;
*) usage ;;
esac
[ "$(id -u)" = 0 ] || {
    echo 'dovecot.sh: needs root, as Dovecot itself does' >&2
    exit 77
}
case $verb in
up)
    port=$3
    up
    ;;
down)
    dir=$(cd "$dir" 2>/dev/null && pwd -P) || exit 0
    stop
    ;;
esac
