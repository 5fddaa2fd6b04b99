#!/bin/sh
# A private, real Sendmail on loopback: for the integration tests and the demo.
#
#   sendmail.sh up DIR PORT MILTER   start it; prints "ready"
#   sendmail.sh down DIR             stop it; fine when it does not run
#   sendmail.sh admin DIR ARGUMENTS  the sendmail command, for this one
#
# Everything lives in DIR (the log is DIR/syslog, what goes to the auth facility is
# in DIR/auth.log). PORT (127.0.0.1 and ::1) speaks SMTP with AUTH PLAIN and LOGIN.
# MILTER is in Sendmail's form, unix:/path or inet:PORT@HOST, or empty for none.
# Domain, recipients, accounts and relaying are those of postfix.sh. Mail is queued
# until somebody runs the queue (admin DIR -q), and then meets the same fate.
#
# Sendmail runs in namespaces of its own, where /etc and /dev are private: it
# wants fixed files in both, and instances must neither collide nor touch the
# machine's. Its process ids are private as well, so stopping leaves nothing.
#
# Environment: SENDMAIL_PREFIX (where Scripts/deps.sh unpacked it), MILTER_F (the
# filter's F= flag, T; empty for none), SENDMAIL_EXTRA (lines for the .mc file),
# SUBMISSION_PORT (another port of 127.0.0.1, whose daemon is named "submission"),
# DELIVERY_MODE (queueonly; background: at once), FILTER (a milter that comes after
# MILTER), SASLAUTHD (not empty: a real saslauthd checks the logins), DNSBL (as in
# postfix.sh; listed clients are turned away at once).
# Exit status: 0 done, 1 failed, 2 wrong usage, 77 not possible here.
set -eu
PATH=$PATH:/usr/sbin:/sbin # where Postfix and saslpasswd2 are

recipients='alice bob carol newsletter postmaster user1 user2 user3' # and root
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
prefix=$(realpath -ms "${SENDMAIL_PREFIX:-$here/../../../.build/sendmail}")
sendmail=$prefix/usr/libexec/sendmail/sendmail

usage() {
    echo 'usage: sendmail.sh up DIR PORT MILTER | down DIR | admin DIR ARGUMENTS' >&2
    exit 2
}

skip() {
    echo "sendmail.sh: $1" >&2
    exit 77
}

fail_with_log() {
    tail -n 25 "$dir/start.log" "$dir/syslog" "$dir/auth.log" >&2
    fail "$1"
}

running() { works_in "$dir/mqueue"; }

# The pid of the process that keeps our namespaces. A pid file may be stale and
# its number reused: only a process that works in our own queue directory is ours.
keeper() {
    [ -s "$dir/keeper.pid" ] || return 1
    read -r pid <"$dir/keeper.pid" || return 1
    [ "$(readlink "/proc/$pid/cwd")" = "$dir/mqueue" ] || return 1
    echo "$pid"
}

# unshare --kill-child: with the keeper, the kernel ends all there is inside.
stop() {
    pid=$(keeper) || return 0
    kill -KILL "$pid" 2>/dev/null || true # it leaves TERM to its child
    tries=0
    while running; do
        tries=$((tries + 1))
        [ $tries -le $((stop_limit * 20)) ] || fail "Sendmail has outlived process $pid"
        sleep 0.05
    done
    rm -f "$dir/keeper.pid"
}

