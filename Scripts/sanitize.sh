#!/bin/bash
# Runs tests under a sanitizer, which is in the daemon that they start as well:
#
#   Scripts/sanitize.sh [thread|address]...      both unless told
#
# Every process writes what it finds into .build/sanitize/KIND, so that nothing is lost of a daemon that a test ends. Ends with
# 1 where a test fails or anything was found.
set -euo pipefail
cd "$(dirname "$0")/.."
export SWIFT_BACKTRACE=enable=no

# What is run: a name, then which tests. Where there is one thread, ThreadSanitizer has nothing to find.
unit='^(Warden(Control|Core|Feeds|Policy|Replay|Screen|Script|Store)|Milter|Fuzz|HijackSuite)Tests'
# By themselves: what is slow under a sanitizer keeps Swift's few threads from them, and their time limits pass.
alerts='^WardenAlertsTests'
threaded='^(WardenCoreTests.(ThreadTests|SessionsTogetherTests)|MilterTests|WardenControlTests|WardenAlertsTests|'
threaded+='WardenFeedsTests.(DovecotServerTests|InputFollowTests|InputJournalTests)|WardenStoreTests.ProblemTests)'
sockets='^IntegrationTests.(ProtocolTests|ServerTests|CrashTests)'
postfix='^IntegrationTests.PostfixTests'
export MAILWARDEN_CRASH_ROUNDS=2

failures=0
sanitize() {
  local kind=$1 build=.build/$1-sanitizer reports=$PWD/.build/sanitize/$1
  rm -rf "$reports"
  # A daemon that has become another user writes here, too.
  mkdir -p -m 1777 "$reports"
  local all="log_path=$reports/found:exitcode=66"
  local runs=("sockets $sockets" "postfix $postfix")
  case $kind in
  thread)
    runs=("threads $threaded" "${runs[@]}")
    export TSAN_OPTIONS="$all:suppressions=$PWD/Scripts/thread-sanitizer.supp:history_size=4"
    ;;
  address)
    runs=("unit $unit" "alerts $alerts" "${runs[@]}")
    # Swift keeps flags in the spare bits of pointers, which the search for leaks then does not know as such.
    export ASAN_OPTIONS="$all:detect_leaks=0:detect_stack_use_after_return=1"
    ;;
  esac
  swift build --build-tests "--sanitize=$kind" --scratch-path "$build"
  local run name filter log found before=0
  for run in "${runs[@]}"; do
    read -r name filter <<<"$run"
    log=$reports/$name.log
    local result=ok
    swift test --skip-build "--sanitize=$kind" --scratch-path "$build" --filter "$filter" >"$log" 2>&1 || result=FAILED
    found=$(find "$reports" -name 'found*' -exec cat {} + | grep -c '^SUMMARY' || true)
    [ "$found" -eq "$before" ] || result=FAILED
    printf '%-8s %-8s %s; %s reports; %s\n' "$kind" "$name" \
      "$(grep -aoE 'Test run with [0-9]+ tests? in [0-9]+ suites? (passed|failed)' "$log" | tail -1)" "$((found - before))" "$result"
    if [ "$result" != ok ]; then
      failures=$((failures + 1))
      grep -aE 'recorded an issue|error:' "$log" | head -20 >&2 || true
      echo "  the tests' words: $log; what was found: $reports/found.*" >&2
    fi
    before=$found
  done
}

for kind in "${@:-thread address}"; do
  for kind in $kind; do sanitize "$kind"; done
done
[ "$failures" -eq 0 ]
