// Exchanges messages with socketio_server.js and prints a line; then the same again after a restart of the server:
// socketio_client.js SCENARIO URL.
"use strict";
require("./with_parent");
const assert = require("node:assert");
const { once } = require("node:events");
const { io } = require("socket.io-client");

const COUNT = 100;

// The transports that may be used, and those that the session must begin and end with.
const scenarios = {
  upgrade: { transports: ["polling", "websocket"], first: "polling", now: "websocket" },
  websocket: { transports: ["websocket"], first: "websocket", now: "websocket" },
  polling: { transports: ["polling"], first: "polling", now: "polling" },
};

const numbered = (from, text) => Array.from({ length: COUNT }, (_, n) => text(from + n));

// Both ways at once, while the transport may be changing. The session has had `from` messages before.
async function exchange(socket, from) {
  const received = [];
  socket.on("down", (message, acknowledge) => acknowledge(`${from + received.push(message) - 1}: ${message}`));
  const acknowledged = socket.emitWithAck("send", from, COUNT);
  const up = numbered(from, (n) => socket.emitWithAck("up", `message ${n}`));
  const expected = numbered(from, (n) => `${n}: message ${n}`);
  assert.deepStrictEqual(await Promise.all(up), expected);
  assert.deepStrictEqual(await acknowledged, expected);
  assert.deepStrictEqual(received, numbered(from, (n) => `message ${n}`));
  socket.off("down");
}

async function session(socket, { first, now }) {
  if (!socket.connected) await once(socket, "connect");
  const { engine } = socket.io;
  const upgraded = engine.transport.name === now ? null : once(engine, "upgrade");
  await exchange(socket, 0);
  await upgraded;
  await exchange(socket, COUNT);
  assert.strictEqual(engine.transport.name, now);
  assert.deepStrictEqual(await socket.emitWithAck("transports"), { first, now });
  console.log(`${2 * COUNT} messages each way`);
}

async function play(scenario, url) {
  const { transports, ...expected } = scenarios[scenario];
  const socket = io(url, { transports, reconnectionDelay: 50, reconnectionDelayMax: 200 });
  await session(socket, expected);
  const id = socket.id;
  await once(socket, "disconnect");
  await session(socket, expected);
  assert.notStrictEqual(socket.id, id);
}

const [scenario, url] = process.argv.slice(2);
const exit = (error) => {
  if (error) console.error(error);
  process.exit(error ? 1 : 0);
};
play(scenario, url).then(exit, exit);
