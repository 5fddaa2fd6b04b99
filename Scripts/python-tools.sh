#!/bin/sh
# Installs the Python programs that tests use, in the versions of python-tools.txt, into a virtual environment of their own.
# Does nothing when they are there.
#
#   Scripts/python-tools.sh [FOLDER]      (default: .build/python-tools in this repository)
set -eu

repo=$(cd "$(dirname "$0")/.." && pwd)
wanted=$repo/Scripts/python-tools.txt
folder=${1:-$repo/.build/python-tools}
made=$folder/made-of.txt # written last: an interrupted run starts over

is_there() { cmp -s "$wanted" "$made"; }

if is_there; then exit 0; fi
mkdir -p "$(dirname "$folder")"
# Of two runs at once one makes it, and the other waits.
exec 9>"$folder.lock"
flock 9
if is_there; then exit 0; fi
rm -rf "$folder"
/usr/bin/python3 -m venv "$folder"
# Exactly what is written down: nothing is resolved.
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$wanted"
cp "$wanted" "$made"
echo "python-tools.sh: made $folder" >&2
