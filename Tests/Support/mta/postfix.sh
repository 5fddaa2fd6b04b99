#!/bin/sh
# A private, real Postfix on loopback: for the integration tests and the demo.
#
#   postfix.sh up DIR PORT XPORT MILTER   start it; prints "ready"
#   postfix.sh down DIR                   stop it; fine when it does not run
#   postfix.sh submit DIR SENDER RCPT     one local message (non_smtpd_milters)
#   postfix.sh admin DIR COMMAND...       postqueue or postsuper, for this one
#
# Everything lives in DIR (the log is DIR/maillog), the machine's own Postfix is
# not touched and instances do not collide. PORT (127.0.0.1 and ::1) speaks SMTP
# with AUTH PLAIN and LOGIN, XPORT (127.0.0.1) accepts XCLIENT as well. MILTER is
# in Postfix's form, unix:/path or inet:HOST:PORT, or empty for none.
#
# All mail is discarded, nothing leaves the machine; what is for later.test stays
# in the queue, what is for bounce.test comes back. Domain local.test has alice,
# bob, carol, newsletter, postmaster, root, user1, user2 and user3; alice, bob,
# carol, dave, erin, frank, newsletter and postmaster can log in with the password
# secret-NAME (realm test). Only 127.0.0.1 may relay without logging in.
#
# Environment: MILTER_DEFAULT_ACTION (tempfail), POSTFIX_EXTRA (lines for main.cf),
# SUBMISSION_PORT (another port of 127.0.0.1, whose daemon name is "submission"),
# FILTER (a milter that comes after MILTER), DOVECOT (the DIR of a private Dovecot
# that checks the logins), DNSBL (a loopback address for a name server, port 53,
# that lists 127.0.66.0/24 in the block list that clients are looked up in).
# Exit status: 0 done, 1 failed, 2 wrong usage, 77 not possible here.
set -eu
PATH=$PATH:/usr/sbin:/sbin # where Postfix and saslpasswd2 are

here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

usage() {
    echo 'usage: postfix.sh up DIR PORT XPORT MILTER | down DIR | submit DIR SENDER RCPT | admin DIR COMMAND...' >&2
    exit 2
}

skip() {
    echo "postfix.sh: $1" >&2
    exit 77
}

fail_with_log() {
    tail -n 25 "$dir/start.log" "$dir/maillog" >&2
    fail "$1"
}

running() { works_in "$dir/spool"; }

# The pid of our master. A pid file may be stale and its number reused: only a
# process that works in our own queue directory is ours.
master() {
    [ -r "$dir/spool/pid/master.pid" ] || return 1
    read -r pid <"$dir/spool/pid/master.pid" || [ -n "$pid" ] || return 1
    [ "$(readlink "/proc/$pid/cwd")" = "$dir/spool" ] || return 1
    echo "$pid"
}

# The master leads the process group of its daemons, and ends it with itself.
stop() {
    if read -r pid 2>/dev/null <"$dir/nameserver.pid" && [ "$(readlink "/proc/$pid/cwd")" = "$dir/spool" ]; then
        kill -KILL "$pid"
    fi
    rm -f "$dir/nameserver.pid"
    pid=$(master) || return 0
    kill -TERM "$pid" 2>/dev/null || true
    tries=0
    while running; do
        tries=$((tries + 1))
        [ $tries -ne $((stop_limit * 20)) ] || kill -s KILL -- "-$pid" 2>/dev/null || true
        [ $tries -le $((stop_limit * 40)) ] || fail "process group $pid does not end"
        sleep 0.05
    done
}

