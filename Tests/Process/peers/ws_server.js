// node-ws as a server: sends each payload to who connects, expects it back, pings, then closes.
//   ws_server.js on|off
"use strict";

const WebSocket = require("ws");
const { payloads, check } = require("./payloads.js");

const server = new WebSocket.Server({
  host: "127.0.0.1", port: 0, perMessageDeflate: process.argv[2] === "on" ? { threshold: 0 } : false,
}, () => console.log(server.address().port));

server.on("connection", socket => {
  const waiting = [...payloads];
  let pongs = 0;
  for (const payload of payloads) socket.send(payload);
  socket.ping("between");
  socket.on("pong", data => { pongs += data.toString() === "between" ? 1 : 0; });
  socket.on("message", (data, isBinary) => {
    check(waiting.shift(), data, isBinary);
    if (waiting.length === 0) socket.close(3000, "enough");
  });
  socket.on("close", code => {
    console.log(`closed ${code}, ${waiting.length} waiting, ${pongs} pong, extensions ${socket.extensions}`);
    server.close();
  });
});
