# Writes what is told to /dev/log into files, as a system's syslog daemon does: each line with the time and the host
# name (RFC 3164), the auth facilities' to DIR/auth.log, all else to DIR/syslog.
#
#   perl syslog.pl DIR
#
# Returns as soon as the socket is there; its child goes on.
use strict;
use warnings;
use POSIX;
use Socket;
use Sys::Hostname;

POSIX::close($_) for 3 .. 255;
socket(my $log, AF_UNIX, SOCK_DGRAM, 0) or die "syslog.pl: socket: $!\n";
bind($log, pack_sockaddr_un("/dev/log")) or die "syslog.pl: /dev/log: $!\n";
my ($mail, $auth) = map { open(my $file, ">>", "$ARGV[0]/$_") or die "syslog.pl: $ARGV[0]/$_: $!\n"; $file } "syslog", "auth.log";
$_->autoflush(1) for $mail, $auth;
my $host = (split /\./, hostname)[0];
exit 0 if fork;
while (defined recv($log, my $line, 65536, 0)) {
    $line =~ s/^<(\d+)>// or next;
    my $facility = $1 >> 3;
    $line =~ s/[\0\n]+$//;
    # A line feed of a client's must not begin a line.
    $line =~ s/([\0-\x1f\x7f])/sprintf "#%03o", ord $1/ge;
    # libc gives the time, but no host.
    $line =~ s/^(\w{3} [ \d]\d \d\d:\d\d:\d\d) /$1 $host /;
    print { $facility == 4 || $facility == 10 ? $auth : $mail } "$line\n";
}