configure() {
    addresses=127.0.0.1
    ipv6='#' # comments its service out
    if grep -qs '^0*1 ' /proc/net/if_inet6; then
        addresses='127.0.0.1, ::1'
        ipv6=
    fi
    mkdir -p "$dir/etc/sasl" "$dir/spool" "$dir/data"
    chown postfix "$dir/data"
    # The daemons run as user postfix, and mktemp -d makes private directories.
    chmod go+x "$dir" "$dir/etc" "$dir/etc/sasl"
    : >"$dir/maillog"

    sasl_type=cyrus
    sasl_path=smtpd
    if [ -n "${DOVECOT:-}" ]; then
        sasl_type=dovecot
        sasl_path=$DOVECOT/run/auth-postfix
    fi
    restrictions=
    [ -z "${DNSBL:-}" ] || restrictions='reject_rbl_client dnsbl.test'

    cat >"$dir/etc/main.cf" <<END
compatibility_level = 3.6
queue_directory = $dir/spool
data_directory = $dir/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = $dir/maillog
maillog_file_prefixes = $dir

myhostname = pf.test
mydomain = pf.test
myorigin = pf.test
mydestination = pf.test, local.test
mynetworks = 127.0.0.1/32
inet_interfaces = $addresses
inet_protocols = all
# no test may depend on, or wait for, the name servers of this machine
smtpd_peername_lookup = no
smtp_dns_support_level = disabled

# nothing ever leaves
default_transport = discard:
relay_transport = discard:
local_transport = discard:
virtual_transport = discard:
transport_maps = inline:{ later.test=later:, { bounce.test = bounced:5.1.1 No such user } }
defer_transports = later
alias_maps =
alias_database =
notify_classes =
biff = no
local_recipient_maps = inline:{ alice=x, bob=x, carol=x, newsletter=x, postmaster=x, root=x, user1=x, user2=x, user3=x }
unknown_local_recipient_reject_code = 550
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_client_restrictions = $restrictions

smtpd_sasl_auth_enable = yes
smtpd_sasl_type = $sasl_type
smtpd_sasl_path = $sasl_path
cyrus_sasl_config_path = $dir/etc/sasl
smtpd_sasl_local_domain = test
smtpd_sasl_security_options = noanonymous

smtpd_milters = $milter ${FILTER:-}
non_smtpd_milters = $milter
milter_default_action = ${MILTER_DEFAULT_ACTION:-tempfail}
milter_connect_timeout = 5s
milter_command_timeout = 10s
milter_content_timeout = 20s

# Limits are the milter's affair here. Those set to a plain number would fall to
# a fraction of it under load ("stress").
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
smtpd_client_auth_rate_limit = 0
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 100
smtpd_timeout = 30s
in_flow_delay = 0
END
    printf '%s\n' "${POSTFIX_EXTRA:-}" >>"$dir/etc/main.cf"
    # Postfix waits two seconds before it trusts a file that has just been written.
    touch -d '10 seconds ago' "$dir/etc/main.cf"

    submission=
    [ -z "${SUBMISSION_PORT:-}" ] ||
        submission="127.0.0.1:$SUBMISSION_PORT inet n - n - 300 smtpd
  -o milter_macro_daemon_name=submission"

    cat >"$dir/etc/master.cf" <<END
# service type private unprivileged chroot wakeup processes command
127.0.0.1:$port inet n - n - 300 smtpd
${ipv6}[::1]:$port inet n - n - 300 smtpd
127.0.0.1:$xport inet n - n - 300 smtpd
  -o syslog_name=postfix/xclient
  -o smtpd_authorized_xclient_hosts=127.0.0.0/8
$submission
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
discard unix - - n - - discard
later unix - - n - - discard
bounced unix - n n - - pipe
  user=nobody argv=/bin/sh -c {exit 67}
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
END

    cat >"$dir/etc/sasl/smtpd.conf" <<END
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: $dir/etc/sasldb
mech_list: PLAIN LOGIN
END
    rm -f "$dir/etc/sasldb"
    for name in $accounts; do
        printf 'secret-%s' "$name" | saslpasswd2 -p -c -f "$dir/etc/sasldb" -u test "$name"
    done
    chown root:postfix "$dir/etc/sasldb"
    chmod 640 "$dir/etc/sasldb"
}

# postfix(1) under a name server of our own: Postfix and all its offspring stay in the mount namespace they start in.
start_with_name_server() {
    (cd "$dir/spool" && perl "$here/nameserver.pl" "$DNSBL") >"$dir/nameserver.pid" || return
    printf 'nameserver %s\noptions timeout:1 attempts:1\n' "$DNSBL" >"$dir/resolv.conf"
    # shellcheck disable=SC2016 # the inner shell's arguments
    unshare --mount sh -c 'mount --bind "$1" /etc/resolv.conf && exec postfix -c "$2" start' \
        postfix "$dir/resolv.conf" "$dir/etc"
}

start() {
    if [ -n "${DNSBL:-}" ]; then start_with_name_server; else postfix -c "$dir/etc" start; fi
}

up() {
    for command in postfix saslpasswd2; do
        command -v $command >/dev/null || fail "there is no $command; see Scripts/deps.sh"
    done
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd -P)
    [ -z "${DNSBL:-}" ] || error=$(unshare --mount true 2>&1) ||
        skip "unshare is not permitted here, and a name server of one's own needs a private /etc/resolv.conf: $error"
    # Postfix makes sockets below DIR/spool; a socket's path ends at 107 bytes.
    [ ${#dir} -le 75 ] || fail "the path of $dir is too long"
    stop
    for number in "$port" "$xport" ${SUBMISSION_PORT:-}; do
        ! listening "$number" || fail "port $number is taken"
    done
    configure
    # No output of ours may stay open in a daemon: the caller may wait for its end.
    start >"$dir/start.log" 2>&1 </dev/null || {
        stop
        fail_with_log 'Postfix did not start'
    }
    deadline=$(($(date +%s) + start_limit))
    until answers "$port" 2>/dev/null; do
        master >/dev/null || fail_with_log 'Postfix has ended'
        [ "$(date +%s)" -lt $deadline ] || {
            stop
            fail_with_log "no answer on port $port"
        }
        sleep 0.1
    done
    echo ready
}

verb=${1-}
dir=${2-}
case "$verb:$#" in
up:5 | down:2 | submit:4 | admin:[3-9]) ;;
*) usage ;;
esac
[ "$(id -u)" = 0 ] || skip 'needs root, as Postfix itself does'
case $verb in
up)
    port=$3 xport=$4 milter=$5
    up
    ;;
down)
    dir=$(cd "$dir" 2>/dev/null && pwd -P) || exit 0
    stop
    ;;
submit)
    dir=$(cd "$dir" && pwd -P)
    printf 'From: <%s>\nTo: <%s>\nSubject: submitted locally\n\nA local message.\n' "$3" "$4" |
        /usr/sbin/sendmail -C "$dir/etc" -i -f "$3" -- "$4"
    ;;
admin)
    dir=$(cd "$dir" && pwd -P)
    command=$3
    shift 3
    "$command" -c "$dir/etc" "$@"
    ;;
esac
