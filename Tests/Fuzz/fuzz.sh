#!/bin/bash
# Fuzzes what reads bytes of others, with libFuzzer and the address sanitizer:
#
#   Tests/Fuzz/fuzz.sh [SECONDS [TARGET...]]     each for so long (60 unless told); ends with 1 where one has failed
#   Tests/Fuzz/fuzz.sh replay TARGET FILE...     runs a target on files, to see again what has failed
#   Tests/Fuzz/fuzz.sh keep TARGET...            adds to Corpora what earlier runs have found and is worth keeping
#
# What runs find is in .build/fuzz/TARGET; input that fails is in .build/fuzz/failed.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=.build/fuzz
# Beside the release binary, to share what it depends on, which takes far longer to compile than our own modules. These are
# compiled anew whenever it is the other one's turn.
fuzzer=.build/release-build/release/fuzz
mkdir -p "$out/failed"
# Crashes are the fuzzer's to tell.
export SWIFT_BACKTRACE=enable=no
# Swift keeps flags in the spare bits of pointers, which the leak sanitizer then does not know as such.
export ASAN_OPTIONS=detect_leaks=0

build() {
  local tools library
  tools=$(dirname "$(readlink -f "$(command -v swiftc)")")
  library=$("$tools/clang" -print-file-name="libclang_rt.fuzzer_no_main-$(uname -m).a")
  MAILWARDEN_FUZZ=1 swift build -c release --static-swift-stdlib --product fuzz --scratch-path .build/release-build \
    -Xlinker "$library" -Xlinker -lstdc++
}

# What every call of the fuzzer has: run TARGET FLAG... FOLDER...
run() {
  local target=$1 dictionary=Tests/Fuzz/Dictionaries/$1.dict
  shift
  "$fuzzer" "--target=$target" -timeout=20 -max_len=8192 "-artifact_prefix=$out/failed/$target-" "-dict=$dictionary" "$@"
}

case ${1:-} in
replay)
  build
  target=$2
  shift 2
  run "$target" "$@"
  exit
  ;;
keep)
  build
  shift
  for target; do
    run "$target" -set_cover_merge=1 -use_counters=0 "Tests/Fuzz/Corpora/$target" "$out/$target" 2>"$out/$target.log" ||
      { tail -20 "$out/$target.log" >&2; exit 1; }
    echo "$target: $(ls "Tests/Fuzz/Corpora/$target" | wc -l) files"
  done
  exit
  ;;
esac

seconds=${1:-60}
[ $# -eq 0 ] || shift
build
# Without a target it lists them.
[ $# -gt 0 ] || set -- $("$fuzzer" || true)
failures=0
printf '%-10s %10s %8s %8s %8s  %s\n' target runs exec/s edges corpus result
for target; do
  log=$out/$target.log
  mkdir -p "$out/$target"
  result=ok
  run "$target" "-max_total_time=$seconds" -print_final_stats=1 "$out/$target" "Tests/Fuzz/Corpora/$target" 2>"$log" ||
    result=FAILED
  figure() { { grep -aE "$1" "$log" || true; } | tail -1 | sed -E "s/.*$1.*/\1/"; }
  printf '%-10s %10s %8s %8s %8s  %s\n' "$target" "$(figure 'stat::number_of_executed_units: ([0-9]+)')" \
    "$(figure 'stat::average_exec_per_sec: +([0-9]+)')" "$(figure ' cov: ([0-9]+)')" "$(figure ' corp: ([0-9]+)')" "$result"
  [ "$result" = ok ] && continue
  failures=$((failures + 1))
  grep -aE 'Fatal error|ERROR:|SUMMARY:' "$log" | cut -c1-600 >&2 || true
  failed=$(figure 'Test unit written to (.*)')
  echo "  again: Tests/Fuzz/fuzz.sh replay $target ${failed:-(no input was written: $log)}" >&2
done
[ "$failures" -eq 0 ]
