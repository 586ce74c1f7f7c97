#!/usr/bin/env bash
# The unit tests under Miri: cargo xtask miri [FILTER]. See docs/testing.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! cargo +nightly miri --version > /dev/null 2>&1; then
    printf '\n!! MIRI NOT RUN: it is missing here.\n' >&2
    printf '!! rustup toolchain install nightly --component miri --component rust-src\n\n' >&2
    exit 0
fi
# What runs on tokio or is shared between threads; the rest is safe code over bytes, at a thousandth of its speed.
rooms=(connect:: forward:: upgrade:: limits:: registry:: tunnel::shared:: tunnel::splice:: tunnel::pending:: tunnel::scratch::)
if [ $# -gt 0 ]; then rooms=("$@"); fi
# With the clock of the machine and with /proc.
export MIRIFLAGS="-Zmiri-disable-isolation ${MIRIFLAGS:-}"
cargo +nightly miri test --locked --package tower-upgrade-proxy --all-features --lib -- "${rooms[@]}"
