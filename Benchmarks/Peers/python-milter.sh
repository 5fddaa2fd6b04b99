#!/bin/sh
# Our own sliding window in Python: python-milter.sh FOLDER LIMIT
set -eu
folder=$1
limit=$2
/usr/bin/python3 "$(dirname "$0")/sliding_window.py" "$folder/milter.sock" "$limit" >"$folder/python.log" 2>&1 &
echo $! >"$folder/python.pid"
