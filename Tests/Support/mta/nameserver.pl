# A name server for private MTAs: it lists every address of 127.0.66.0/24 in dnsbl.test and knows no other name.
#
#   perl nameserver.pl ADDRESS      ADDRESS: a loopback address; port 53
#
# Returns as soon as it can be asked, and prints the pid of its child, which goes on in the same folder.
use strict;
use warnings;
use IO::Socket::INET;

my $socket = IO::Socket::INET->new(LocalAddr => $ARGV[0], LocalPort => 53, Proto => "udp")
    or die "nameserver.pl: $ARGV[0], port 53: $!\n";
if (my $child = fork) {
    print "$child\n";
    exit;
}
setpgrp;
open STDIN, "<", "/dev/null";
open STDOUT, ">", "/dev/null";
open STDERR, ">", "/dev/null";
while (defined(my $peer = $socket->recv(my $query, 512))) {
    next if length $query < 17;
    my $id = unpack "n", $query;
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
}
