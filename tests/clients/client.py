"""Plays one scenario of tests/clients with Python's `websockets`: client.py SCENARIO URL."""

import asyncio
import random
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


async def echoed(socket, message):
    await socket.send(message)
    answer = await socket.recv()
    assert type(answer) is type(message) and answer == message, f"{len(answer)} other bytes came back"


async def echo(url):
    async with connect(url) as socket:
        await echoed(socket, "gr\u00fc\u00dfe")
        await echoed(socket, bytes(range(256)))


async def subprotocol(url):
    async with connect(url, subprotocols=["soap", "wamp"]) as socket:
        assert socket.subprotocol == "wamp", socket.subprotocol
        await echoed(socket, "hello")


async def big_message(url):
    async with connect(url, max_size=None) as socket:
        await echoed(socket, random.Random(1).randbytes(16 << 20))


async def client_closes(url):
    async with connect(url) as socket:
        await socket.close(4001, "the client says bye")
        assert (socket.close_code, socket.close_reason) == (4001, "the client says bye")


async def server_closes(url):
    async with connect(url) as socket:
        await socket.send("close it")
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4002, "the server says bye"), closed
        else:
            raise AssertionError("a message came")


async def cookies(url):
    async with connect(url) as socket:
        cookies = socket.response.headers.get_all("Set-Cookie")
        assert cookies == ["a=1; Path=/; HttpOnly", "b=2; Path=/"], cookies


async def refusal(url):
    try:
        async with connect(url):
            raise AssertionError("not refused")
    except InvalidStatus as refused:
        response = refused.response
        assert (response.status_code, response.body) == (403, b"members only\n"), response


async def deflate(url):
    async with connect(url, max_size=None) as socket:
        extensions = [extension.name for extension in socket.protocol.extensions]
        assert extensions == ["permessage-deflate"], extensions
        await echoed(socket, "compress me " * 100_000)


scenario, url = sys.argv[1:]
asyncio.run(globals()[scenario](url))
