#!/usr/bin/env bash
# The models of what threads share: tests/models.sh [FILTER]. See docs/testing.md.
set -euo pipefail
cd "$(dirname "$0")/.."

# Only this crate is built with the flag; its dependencies are those of the other tests.
built=$(cargo rustc --locked --all-features --lib --profile test --message-format=json-render-diagnostics -- --cfg upgrade_proxy_model)
program=$(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' <<< "$built" | tail -n 1)
# A model that fails prints the interleaving.
"$program" "model::${1:-}"