configure() {
    cf=$prefix/usr/share/sendmail/cf
    ipv6='dnl ' # comments its line out
    ! grep -qs '^0*1 ' /proc/net/if_inet6 || ipv6=
    flag=${MILTER_F-T}
    submission='dnl '
    [ -z "${SUBMISSION_PORT:-}" ] || submission=
    first='dnl '
    [ -z "$milter" ] || first=
    second='dnl '
    [ -z "${FILTER:-}" ] || second=
    blocklist='dnl '
    [ -z "${DNSBL:-}" ] || blocklist=
    mkdir -p "$dir/mail" "$dir/mqueue" "$dir/ns"
    chmod 700 "$dir/mqueue"
    : >"$dir/syslog"
    : >"$dir/auth.log"
    rm -f "$dir/daemon.pid" "$dir/mail/sasldb"

    printf '%s\n' local.test sm.test >"$dir/mail/local-host-names"
    echo 'mailer-daemon: root' >"$dir/mail/aliases"
    for name in $accounts; do
        printf 'secret-%s' "$name" | saslpasswd2 -p -c -f "$dir/mail/sasldb" -u test "$name"
    done
    chmod 600 "$dir/mail/sasldb"

    # The load limits would turn clients away on a busy machine. The mailers are
    # programs that read a message and throw it away, and a port where nobody is.
    cat >"$dir/mail/sendmail.mc" <<END
divert(-1)dnl
include(\`$cf/m4/cf.m4')dnl
divert(0)dnl
VERSIONID(\`Mailwarden test instance')
OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`sm.test')dnl
define(\`confCW_FILE', \`$dir/mail/local-host-names')dnl
define(\`confSERVICE_SWITCH_FILE', \`$dir/mail/service.switch')dnl
define(\`ALIAS_FILE', \`$dir/mail/aliases')dnl
define(\`STATUS_FILE', \`')dnl
define(\`HELP_FILE', \`')dnl
define(\`QUEUE_DIR', \`$dir/mqueue')dnl
define(\`confPID_FILE', \`$dir/daemon.pid')dnl
define(\`confDELIVERY_MODE', \`${DELIVERY_MODE:-queueonly}')dnl
define(\`confDONT_BLAME_SENDMAIL', \`TrustStickyBit,GroupWritableDirPathSafe')dnl
define(\`confDONT_PROBE_INTERFACES', \`True')dnl
define(\`confTO_IDENT', \`0s')dnl
define(\`confTO_COMMAND', \`30s')dnl
define(\`confTO_DATABLOCK', \`30s')dnl
define(\`confBAD_RCPT_THROTTLE', \`20')dnl
define(\`confMAX_DAEMON_CHILDREN', \`1000')dnl
define(\`confQUEUE_LA', \`10000')dnl
define(\`confREFUSE_LA', \`10000')dnl
define(\`confDELAY_LA', \`0')dnl
define(\`confAUTH_MECHANISMS', \`PLAIN LOGIN')dnl
define(\`confAUTH_REALM', \`test')dnl
define(\`confAUTH_OPTIONS', \`')dnl
TRUST_AUTH_MECH(\`PLAIN LOGIN')dnl
FEATURE(\`no_default_msa')dnl
FEATURE(\`use_cw_file')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`accept_unqualified_senders')dnl
${blocklist}FEATURE(\`dnsbl', \`dnsbl.test')dnl
${first}INPUT_MAIL_FILTER(\`milter', \`S=$milter,${flag:+ F=$flag,} T=C:5s;S:10s;R:10s;E:20s')dnl
${second}INPUT_MAIL_FILTER(\`filter', \`S=${FILTER:-}, F=T')dnl
${SENDMAIL_EXTRA:-dnl}
DAEMON_OPTIONS(\`Port=$port, Addr=127.0.0.1, Name=MTA')dnl
${ipv6}DAEMON_OPTIONS(\`Port=$port, Addr=::1, Family=inet6, Name=MTA6')dnl
${submission}DAEMON_OPTIONS(\`Port=${SUBMISSION_PORT:-0}, Addr=127.0.0.1, Name=submission')dnl
define(\`LOCAL_MAILER_PATH', \`/usr/bin/perl')dnl
define(\`LOCAL_MAILER_ARGS', \`perl -e1while<STDIN> \$u')dnl
MODIFY_MAILER_FLAGS(\`LOCAL', \`-f')dnl
define(\`LOCAL_SHELL_PATH', \`/bin/false')dnl
MAILER(\`local')dnl
MAILER(\`smtp')dnl
LOCAL_RULE_0
R\$* < @ later.test . > \$*	\$#later \$@ [127.0.0.1] \$: \$1 < @ later.test . > \$2
R\$* < @ bounce.test . > \$*	\$#bounced \$@ bounce.test \$: \$1 < @ bounce.test . > \$2
R\$* < @ [ \$+ ] > \$*	\$#discarded \$@ \$2 \$: \$1 < @ [ \$2 ] > \$3
LOCAL_NET_CONFIG
R\$* < @ \$* . > \$*	\$#discarded \$@ \$2 \$: \$1 < @ \$2 . > \$3
MAILER_DEFINITIONS
Mdiscarded, P=/usr/bin/perl, F=mDFMuX, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, A=perl -e1while<STDIN> \$u
Mbounced, P=/usr/bin/perl, F=mDFMuX, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, A=perl -e1while<STDIN>;exit(67) \$u
Mlater, P=[IPC], F=mDFMuX, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\\r\\n, A=TCP \$h 1
END
    m4 "-D_CF_DIR_=$cf/" "$dir/mail/sendmail.mc" >"$dir/mail/sendmail.cf"
    printf 'hosts files\naliases files\npasswd files\n' >"$dir/mail/service.switch"
}

# Runs as the first process of the namespaces and stays: the kernel kills it with
# its keeper, a promise that Sendmail would break by changing its user ids.
inside() {
    umask 022
    host=$(hostname)

    # A private /etc: only what Sendmail reads. Without a host name with a dot it
    # would sleep a minute, a name server that does not answer would make it say
    # 451 where it should say 550, and libsasl2 has one place for Sendmail.conf.
    etc=$dir/ns/etc
    mkdir -p "$etc"
    mount -t tmpfs -o mode=755 mailwarden "$etc"
    for file in ld.so.cache localtime protocols services; do
        [ ! -e "/etc/$file" ] || cp -L "/etc/$file" "$etc/$file"
    done
    mkdir "$etc/sasl2"
    echo 'hosts: files' >"$etc/nsswitch.conf"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$etc/passwd"
    id=1000
    for name in $recipients; do
        echo "$name:x:$id:$id::/nonexistent:/bin/sh"
        id=$((id + 1))
    done >>"$etc/passwd"
    echo 'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin' >>"$etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$etc/group"
    printf '127.0.0.1 localhost\n::1 localhost\n127.0.1.1 %s.test %s\n' "${host%%.*}" "${host%%.*}" >"$etc/hosts"
    if [ -n "${SASLAUTHD:-}" ]; then
        # It takes a name without a realm for one of this machine.
        for realm in test "$host"; do
            for name in $accounts; do
                printf 'secret-%s' "$name" | saslpasswd2 -p -c -f "$etc/sasldb2" -u "$realm" "$name"
            done
        done
        cat >"$etc/sasl2/Sendmail.conf" <<END
pwcheck_method: saslauthd
saslauthd_path: $dir/saslauthd/mux
mech_list: PLAIN LOGIN
END
    else
        cat >"$etc/sasl2/Sendmail.conf" <<END
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: $dir/mail/sasldb
mech_list: PLAIN LOGIN
END
    fi
    [ -z "${DNSBL:-}" ] ||
        printf 'nameserver %s\noptions timeout:1 attempts:1\n' "$DNSBL" >"$etc/resolv.conf"

    # A private /dev, for a /dev/log that ends in a file of ours.
    dev=$dir/ns/dev
    mkdir -p "$dev"
    mount -t tmpfs -o mode=755 mailwarden "$dev"
    for node in null zero full random urandom tty; do
        : >"$dev/$node"
        mount --bind "/dev/$node" "$dev/$node"
    done
    if [ -d /dev/shm ]; then # DIR or the milter's socket may be there
        mkdir "$dev/shm"
        mount --rbind /dev/shm "$dev/shm"
    fi
    mount --move "$dev" /dev
    mount --move "$etc" /etc

    perl "$here/syslog.pl" "$dir"
    [ -z "${DNSBL:-}" ] || perl "$here/nameserver.pl" "$DNSBL"
    if [ -n "${SASLAUTHD:-}" ]; then
        mkdir -p "$dir/saslauthd"
        saslauthd -a sasldb -m "$dir/saslauthd" -n 1
    fi

    "$sendmail" -C "$dir/mail/sendmail.cf" -bi
    "$sendmail" -C "$dir/mail/sendmail.cf" -L sm-mta -bD
    echo "sendmail.sh: Sendmail has ended"
}

up() {
    [ -x "$sendmail" ] || fail "there is no $sendmail; see Scripts/deps.sh"
    for command in m4 saslpasswd2; do
        command -v $command >/dev/null || fail "there is no $command; see Scripts/deps.sh"
    done
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd -P)
    error=$(unshare --mount --pid --fork mount -t tmpfs mailwarden "$dir" 2>&1) ||
        skip "unshare or mount is not permitted here, and Sendmail needs a private /etc: $error"
    stop
    for number in "$port" ${SUBMISSION_PORT:-}; do
        ! listening "$number" || fail "port $number is taken"
    done
    configure
    # No output of ours may stay open in a daemon: the caller may wait for its end.
    cd "$dir/mqueue"
    setsid unshare --mount --pid --fork --kill-child "$here/sendmail.sh" inside "$dir" \
        >"$dir/start.log" 2>&1 </dev/null &
    echo $! >"$dir/keeper.pid"
    deadline=$(($(date +%s) + start_limit))
    until [ -s "$dir/daemon.pid" ] && listening "$port" && answers "$port" 2>/dev/null; do
        kill -0 $! 2>/dev/null || fail_with_log 'Sendmail has ended'
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
up:4 | down:2 | inside:2 | admin:[3-9] | admin:[1-9][0-9]) ;;
*) usage ;;
esac
[ "$(id -u)" = 0 ] || skip 'needs root'
case $verb in
up)
    port=$3 milter=$4
    up
    ;;
down)
    dir=$(cd "$dir" 2>/dev/null && pwd -P) || exit 0
    stop
    ;;
inside)
    inside
    ;;
admin)
    dir=$(cd "$dir" && pwd -P)
    shift 2
    # Its /etc is private, too.
    nsenter --target "$(keeper)" --mount "$sendmail" -C "$dir/mail/sendmail.cf" "$@"
    ;;
esac
