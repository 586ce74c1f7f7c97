#!/usr/bin/env bash
# The tests under ThreadSanitizer: cargo xtask tsan [TARGETS OF cargo test]. See docs/testing.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

host=$(rustc -vV | sed -n 's/^host: //p')
if ! [ -e "$(rustc +nightly --print sysroot 2> /dev/null)/lib/rustlib/src/rust/library/Cargo.toml" ]; then
    printf '\n!! THREADSANITIZER NOT RUN: a nightly compiler with the sources of the standard library is not installed.\n' >&2
    printf '!! rustup toolchain install nightly --component rust-src\n\n' >&2
    exit 0
fi
targets=(--lib --test bad_inputs --test lifecycle --test versions --test h2_upstream --test tunnel --test wire)
if [ $# -gt 0 ]; then targets=("$@"); fi
# The sanitizer delivers a signal only when a thread runs, so that an example with sleeping threads would not receive it.
tests=(--skip example::)
# The standard library is built with the sanitizer too. Otherwise accesses that its locks and counters order look like
# races.
export RUSTFLAGS=-Zsanitizer=thread TSAN_OPTIONS="suppressions=$PWD/xtask/scripts/tsan.suppressions ${TSAN_OPTIONS:-}"
cargo +nightly test --locked -Zbuild-std --target "$host" --package tower-upgrade-proxy --package integration-tests --all-features --no-fail-fast "${targets[@]}" -- "${tests[@]}"
