// What the peers of node-ws send and expect back: texts and bytes of all the sizes at which a frame's header changes.
"use strict";

const LIMIT = 1 << 20;

function bytes(count) {
  return Buffer.from(Array.from({ length: count }, (_, index) => (index * index) & 0xff));
}

const sizes = [0, 1, 125, 126, 65535, 65536, 200000];

exports.payloads = [
  ...sizes.map(count => "ü".repeat(count / 2) + "x".repeat(count % 2)),
  ...sizes.map(bytes),
  "x".repeat(LIMIT),
  bytes(LIMIT),
];

exports.check = function (expected, data, isBinary) {
  const isSame = isBinary ? typeof expected !== "string" && expected.equals(data) : data.toString() === expected;
  if (!isSame) {
    console.log(`something else came back: ${isBinary ? "bytes" : "text"}, ${data.length} long`);
    process.exit(1);
  }
};
