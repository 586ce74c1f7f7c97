#!/usr/bin/env bash
# Models of the state shared between threads: `cargo xtask models [FILTER]`. See docs/testing.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

# With the flag come other locks and another dependency: in a folder of its own, so that nothing else is rebuilt.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/models
export RUSTFLAGS="--cfg upgrade_proxy_model ${RUSTFLAGS:-}"
# A model that fails prints the interleaving.
cargo test --locked --package tower-upgrade-proxy --all-features --lib -- "model::${1:-}"
