#!/bin/sh
# Fuzzes the parsers of what others send us, with libFuzzer and the address sanitizer:
#   Benchmarks/fuzz.sh [SECONDS [TARGET...]]
# SECONDS is for each target, 60 unless told; a TARGET is a file of Benchmarks/Fuzz without `.swift`, all unless told.
# A target is one file. Its first lines say which folders of Sources/WardenFeeds it parses with (they must get by with
# WardenCore alone) and which lines to begin with:
#   // parses: Log
#   // corpus: Tests/WardenFeedsTests/Fixtures/Log/*.log
# Input that crashes a parser is left in .build/fuzz/TARGET.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(cd Benchmarks/Fuzz && ls *.swift | sed 's/\.swift$//')
out=$PWD/.build/fuzz
mkdir -p "$out"
# Crashes are the fuzzer's to tell.
export SWIFT_BACKTRACE=enable=no

# Builds a module's object and interface: module NAME FLAG... FILE...
module() {
  name=$1
  shift
  swiftc -O -wmo -parse-as-library -swift-version 6 -package-name mailwarden -module-name "$name" -I "$out" -emit-module \
    -emit-module-path "$out/$name.swiftmodule" -c -o "$out/$name.o" "$@"
}

module WardenCore -Onone Sources/WardenCore/*.swift
for target; do
  source=Benchmarks/Fuzz/$target.swift
  folders=$(sed -n 's,^// parses: ,,p' "$source")
  corpus=$(sed -n 's,^// corpus: ,,p' "$source")
  files=$(for folder in $folders; do find "Sources/WardenFeeds/$folder" -name '*.swift'; done)
  module WardenFeeds -sanitize=fuzzer,address $files
  swiftc -O -parse-as-library -swift-version 6 -sanitize=fuzzer,address -I "$out" "$source" "$out/WardenFeeds.o" \
    "$out/WardenCore.o" -o "$out/fuzz-$target" 2>"$out/$target.link" || { cat "$out/$target.link" >&2; exit 1; }
  # Every line is one input.
  seeds=$out/$target-seeds
  rm -rf "$seeds"
  mkdir -p "$seeds" "$out/$target"
  cat $corpus | grep -a . | awk -v folder="$seeds" '{ file = folder "/" NR; printf "%s", $0 > file; close(file) }'
  echo "== $target, ${seconds} s"
  "$out/fuzz-$target" -max_total_time="$seconds" -max_len=8192 -timeout=5 -print_final_stats=1 \
    -artifact_prefix="$out/$target/" "$out/$target" "$seeds" 2>"$out/$target.log" ||
    { tail -40 "$out/$target.log" >&2; exit 1; }
  grep -aE '^(Done|stat::)' "$out/$target.log"
done
