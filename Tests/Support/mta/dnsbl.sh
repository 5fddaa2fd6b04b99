#!/bin/sh
# Runs `postfix.sh ARGUMENTS` where the only name server is one of our own: it lists every address of 127.0.66.0/24 in
# dnsbl.test and knows no other name.
#
#   dnsbl.sh ADDRESS up DIR PORT XPORT MILTER      ADDRESS: a loopback address for the name server, port 53
#   dnsbl.sh ADDRESS down DIR
set -eu
address=$1
verb=$2
dir=$3
shift
here=$(dirname "$0")

if [ "$verb" = down ]; then
    sh "$here/postfix.sh" "$@"
    [ ! -f "$dir.dns.pid" ] || kill "$(cat "$dir.dns.pid")" 2>/dev/null || true
    rm -f "$dir.dns.pid" "$dir.resolv"
    exit 0
fi

# Answers each question with "no such name", or with 127.0.0.2 for N.66.0.127.dnsbl.test (type A).
perl -MIO::Socket::INET -e '
    my $socket = IO::Socket::INET->new(LocalAddr => $ARGV[0], LocalPort => 53, Proto => "udp") or die "port 53: $!";
    exit 0 if fork;
    open STDIN, "<", "/dev/null"; open STDOUT, ">", "/dev/null"; open STDERR, ">", "/dev/null";
    open my $file, ">", $ARGV[1]; print $file $$; close $file;
    while (defined(my $peer = $socket->recv(my $query, 512))) {
        my ($id) = unpack "n", $query;
        my $rest = substr $query, 12;
        my @labels;
        while ((my $length = ord substr $rest, 0, 1) > 0) {
            push @labels, substr $rest, 1, $length;
            $rest = substr $rest, 1 + $length;
        }
        my $question = substr $query, 12, length($query) - 12 - length($rest) + 5;
        my $listed = join(".", @labels) =~ /^\d+\.66\.0\.127\.dnsbl\.test$/ && unpack("x n", $rest) == 1;
        my $head = pack "nnnnnn", $id, $listed ? 0x8180 : 0x8183, 1, $listed ? 1 : 0, 0, 0;
        my $answer = $listed ? pack("nnnNnC4", 0xc00c, 1, 1, 60, 4, 127, 0, 0, 2) : "";
        $socket->send($head . $question . $answer, 0, $peer);
    }' "$address" "$dir.dns.pid"
printf 'nameserver %s\noptions timeout:1 attempts:1\n' "$address" >"$dir.resolv"

# Postfix and all its offspring stay in the mount namespace in which they were started.
POSTFIX_EXTRA='smtpd_client_restrictions = reject_rbl_client dnsbl.test' \
    exec unshare --mount sh -c 'mount --bind "$1" /etc/resolv.conf && shift && exec sh "$@"' \
    dnsbl "$dir.resolv" "$here/postfix.sh" "$@"
