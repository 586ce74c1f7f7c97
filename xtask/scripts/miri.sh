#!/usr/bin/env bash
# The unit tests under Miri: cargo xtask miri [FILTER]. See docs/testing.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! cargo +nightly miri --version > /dev/null 2>&1; then
    printf '\n!! MIRI NOT RUN: it is not installed.\n' >&2
    printf '!! rustup toolchain install nightly --component miri --component rust-src\n\n' >&2
    exit 0
fi
# Modules that use tokio or share state between threads. The rest is safe code on bytes, and Miri is a thousand times
# slower than native code.
modules=(connect:: forward:: upgrade:: limits:: registry:: tunnel::shared:: tunnel::splice:: tunnel::pending:: tunnel::scratch::)
if [ $# -gt 0 ]; then modules=("$@"); fi
# The tests need the clock of the machine and /proc.
export MIRIFLAGS="-Zmiri-disable-isolation ${MIRIFLAGS:-}"
cargo +nightly miri test --locked --package tower-upgrade-proxy --all-features --lib -- "${modules[@]}"
