// Plays one scenario of tests/clients with Node's `ws`: client.js SCENARIO URL.
"use strict";
const assert = require("node:assert");
const { randomBytes } = require("node:crypto");
const { once } = require("node:events");
const http2 = require("node:http2");
const WebSocket = require("ws");

async function open(url, subprotocols = [], options = {}) {
  if (url.startsWith("h2:")) return openHttp2(new URL(url.replace("h2:", "http:")), subprotocols);
  const socket = new WebSocket(url, subprotocols, options);
  await once(socket, "open");
  return socket;
}

// Ends of HTTP/2 connections, waited for so that their last frames are sent.
const sessions = [];

// An extended CONNECT (RFC 8441), sent when the server's settings allow it. `ws` does not support
// HTTP/2; it receives the stream in the place of a socket after an upgrade.
async function openHttp2({ origin, host, pathname }, subprotocols) {
  const session = http2.connect(origin);
  await once(session, "remoteSettings");
  assert(session.remoteSettings.enableConnectProtocol);
  const headers = {
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "http",
    ":authority": host,
    ":path": pathname,
    "sec-websocket-version": "13",
  };
  if (subprotocols.length > 0) headers["sec-websocket-protocol"] = subprotocols.join(", ");
  const stream = session.request(headers, { endStream: false });
  const [response] = await once(stream, "response");
  assert.strictEqual(response[":status"], 200);
  const socket = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 30_000 });
  socket._isServer = false;
  socket._protocol = response["sec-websocket-protocol"] ?? "";
  socket.once("close", () => session.close());
  sessions.push(once(session, "close"));
  socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 1 << 25 });
  return socket;
}

async function echoed(socket, message) {
  socket.send(message);
  const [data, isBinary] = await once(socket, "message");
  assert.strictEqual(isBinary, typeof message !== "string");
  assert(data.equals(Buffer.from(message)), `${data.length} other bytes came back`);
}

async function close(socket, code = 1000, reason = "") {
  socket.close(code, reason);
  await closed(socket, code, reason);
}

async function closed(socket, expectedCode, expectedReason) {
  const [code, reason] = await once(socket, "close");
  assert.deepStrictEqual([code, reason.toString()], [expectedCode, expectedReason]);
}

const scenarios = {
  async echo(url) {
    const socket = await open(url);
    await echoed(socket, "gr\u00fc\u00dfe");
    await echoed(socket, Buffer.from([...Array(256).keys()]));
    await close(socket);
  },

  async subprotocol(url) {
    const socket = await open(url, ["soap", "wamp"]);
    assert.strictEqual(socket.protocol, "wamp");
    await echoed(socket, "hello");
    await close(socket);
  },

  async big_message(url) {
    const socket = await open(url);
    await echoed(socket, randomBytes(16 << 20));
    await close(socket);
  },

  async client_closes(url) {
    await close(await open(url), 4001, "the client says bye");
  },

  async server_closes(url) {
    const socket = await open(url);
    socket.send("close it");
    await closed(socket, 4002, "the server says bye");
  },

  async cookies(url) {
    const socket = new WebSocket(url);
    const [[response]] = await Promise.all([once(socket, "upgrade"), once(socket, "open")]);
    assert.deepStrictEqual(response.headers["set-cookie"], ["a=1; Path=/; HttpOnly", "b=2; Path=/"]);
    await close(socket);
  },

  async refusal(url) {
    const socket = new WebSocket(url);
    const [, response] = await once(socket, "unexpected-response");
    const body = Buffer.concat(await response.toArray()).toString();
    assert.deepStrictEqual([response.statusCode, body], [403, "members only\n"]);
  },

  async deflate(url) {
    const socket = await open(url, [], { perMessageDeflate: true });
    assert.strictEqual(socket.extensions, "permessage-deflate");
    await echoed(socket, "compress me ".repeat(100_000));
    await close(socket);
  },
};

const [scenario, url] = process.argv.slice(2);
// It exits by itself only when no connection is open; after a refusal one is.
const exit = (error) => {
  if (error) console.error(error);
  process.exit(error ? 1 : 0);
};
scenarios[scenario](url)
  .then(() => Promise.all(sessions))
  .then(() => exit(), exit);
