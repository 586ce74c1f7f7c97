#!/usr/bin/env bash
# Fuzzes each target for a number of seconds, two targets at a time. Fails if there is a finding.
# usage: fuzz/run.sh SECONDS [TARGET...]
set -euo pipefail
seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift
cd "$(dirname "$0")"
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

# The flag makes the crate's properties public for the targets.
export RUSTFLAGS="--cfg upgrade_proxy_fuzz ${RUSTFLAGS:-}"
cargo metadata --locked --format-version 1 > /dev/null
# Without unsafe code no sanitizer is needed, and therefore no nightly toolchain.
for target in "${targets[@]}"; do cargo fuzz build --fuzz-dir . --sanitizer none "$target"; done
binaries=$(realpath "${CARGO_TARGET_DIR:-target}")/$(rustc -vV | sed -n 's/^host: //p')/release

fuzz() {
    mkdir -p "corpus/$1" "artifacts/$1"
    "$binaries/$1" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="artifacts/$1/" "corpus/$1" "seeds/$1" > "artifacts/$1.log" 2>&1
}

failed=()
while [ ${#targets[@]} -gt 0 ]; do
    running=("${targets[@]:0:2}")
    targets=("${targets[@]:2}")
    pids=()
    for target in "${running[@]}"; do
        fuzz "$target" &
        pids+=($!)
    done
    for index in "${!running[@]}"; do
        target=${running[$index]}
        if wait "${pids[$index]}"; then
            executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "artifacts/$target.log")
            printf '%-10s %10s executions, %s\n' "$target" "$executions" \
                "$(grep -o 'cov: .*corp: [^ ]*' "artifacts/$target.log" | tail -n 1)"
        else
            failed+=("$target")
            tail -n 40 "artifacts/$target.log" >&2
        fi
    done
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "findings: ${failed[*]}; the inputs are in fuzz/artifacts" >&2
    exit 1
fi
