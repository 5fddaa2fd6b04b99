#!/bin/sh
# postfwd2 with one rate rule, recipients per user, asked at DATA as its manual has it: postfwd.sh FOLDER LIMIT
set -eu
folder=$1
limit=$2
chown nobody:nogroup "$folder"

# A process serves one connection at a time, and Postfix keeps its connections: as many processes as connections.
# The request cache is as in Debian's start script. Nothing is logged, no DNS list is asked.
postfwd2 --rule "id=user; sasl_username=~.; action=rcpt(sasl_username/$limit/7200/450 4.7.1 too many)" \
    --server_socket "unix::$folder/policy.sock" --cache_socket "unix::$folder/cache.sock" \
    --user nobody --group nogroup --pidfile "$folder/postfwd.pid" \
    --min_servers 70 --min_spare_servers 5 --max_spare_servers 80 --max_servers 100 \
    --cache=600 --cache-rdomain-only --cache-no-size --nodns --perfmon --summary 0
