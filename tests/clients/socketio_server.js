// A Socket.IO server: socketio_server.js PORT. Its first line is its port.
"use strict";
require("./with_parent");
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http);

io.on("connection", (socket) => {
  let received = 0;
  socket.on("up", (message, acknowledge) => acknowledge(`${received++}: ${message}`));
  // Sends that many and answers with their acknowledgements.
  socket.on("send", async (from, count, done) => {
    const sent = Array.from({ length: count }, (_, n) => socket.emitWithAck("down", `message ${from + n}`));
    done(await Promise.all(sent));
  });
  socket.on("transports", (done) => {
    done({ first: socket.handshake.query.transport, now: socket.conn.transport.name });
  });
});

http.on("listening", () => console.log(http.address().port));
http.listen(Number(process.argv[2]), "127.0.0.1");
