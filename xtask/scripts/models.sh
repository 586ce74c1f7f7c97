#!/usr/bin/env bash
# Models of the state shared between threads: `cargo xtask models [FILTER]`. See docs/testing.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The flag changes the locks and adds a dependency; a separate target folder avoids rebuilds of everything else.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/models
export RUSTFLAGS="--cfg upgrade_proxy_model ${RUSTFLAGS:-}"
# A failed model prints the interleaving.
cargo test --locked --package tower-upgrade-proxy --all-features --lib -- "model::${1:-}"
