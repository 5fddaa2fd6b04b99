# What the adapters of both MTAs share; they source it. Sets nothing up by itself.

accounts='alice bob carol dave erin frank newsletter postmaster'
start_limit=20 # seconds
stop_limit=5

fail() {
    echo "${0##*/}: $1" >&2
    exit 1
}

# A connection of our own would reach the milter, so look at the kernel's table.
listening() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        grep -q ":$(printf %04X "$1") 0*:0000 0A "
}

# One SMTP session, as a last check that there is a server behind the port. It is
# also the first session of the milter: it comes from an address no test uses.
# Waits for the banner: Sendmail turns away whoever talks first.
answers() {
    perl -MIO::Socket::INET -e '
        alarm 10;
        my $smtp = IO::Socket::INET->new(LocalAddr => "127.255.255.254",
            PeerAddr => "127.0.0.1", PeerPort => $ARGV[0], Timeout => 5) or exit 1;
        (<$smtp> // "") =~ /^\d{3} / or exit 1;
        print $smtp "QUIT\r\n";
        <$smtp>;' "$1"
}

# All processes of an instance work in its queue directory ($1); zombies work nowhere.
works_in() {
    readlink /proc/[0-9]*/cwd 2>/dev/null | grep -qxF "$1"
}

# Whether process group $1 has a member; a zombie may have to wait for its parent.
group_lives() {
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' |
        awk -v group="$1" '$3 == group && $1 != "Z" { found = 1 } END { exit !found }'
}
