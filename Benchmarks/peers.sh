#!/bin/sh
# Mailwarden with twenty rules beside other filters and two bare ones, with the binaries in FOLDER (mailwarden,
# milter-load, bare-filter):
#
#   peers.sh FOLDER [--quick] [milter-load's options]
#   LIMIT=5 peers.sh FOLDER --quick --allow-refusals    shows that the peers do limit
#
# Installs what is missing of the peers' packages (Debian; as root, or with sudo). Nothing runs but what is started
# here, on UNIX sockets in a private folder, and nothing of it is left at the end.
set -eu
folder=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
limit=${LIMIT:-100000000}
policy=/usr/sbin/policy-rc.d
marker='# written by Mailwarden, Scripts/deps.sh'
forbidden=
work=
load=

# The peers run as users of their own.
[ "$(id -u)" = 0 ] || exec sudo -n "LIMIT=$limit" "$0" "$folder" "$@"

# --- Packages. No service is to start by itself: invoke-rc.d asks policy-rc.d, which is then put back as it was.

have() {
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || return 1
    done
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" >>"$work/apt.log" 2>&1 </dev/null
}

# Under the same names as in Scripts/deps.sh, which thus clears up after a run that was killed.
install() {
    [ ! -e $policy ] || grep -qF "$marker" $policy || mv $policy $policy.mailwarden-saved
    forbidden=yes
    printf '#!/bin/sh\n%s\nexit 101\n' "$marker" >$policy
    chmod 755 $policy
    apt_get install -y --no-install-recommends --no-remove "$@" ||
        { apt_get update && apt_get install -y --no-install-recommends --no-remove "$@"; } ||
        { echo "peers.sh: could not install $*:" && tail -n 5 "$work/apt.log"; } >&2
    allow_services
}

allow_services() {
    [ -n "$forbidden" ] || return 0
    forbidden=
    rm -f $policy
    [ ! -e $policy.mailwarden-saved ] || mv $policy.mailwarden-saved $policy
}

# --- Processes.

# Ends a process, or else its whole group, if it leads one.
stop() {
    kill "$1" 2>/dev/null || return 0
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
        sleep 0.5
        kill -0 "$1" 2>/dev/null || return 0
    done
    kill -KILL "-$1" 2>/dev/null || kill -KILL "$1" 2>/dev/null || true
}

clean_up() {
    status=$?
    trap - EXIT
    [ -z "$load" ] || { kill "$load" && wait "$load"; } 2>/dev/null || true
    for file in "$work"/*/*.pid; do
        [ ! -s "$file" ] || stop "$(cat "$file")"
    done
    allow_services
    # Where milter-load has kept it, something was wrong.
    cat "$work"/milter-load.*/*.log >&2 2>/dev/null || true
    rm -rf "$work"
    exit $status
}

# Whether a socket appears within 30 s.
appears() {
    for _ in $(seq 300); do
        [ ! -S "$1" ] || return 0
        sleep 0.1
    done
    return 1
}

# In memory, so that SQLite's waits for the disk do not count; short, since a socket's path must be. Others may pass
# through it to what is theirs within.
shelf=/dev/shm
[ -d $shelf ] || shelf=/tmp
work=$(mktemp -d $shelf/mwpeers.XXXXXX)
chmod 711 "$work"
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# --- The peers: name, set-up under Peers, milter-load's LANGUAGE, packages.

while read -r name script language packages; do
    socket=$work/$script/${language%%-*}.sock
    mkdir "$work/$script"
    # shellcheck disable=SC2086 # a list of words
    have $packages || install $packages
    # shellcheck disable=SC2086
    if ! have $packages; then
        set -- "$@" --absent "$name not installed"
    elif "$here/Peers/$script.sh" "$work/$script" "$limit" >"$work/$script.log" 2>&1 </dev/null &&
        appears "$socket"; then
        set -- "$@" --peer "$name $language unix:$socket $(echo "$work/$script"/*.pid)"
    else
        cat "$work/$script.log" "$work/$script"/*.log >&2 2>/dev/null || true
        set -- "$@" --absent "$name did not start"
    fi
done <<END
rspamd+redis rspamd milter rspamd redis-server
python-milter python-milter milter python3-milter
postfwd2 postfwd policy-data postfwd
policyd-rate-limit policyd-rate-limit policy-rcpt policyd-rate-limit
END

# Limits beyond reach, as the traffic repeats its users; rules, stages and counters stay what they are. Different values
# are kept up to the limit: those rules only tell, and keep theirs.
sed -e "s|unix:/run/mailwarden/milter.sock|unix:$work/milter.sock|" \
    -e "s|/run/mailwarden/control.sock|$work/control.sock|" \
    -e '/distinct/!s|\([0-9][0-9]*\) per |\100000000 per |g' \
    "$here/twenty-rules.yaml" >"$work/policy.yaml"

# In the background, so that a signal that ends this script ends it too.
TMPDIR=$work "$folder/milter-load" --name mailwarden \
    --command "$folder/mailwarden run --config $work/policy.yaml" --socket "unix:$work/milter.sock" \
    --bare "$folder/bare-filter" --reference bare --reference bare-unanswered --reference rspamd+redis "$@" &
load=$!
wait "$load"
