# What the actions share; they source it from their own folder.
#
# user, sender, key, reason and helo hold what clients said. So a value is taken
# only by a pattern that fits the whole of it, and no value is ever evaluated.
# shellcheck shell=sh disable=SC2016 # jq's own variables
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
me=${0##*/}

# Mailwarden throws output away; the system's log has it.
tell() { logger -t "mailwarden/$me" -p "mail.$1" -- "$2" 2>/dev/null || :; }

say() {
    echo "$me: $1"
    tell notice "$1"
}

fail() {
    echo "$me: $1" >&2
    tell err "$1"
    exit 1
}

# The episode, one JSON object, from standard input.
read_episode() {
    episode=$(jq -cs 'if length == 1 then .[0] | objects else empty end' 2>/dev/null) || episode=
    [ -n "$episode" ] || fail 'standard input is not one JSON object'
}

# What a rule per user would tell of this one, for an administrator who names it.
episode_of() { episode=$(jq -cn --arg user "$1" '{user: $user, key: "user:\($user)"}'); }

# ask ARGUMENTS: jq on the episode.
ask() { printf '%s\n' "$episode" | jq "$@" 2>/dev/null; }

# field NAME PATTERN: its value, when that is a string and all of it fits.
# \A and \z, since $ would also match before a newline.
field() {
    ask -er --arg name "$1" --arg pattern "\\A(?:$2)\\z" '.[$name] | strings | select(test($pattern))' ||
        fail "\"$1\" is missing, or not what it must look like"
}

# account PATTERN: sets $user. The count must be that user's own: a rule per
# address would name whoever was logged in when it tripped.
account() {
    user=$(field user "$1")
    ask -e --arg user "user:$user" '.key | . == $user or startswith($user + ",")' >/dev/null ||
        fail "the rule does not count per user, and \"user\" may be anybody"
}

# queue_ids PATTERN: sets $ids, those that fit, one a line, and $given and
# $strange, how many there are and how many do not fit.
queue_ids() {
    given=$(ask -e '.queue_ids | arrays | unique | length') || fail 'there is no list "queue_ids"'
    ids=$(ask -r --arg pattern "\\A(?:$1)\\z" '.queue_ids | unique[] | strings | select(test($pattern))')
    strange=$((given - $(printf '%s' "$ids${ids:+
}" | wc -l)))
}

# What does not look like a queue id is left out, and must not save the others.
report_held() {
    say "$1 of $given put on hold"
    [ "$strange" = 0 ] || fail "$strange of $given do not look like queue ids and were left out"
}
