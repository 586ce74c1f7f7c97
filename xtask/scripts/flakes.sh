#!/usr/bin/env bash
# Runs all tests repeatedly: cargo xtask flakes [RUNS [PARALLEL]]. See docs/testing.md.
set -uo pipefail
cd "$(dirname "$0")/../.."

runs=${1:-100}
parallel=${2:-1}
logs=${CARGO_TARGET_DIR:-target}/flakes/$(date +%Y%m%d-%H%M%S)
mkdir -p "$logs"
: > "$logs/failures"
cargo test --locked --workspace --all-features --no-run || exit 2

# Prints the failures of a run: tests by name, and programs that failed without a failed test.
failures() {
    sed -n -e 's/^test \(.*\) \.\.\. FAILED$/\1/p' -e 's/^    `\(.*\)`$/cargo test \1/p' "$1"
}

run() {
    local log=$logs/run-$1.log start=$SECONDS status passed result=ok
    # A test that hangs is a failure too.
    timeout --kill-after=10 1800 cargo test --locked --workspace --all-features --no-fail-fast > "$log" 2>&1
    status=$?
    passed=$(sed -n 's/^test result: .* \([0-9]*\) passed;.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    if [ "$status" -ne 0 ]; then
        [ "$status" -ge 124 ] && echo "the run timed out after half an hour" >> "$logs/failures"
        failures "$log" | sort -u >> "$logs/failures"
        result="FAILED ($status), see $log"
    else
        rm "$log"
    fi
    echo "run $1 of $runs: $passed tests passed in $((SECONDS - start)) s, $result"
}

{
    for run in $(seq "$runs"); do
        [ "$(jobs -pr | wc -l)" -lt "$parallel" ] || wait -n
        run "$run" &
    done
    wait
} | tee "$logs/runs"

failed=$(grep -c FAILED "$logs/runs")
echo
echo "$failed of $(grep -c "^run " "$logs/runs") runs failed"
if [ "$failed" -gt 0 ]; then
    echo "failures, with the number of runs:"
    sort "$logs/failures" | uniq -c | sort -rn
    exit 1
fi
