"""Upstream with HTTP/2 only, without TLS, on Hypercorn. Its first line of output is its port.

The path selects the behaviour, as in upstream.rs. ASGI does not report the client's close frame.
"""

import asyncio
import socket

import hypercorn.protocol
from h2.events import DataReceived
from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.h2 import H2Protocol

COOKIES = [(b"set-cookie", b"a=1; Path=/; HttpOnly"), (b"set-cookie", b"b=2; Path=/")]


class Protocol(H2Protocol):
    """Hypercorn 0.18 with two mistakes mended, which hide how a tunnel ends."""

    async def stream_send(self, event):
        # It does not end the stream of a WebSocket that the client has closed.
        if isinstance(event, StreamClosed) and event.stream_id in self.stream_buffers:
            self.stream_buffers[event.stream_id].set_complete()
            self.priority.unblock(event.stream_id)
        await super().stream_send(event)

    async def _handle_events(self, events):
        # It loses the whole connection when something comes in a stream that is over (its issue 329).
        for event in events:
            if not isinstance(event, DataReceived) or event.stream_id in self.streams:
                await super()._handle_events([event])


hypercorn.protocol.H2Protocol = Protocol


async def refuse(send, status, text):
    headers = [(b"content-length", b"%d" % len(text))]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": text})


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    assert (await receive())["type"] == "websocket.connect"
    path = scope["path"]
    if scope["http_version"] != "2":
        return await refuse(send, 505, b"HTTP/2 alone\n")
    if path == "/refusal":
        return await refuse(send, 403, b"members only\n")
    accept = {"type": "websocket.accept"}
    if path == "/subprotocol":
        assert scope["subprotocols"] == ["soap", "wamp"], scope["subprotocols"]
        accept["subprotocol"] = "wamp"
    if path == "/cookies":
        accept["headers"] = COOKIES
    await send(accept)
    while (message := await receive())["type"] == "websocket.receive":
        if path == "/server_closes":
            return await send({"type": "websocket.close", "code": 4002, "reason": "the server says bye"})
        await send({"type": "websocket.send", "text": message["text"], "bytes": message["bytes"]})


config = Config()
listener = socket.create_server(("127.0.0.1", 0))
config.bind = [f"fd://{listener.fileno()}"]
config.loglevel = "WARNING"
config.websocket_max_message_size = 1 << 25
print(listener.getsockname()[1], flush=True)
asyncio.run(serve(app, config))
