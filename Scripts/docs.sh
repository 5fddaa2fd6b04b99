#!/bin/sh
# Builds the documentation of the libraries with the toolchain's docc; any warning is a failure.
#
#   Scripts/docs.sh [FOLDER]      (default: .build/docs in this repository)
#
# The result is a web site for each: python3 -m http.server --directory .build/docs/Milter
set -eu

cd "$(dirname "$0")/.."
folder=${1:-.build/docs}
graphs=$(mktemp -d)
trap 'rm -rf "$graphs"' EXIT

mkdir -p "$folder"
built=$(swift build --show-bin-path)
# SwiftPM writes the module map of the C target.
c_module=$built/CLibmilter.build/module.modulemap
for module in Milter WardenCore; do
    swift build --quiet --target "$module"
    mkdir "$graphs/$module"
    swift-symbolgraph-extract -module-name "$module" -minimum-access-level public -skip-synthesized-members \
        -target "$(uname -m)-unknown-linux-gnu" -I "$built/Modules" -Xcc "-fmodule-map-file=$c_module" \
        -output-dir "$graphs/$module"
    docc convert "Sources/$module/$module.docc" --additional-symbol-graph-dir "$graphs/$module" \
        --fallback-bundle-identifier "mailwarden.$module" --warnings-as-errors --output-path "$folder/$module"
done
