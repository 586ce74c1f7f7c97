#!/usr/bin/env bash
# The models of what threads share: tests/models.sh [FILTER]. See docs/testing.md.
set -euo pipefail
cd "$(dirname "$0")/.."

# A flag of everything that is built, and the dependency on shuttle with it: hence a folder of its own.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/models
export RUSTFLAGS="--cfg upgrade_proxy_model ${RUSTFLAGS:-}"
built=$(cargo test --locked --package tower-upgrade-proxy --all-features --lib --no-run --message-format=json-render-diagnostics)
program=$(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' <<< "$built" | tail -n 1)
# A model that fails prints the interleaving.
"$program" "model::${1:-}"
