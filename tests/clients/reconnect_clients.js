// Clients that reconnect: reconnect_clients.js BASE QUERY..., with BASE like ws://127.0.0.1:80, and a query like
// `close=1001` for each set of clients, or `-` for none. Prints `CLIENT QUERY` for each greeting.
"use strict";
require("./with_parent");
const { HubConnectionBuilder, HttpTransportType, LogLevel } = require("@microsoft/signalr");
const { Centrifuge } = require("centrifuge");
const { createClient } = require("graphql-ws");
const { default: PartySocket } = require("partysocket/ws");
const { Socket: PhoenixSocket } = require("phoenix");
const ReconnectingWebSocket = require("reconnecting-websocket");
const { retry } = require("rxjs");
const { webSocket } = require("rxjs/webSocket");
const { io } = require("socket.io-client");
const WebSocket = require("ws");

globalThis.WebSocket = WebSocket;
const Sockette = require("sockette");

// Milliseconds between two attempts, as each library names it.
const DELAY = 100;

// Each client calls `greeted` for each greeting. They do what their documentation says that reconnects.
const clients = {
  rxjs(url, greeted) {
    const messages = webSocket({ url: url("/plain"), WebSocketCtor: WebSocket, deserializer: ({ data }) => data });
    messages.pipe(retry({ delay: DELAY })).subscribe({ next: greeted, error() {} });
  },
  sockette(url, greeted) {
    new Sockette(url("/plain"), { timeout: DELAY, maxAttempts: Infinity, onmessage: greeted });
  },
  "reconnecting-websocket"(url, greeted) {
    const options = { WebSocket, minReconnectionDelay: DELAY, maxReconnectionDelay: 2 * DELAY };
    new ReconnectingWebSocket(url("/plain"), [], options).onmessage = greeted;
  },
  partysocket(url, greeted) {
    const options = { WebSocket, minReconnectionDelay: DELAY, maxReconnectionDelay: 2 * DELAY };
    new PartySocket(url("/plain"), [], options).onmessage = greeted;
  },
  "graphql-ws"(url, greeted) {
    const client = createClient({
      url: url("/graphql"),
      webSocketImpl: WebSocket,
      retryAttempts: Infinity,
      retryWait: () => new Promise((resume) => setTimeout(resume, DELAY)),
      shouldRetry: () => true,
    });
    client.subscribe({ query: "subscription { greeting }" }, { next: greeted, error() {}, complete() {} });
  },
  "socket.io"(url, greeted) {
    const { origin, searchParams } = new URL(url("/"));
    const options = { query: Object.fromEntries(searchParams), reconnectionDelay: DELAY, reconnectionDelayMax: DELAY };
    io(origin, { ...options, forceNew: true }).on("greeting", greeted);
  },
  "socket.io, WebSocket only"(url, greeted) {
    const { origin, searchParams } = new URL(url("/"));
    const options = { query: Object.fromEntries(searchParams), reconnectionDelay: DELAY, reconnectionDelayMax: DELAY };
    io(origin, { ...options, forceNew: true, transports: ["websocket"] }).on("greeting", greeted);
  },
  phoenix(url, greeted) {
    const { origin, searchParams } = new URL(url("/"));
    const socket = new PhoenixSocket(`${origin}/phoenix`, {
      transport: WebSocket,
      params: Object.fromEntries(searchParams),
      reconnectAfterMs: () => DELAY,
      rejoinAfterMs: () => DELAY,
    });
    socket.connect();
    const channel = socket.channel("room");
    channel.on("greeting", greeted);
    channel.join();
  },
  signalr(url, greeted) {
    const connection = new HubConnectionBuilder()
      .withUrl(url("/signalr").replace("ws:", "http:"), {
        skipNegotiation: true,
        transport: HttpTransportType.WebSockets,
      })
      .withAutomaticReconnect({ nextRetryDelayInMilliseconds: () => DELAY })
      .configureLogging(LogLevel.None)
      .build();
    connection.on("greeting", greeted);
    connection.start().catch(() => {});
  },
  centrifuge(url, greeted) {
    const options = { websocket: WebSocket, minReconnectDelay: DELAY, maxReconnectDelay: 2 * DELAY };
    const client = new Centrifuge(url("/centrifuge"), options);
    const subscription = client.newSubscription("room");
    subscription.on("publication", greeted);
    subscription.subscribe();
    client.connect();
  },
};

const [base, ...queries] = process.argv.slice(2);
for (const query of queries) {
  for (const [name, start] of Object.entries(clients)) {
    const suffix = query === "-" ? "" : `?${query}&id=${encodeURIComponent(`${name} ${query}`)}`;
    start(
      (path) => `${base}${path}${suffix}`,
      () => console.log(`${name}|${query}`),
    );
  }
}

// A library that gives up may throw where nobody catches it.
process.on("uncaughtException", () => {});
process.on("unhandledRejection", () => {});
