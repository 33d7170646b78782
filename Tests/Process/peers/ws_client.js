// node-ws as a client: sends each payload, and expects it back; also in fragments, with a ping between.
//   ws_client.js URL on|off [CA-FILE]
"use strict";

const fs = require("fs");
const WebSocket = require("ws");
const { payloads, check } = require("./payloads.js");

const [url, compression, authority] = process.argv.slice(2);
const socket = new WebSocket(url, {
  perMessageDeflate: compression === "on" ? { threshold: 0 } : false,
  ca: authority && fs.readFileSync(authority),
});
const waiting = [];

socket.on("open", () => {
  for (const payload of payloads) {
    waiting.push(payload);
    socket.send(payload);
  }
  waiting.push("in fragments");
  socket.send("in ", { fin: false });
  socket.ping("between");
  socket.send("fragments", { fin: true });
});
let pongs = 0;
socket.on("pong", data => { pongs += data.toString() === "between" ? 1 : 0; });
socket.on("message", (data, isBinary) => {
  check(waiting.shift(), data, isBinary);
  if (waiting.length === 0) socket.close(3000, "enough");
});
socket.on("close", (code, reason) => {
  console.log(`closed ${code} ${reason}, ${waiting.length} waiting, ${pongs} pong, extensions ${socket.extensions}`);
});
socket.on("error", error => { console.log(`${error}`); process.exit(1); });
