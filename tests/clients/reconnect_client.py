"""A client that reconnects, with Python's `websockets`: reconnect_client.py BASE QUERY..., see reconnect_clients.js."""

import asyncio
import os
import sys
import threading
from urllib.parse import quote

# Seconds between two attempts. The library reads them when it is imported.
for delay, seconds in (("INITIAL_DELAY", 0.1), ("MIN_DELAY", 0.1), ("MAX_DELAY", 0.2)):
    os.environ[f"WEBSOCKETS_BACKOFF_{delay}"] = str(seconds)

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

NAME = "Python websockets"


def with_parent():
    """Ends this process with the test that has started it, even when that was killed: stdin is closed then."""
    sys.stdin.buffer.read()
    os._exit(1)


async def client(base, query):
    suffix = "" if query == "-" else f"?{query}&id={quote(f'{NAME} {query}')}"
    # As in the documentation of `connect`: the loop reconnects, and a connection that failed is another turn.
    async for socket in connect(f"{base}/plain{suffix}"):
        try:
            async for _ in socket:
                print(f"{NAME}|{query}", flush=True)
        except ConnectionClosedError:
            continue
        # An orderly close is the end.
        return


async def main(base, queries):
    await asyncio.gather(*(client(base, query) for query in queries))


threading.Thread(target=with_parent, daemon=True).start()
asyncio.run(main(sys.argv[1], sys.argv[2:]))
