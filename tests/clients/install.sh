#!/bin/sh
# Installs the clients of tests/clients: Python `websockets` and Hypercorn, Node `ws`, Socket.IO and other
# clients that reconnect, headless Chromium. Packages are installed into this folder. Python, Node and Chromium, if missing, are
# installed with apt as root; otherwise they are skipped, and the tests that need them are ignored.
set -eu
cd "$(dirname "$0")"

# need COMMAND PACKAGE...: succeeds if COMMAND is installed, or could be installed.
need() {
    command -v "$1" >/dev/null && return
    missing=$1
    shift
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
    else
        echo "$missing is missing: its client is skipped" >&2
        return 1
    fi
}

if need python3 python3 python3-venv; then
    python3 -m venv venv
    venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
fi

if need npm nodejs npm; then
    npm install --silent --no-save --no-package-lock --no-audit --no-fund
fi

if ! command -v google-chrome >/dev/null; then
    need chromium chromium || true
fi
