"""More independent clients, as packaged by Debian: websocket-client, node-ws, Chromium, Firefox, curl."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import websocket

from chromium import Chromium
from deadlines import ANSWER_DEADLINE, wait_until
from firefox import Firefox
# The fixtures are found by their names.
from secure_broker import authority, identity, secure  # noqa: F401
from test_independent_clients import NAMES, PAYLOADS

PEERS = Path(__file__).with_name("peers")
ON = "compression: { enabled: true, minimum: 0 }\n"
OPCODES = {str: websocket.ABNF.OPCODE_TEXT, bytes: websocket.ABNF.OPCODE_BINARY}


def start_broker_with(start_broker, compression):
    return start_broker(ON if compression == "on" else None)


def run_node(script, *arguments):
    """Runs Debian's node-ws; node does not look for its modules by default."""
    done = subprocess.run(
        ["node", PEERS / script, *arguments], env={**os.environ, "NODE_PATH": "/usr/share/nodejs"},
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


# websocket-client


@pytest.mark.parametrize("payload", PAYLOADS, ids=NAMES)
def test_works_with_websocket_client(broker, payload):
    socket = websocket.create_connection(broker.websocket_url("/t/peer"), timeout=ANSWER_DEADLINE)
    socket.send(payload, OPCODES[type(payload)])
    opcode, received = socket.recv_data()
    assert (opcode, received) == (OPCODES[type(payload)], payload.encode() if isinstance(payload, str) else payload)
    socket.ping("alive")
    assert socket.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"alive")
    socket.close()


def test_works_with_websocket_client_in_fragments(broker):
    socket = websocket.create_connection(broker.websocket_url("/t/peer"), timeout=ANSWER_DEADLINE)
    for final, opcode, piece in [(0, 1, b"gr\xc3"), (0, 0, b"\xbc"), (1, 0, "ße".encode())]:
        socket.send_frame(websocket.ABNF(final, 0, 0, 0, opcode, 1, piece))
    assert socket.recv() == "grüße"
    socket.close()


def test_works_with_websocket_client_over_tls(secure, authority):
    options = {"ca_certs": str(authority.file)}
    socket = websocket.create_connection(
        f"wss://localhost:{secure.port}/t/peer", timeout=ANSWER_DEADLINE, sslopt=options)
    socket.send("over TLS")
    assert socket.recv() == "over TLS"
    socket.close()
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        websocket.create_connection(f"wss://localhost:{secure.port}/t/peer", timeout=ANSWER_DEADLINE)


# node-ws


@pytest.mark.parametrize("offered", ["on", "off"])
@pytest.mark.parametrize("compression", ["on", "off"])
def test_works_with_node(start_broker, compression, offered):
    broker = start_broker_with(start_broker, compression)
    said = run_node("ws_client.js", broker.websocket_url("/t/peer"), offered)
    extensions = "permessage-deflate" if compression == offered == "on" else ""
    assert said == f"closed 3000 enough, 0 waiting, 1 pong, extensions {extensions}\n"


def test_works_with_node_over_tls(secure, authority):
    said = run_node("ws_client.js", f"wss://localhost:{secure.port}/t/peer", "off", str(authority.file))
    assert said.startswith("closed 3000 enough, 0 waiting, 1 pong")


# Browsers


SCRIPT = """
(() => {
  const bytes = Uint8Array.from({ length: 70000 }, (_, index) => index * index);
  const payloads = ["", "grüße 🐘", "x".repeat(1 << 20), new Uint8Array(), bytes];
  const back = [];
  const socket = new WebSocket("URL");
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { for (const payload of payloads) socket.send(payload); };
  const isSame = (sent, came) => typeof sent === "string" ? sent === came
    : came.byteLength === sent.length && new Uint8Array(came).every((byte, index) => byte === sent[index]);
  socket.onmessage = event => {
    back.push(isSame(payloads[back.length], event.data));
    if (back.length === payloads.length) socket.close(3000, "enough");
  };
  const extensions = () => socket.extensions;
  socket.onclose = event => {
    window.outcome = JSON.stringify([back, extensions(), event.code, event.reason, event.wasClean]);
  };
})()
"""


@pytest.mark.parametrize("compression", ["on", "off"])
@pytest.mark.parametrize("kind", [Chromium, Firefox])
def test_works_with_browsers(start_broker, tmp_path, kind, compression):
    broker = start_broker_with(start_broker, compression)
    browser = kind(tmp_path)
    try:
        browser.open(broker.url("/health/live"))
        browser.wait_for_text("ok")
        browser.evaluate(SCRIPT.replace("URL", broker.websocket_url("/t/peer")))
        outcome = json.loads(wait_until(lambda: browser.evaluate("window.outcome"), "the page's WebSocket ends", 30))
    finally:
        browser.close()
    back, extensions, *end = outcome
    assert back == [True] * 5
    assert extensions.startswith("permessage-deflate") == (compression == "on")
    assert end == [3000, "enough", True]


# curl


def test_works_with_an_upgrade_by_curl(broker):
    """This curl knows no frames, but what comes after the 101 is shown as it is."""
    broker.publish("peer", "kept", "retain")
    process = subprocess.Popen(
        ["curl", "--silent", "--include", "--no-buffer", "--http1.1", "-H", "Connection: Upgrade",
         "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H",
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", broker.url("/t/peer")], stdout=subprocess.PIPE)
    try:
        said = b""
        while b"\r\n\r\n\x81\x04kept" not in said:
            more = process.stdout.read1(4096)
            assert more, said
            said += more
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert said.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in said
