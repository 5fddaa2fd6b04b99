#!/bin/sh
# Installs what building and testing Mailwarden takes on Debian 12, without a
# question and without starting any service. Does nothing when all is there.
#
#   Scripts/deps.sh              for building and testing
#   Scripts/deps.sh packaging    also for `make deb` and `make test-deb`
#
# Runs as root, or through passwordless sudo. Sendmail's packages conflict with
# Postfix's, so Sendmail is never installed: its packages are unpacked into
# SENDMAIL_PREFIX (default: .build/sendmail in this repository).
set -eu

repo=$(cd "$(dirname "$0")/.." && pwd)
prefix=${SENDMAIL_PREFIX:-$repo/.build/sendmail}
sendmail=$prefix/usr/libexec/sendmail/sendmail
unpacked=$prefix/.unpacked # written last: an interrupted run starts over
packages='libmilter-dev libsqlite3-dev postfix sasl2-bin libsasl2-modules m4 openssl curl jq nftables iproute2 dovecot-core dovecot-imapd python3 python3-venv python3-selenium sqlite3 e2fsprogs xz-utils zstd systemd-journal-remote libjs-chart.js chromium chromium-driver fonts-dejavu-core pngquant prometheus tmux mandoc groff-base faketime libyaml-0-2'
[ "${1:-}" != packaging ] || packages="$packages debhelper lintian debootstrap systemd-container"
policy=/usr/sbin/policy-rc.d
marker='# written by Mailwarden, Scripts/deps.sh'

work=
policy_is_ours=
lists_are_fresh=

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

fail() {
    echo "deps.sh: $1" >&2
    [ -z "$work" ] || tail -n 25 "$work/log" >&2
    exit 1
}

# attempt WHAT COMMAND...: quiet when it works, the end of its output when not.
attempt() {
    what=$1
    shift
    "$@" >>"$work/log" 2>&1 </dev/null || fail "could not $what; attempted: $*"
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
        apt-get -q -o DPkg::Lock::Timeout=120 "$@"
}

# A failed update is only noted: the package lists at hand may well do, and when
# they do not, the step that needs them fails and shows this log.
refresh_lists() {
    [ -z "$lists_are_fresh" ] || return 0
    lists_are_fresh=yes
    apt_get update >>"$work/log" 2>&1 </dev/null ||
        echo 'apt-get update failed, going on with the lists at hand' >>"$work/log"
}

# invoke-rc.d asks policy-rc.d before a maintainer script may start a service.
forbid_services() {
    printf '#!/bin/sh\n%s\nexit 101\n' "$marker" >"$work/policy"
    if { [ -e $policy ] || [ -L $policy ]; } && ! grep -qsF "$marker" $policy; then
        as_root mv $policy $policy.mailwarden-saved
    fi
    policy_is_ours=yes
    as_root install -m 755 "$work/policy" $policy
}

allow_services() {
    [ -n "$policy_is_ours" ] || return 0
    policy_is_ours=
    if [ -e $policy.mailwarden-saved ] || [ -L $policy.mailwarden-saved ]; then
        as_root mv -f $policy.mailwarden-saved $policy
    else
        as_root rm -f $policy
    fi
}

clean_up() {
    status=$?
    trap - EXIT
    allow_services
    [ -z "$work" ] || rm -rf "$work"
    exit $status
}

# Called only when there is something to do, so the usual run stays cheap.
prepare() {
    [ -z "$work" ] || return 0
    trap clean_up EXIT
    trap 'exit 1' HUP INT TERM
    work=$(mktemp -d)
    : >"$work/log"
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>>"$work/log"; then
        fail 'needs root, or a sudo that asks no password, to install packages'
    fi
}

missing_packages() {
    # shellcheck disable=SC2016,SC2086 # dpkg-query's own variables; a list of words
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $packages 2>/dev/null) || true
    for package in $packages; do
        case "
$installed
" in
        *"
$package installed
"*) ;;
        *) printf ' %s' "$package" ;;
        esac
    done
}

install_packages() {
    prepare
    refresh_lists
    forbid_services
    # --no-remove: never take another mail server away from this machine.
    attempt "install $*" apt_get install -y --no-install-recommends --no-remove "$@"
    allow_services
}

missing_libraries() {
    ldd "$sendmail" 2>&1 | awk '/not found/ { printf " %s", $1 }'
}

missing=$(missing_packages)
if [ -n "$missing" ]; then
    prepare
    case "$missing " in
    *' postfix '*)
        # Our Postfix instances bring their own configuration.
        echo 'postfix postfix/main_mailer_type select No configuration' >"$work/answers"
        attempt 'preseed Postfix' as_root debconf-set-selections "$work/answers"
        ;;
    esac
    # shellcheck disable=SC2086 # a list of words
    install_packages $missing
fi

if [ ! -e "$unpacked" ] || [ ! -x "$sendmail" ]; then
    prepare
    refresh_lists
    mkdir "$work/debs"
    cd "$work/debs"
    # The sandbox user of apt could not write here; it would only warn about it.
    attempt 'download Sendmail' apt-get -q -o APT::Sandbox::User=root \
        download sendmail-bin sendmail-cf sendmail-base
    attempt "make $prefix" mkdir -p "$prefix"
    for deb in *.deb; do
        attempt "unpack $deb into $prefix" dpkg -x "$deb" "$prefix"
    done
    cd /
    : >"$unpacked"
fi

# Nothing pulls in the shared libraries of a program that is not installed.
if [ -n "$(missing_libraries)" ]; then
    prepare
    refresh_lists
    libraries=$(apt-cache depends sendmail-bin 2>>"$work/log" | awk '$1 == "Depends:" && $2 ~ /^lib/ { print $2 }')
    [ -n "$libraries" ] || fail "apt does not know what sendmail-bin depends on; missing:$(missing_libraries)"
    # shellcheck disable=SC2086 # a list of words
    install_packages $libraries
    missing=$(missing_libraries)
    [ -z "$missing" ] || fail "$sendmail still lacks$missing; installed: $(echo "$libraries" | tr '\n' ' ')"
fi

echo "deps.sh: everything is there; Sendmail is in $prefix"
