// A server of several protocols over WebSockets: reconnect_server.js PORT. Its first line is its port.
//
// Each client gets one greeting on each connection, and nothing more. With `?close=CODE&id=ID` the server ends the first
// connection of this client after the greeting: with this code, or without a Close for `none`.
"use strict";
require("./with_parent");
const { createServer } = require("node:http");
const { GraphQLObjectType, GraphQLSchema, GraphQLString } = require("graphql");
const { CloseCode, makeServer } = require("graphql-ws");
const { Server: SocketIo } = require("socket.io");
const { WebSocketServer } = require("ws");

const http = createServer();
const websockets = new WebSocketServer({
  noServer: true,
  handleProtocols: (offered) => offered.values().next().value ?? false,
});
const io = new SocketIo(http, { destroyUpgrade: false });
const ended = new Set();

// Ends the first connection of a client, if its URL says so. `delay` lets the greeting arrive before.
function endFirst(url, socket, delay = 50) {
  const [code, id] = [url.searchParams.get("close"), url.searchParams.get("id")];
  if (!code || ended.has(id)) return;
  ended.add(id);
  setTimeout(() => (code === "none" ? socket._socket.end() : socket.close(Number(code), "")), delay);
}

const schema = new GraphQLSchema({
  query: new GraphQLObjectType({ name: "Query", fields: { hello: { type: GraphQLString } } }),
  subscription: new GraphQLObjectType({
    name: "Subscription",
    fields: {
      greeting: {
        type: GraphQLString,
        async *subscribe() {
          yield { greeting: "hello" };
          await new Promise(() => {});
        },
      },
    },
  }),
});
const graphql = makeServer({ schema });

function graphqlSocket(socket) {
  const closed = graphql.opened(
    {
      protocol: socket.protocol,
      send: (data) => new Promise((sent, failed) => socket.send(data, (error) => (error ? failed(error) : sent()))),
      close: (code, reason) => socket.close(code, reason),
      onMessage: (handle) =>
        socket.on("message", (data) => handle(String(data)).catch(() => socket.close(CloseCode.InternalServerError))),
    },
    { socket },
  );
  socket.once("close", (code, reason) => closed(code, String(reason)));
}

// https://hexdocs.pm/phoenix/writing_a_channels_client.html
function phoenixSocket(socket) {
  socket.on("message", (data) => {
    const [join, reference, topic, event] = JSON.parse(data);
    const send = (...message) => socket.send(JSON.stringify(message));
    send(join, reference, topic, "phx_reply", { status: "ok", response: {} });
    if (event === "phx_join") send(join, null, topic, "greeting", { text: "hello" });
  });
}

// https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md
function signalrSocket(socket) {
  const send = (message) => socket.send(`${JSON.stringify(message)}\x1e`);
  socket.once("message", () => {
    send({});
    send({ type: 1, target: "greeting", arguments: ["hello"] });
  });
}

// https://centrifugal.dev/docs/transports/client_protocol
function centrifugeSocket(socket) {
  const send = (message) => socket.send(JSON.stringify(message));
  socket.on("message", (data) => {
    for (const { id, connect, subscribe } of String(data).trim().split("\n").map(JSON.parse)) {
      if (connect) send({ id, connect: { client: "c", version: "1" } });
      if (subscribe) {
        send({ id, subscribe: {} });
        send({ push: { channel: subscribe.channel, pub: { data: "hello" } } });
      }
    }
  });
}

const protocols = {
  "/plain": (socket) => socket.send("hello"),
  "/graphql": graphqlSocket,
  "/phoenix/websocket": phoenixSocket,
  "/signalr": signalrSocket,
  "/centrifuge": centrifugeSocket,
};

io.on("connection", (socket) => {
  socket.emit("greeting", "hello");
  const url = new URL(socket.handshake.url, "http://server");
  const end = () => endFirst(url, socket.conn.transport.socket);
  // A session that began with polling is ended on its WebSocket, too.
  if (socket.conn.transport.name === "websocket") end();
  else socket.conn.once("upgrade", end);
});

http.on("upgrade", (request, connection, head) => {
  const url = new URL(request.url, "http://server");
  const serve = protocols[url.pathname];
  if (!serve) return;
  websockets.handleUpgrade(request, connection, head, (socket) => {
    socket.on("error", () => {});
    serve(socket);
    endFirst(url, socket, 200);
  });
});

http.on("listening", () => console.log(http.address().port));
http.listen(Number(process.argv[2]), "127.0.0.1");
