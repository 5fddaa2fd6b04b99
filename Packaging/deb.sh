#!/bin/sh
# Packs the release binary for Debian: .build/deb/mailwarden_VERSION_ARCH.deb
#
#   Packaging/deb.sh PROGRAM SBOM-FOLDER
set -eu

repo=$(cd "$(dirname "$0")/.." && pwd)
program=$(realpath "$1")
sbom=$(realpath "$2")
version=$(sed -n 's/.*text = "\(.*\)"/\1/p' "$repo/Sources/mailwarden/Version.swift")
work=$repo/.build/deb
tree=$work/mailwarden-$version

rm -rf "$work"
mkdir -p "$tree"
cd "$repo"
cp -r Packaging/debian docs Examples README.md CHANGELOG.md "$tree/"
cp "$program" "$tree/mailwarden"
cp "$sbom/mailwarden.spdx.json" "$sbom/third-party-licenses.txt" "$tree/"

cd "$tree"
maintainer=$(sed -n 's/^Maintainer: //p' debian/control)
cat >debian/changelog <<END
mailwarden ($version) unstable; urgency=medium

  * What has changed stands in CHANGELOG.md.

 -- $maintainer  $(date -R -d "@${SOURCE_DATE_EPOCH:-$(git -C "$repo" log -1 --format=%ct 2>/dev/null || date +%s)}")
END
# -d: what builds the program is no package.
dpkg-buildpackage --build=binary --unsigned-changes --no-check-builddeps >"$work/build.log" 2>&1 || {
    tail -n 40 "$work/build.log" >&2
    echo "deb.sh: could not pack $program; all of it is in $work/build.log" >&2
    exit 1
}
rm -rf "$tree"
echo "$work/mailwarden_${version}_$(dpkg --print-architecture).deb"
