"""RFC 7692 against the real process: negotiation, broadcasts, what is compressed and what is not, and abuse."""

import asyncio
import json
import os
import signal
import zlib

import aiohttp
import pytest
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from deadlines import wait_until
from raw_websocket import BINARY, PING, TEXT, encode_frame
from test_independent_clients import NAMES, PAYLOADS

ON = "compression: { enabled: true }\n"
AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
LONG = "again and again and " * 200


def deflate(payload, window_bits=15):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -window_bits)
    compressed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert compressed.endswith(b"\x00\x00\xff\xff")
    return compressed[:-4]


def inflate(payload, window_bits=15):
    """Inflates one message, which was compressed independently."""
    inflater = zlib.decompressobj(-window_bits)
    inflated = inflater.decompress(payload + b"\x00\x00\xff\xff") + inflater.flush()
    assert not inflater.unused_data
    return inflated


class CompressedWebSocket:
    """A raw WebSocket whose frames may have RSV1."""

    def __init__(self, broker, path, offer="permessage-deflate"):
        self.raw = broker.websocket(path, headers={"Sec-WebSocket-Extensions": offer})
        self.agreed = self.raw.headers.get("sec-websocket-extensions")

    def send(self, opcode, payload, window_bits=15, **options):
        self.raw.send_frame(opcode, deflate(payload, window_bits), reserved=4, **options)

    def receive(self):
        """(whether it was compressed, opcode, payload as received) of the next frame, which must be a whole message."""
        while not self.raw.received:
            self.raw.received += self.raw.plain.recv(1 << 18)
        # `receive_frame` knows nothing of RSV1.
        first = self.raw.received[0]
        assert first & 0xB0 == 0x80, "a whole frame, and no bit but RSV1"
        self.raw.received[0] = first & 0xBF
        _, opcode, payload = self.raw.receive_frame()
        return bool(first & 0x40), opcode, payload

    def receive_json(self):
        compressed, opcode, payload = self.receive()
        assert opcode == TEXT
        return compressed, json.loads(inflate(payload) if compressed else payload)

    def synchronise(self):
        self.raw.synchronise()


@pytest.fixture
def compressing(start_broker):
    return start_broker(ON)


# Independent peers


@pytest.mark.parametrize("payload", PAYLOADS, ids=NAMES)
def test_works_with_websockets(compressing, payload):
    async def run():
        url = compressing.websocket_url("/t/peer")
        async with websockets.connect(url, max_size=None, compression="deflate") as subscriber:
            async with websockets.connect(
                    url + "?echo=false", max_size=None, compression="deflate") as publisher:
                assert len(publisher.extensions) == 1
                for _ in range(3):
                    await publisher.send(payload)
                    assert await asyncio.wait_for(subscriber.recv(), 20) == payload
                await publisher.send([payload[:10], payload[10:20], payload[20:]])
                assert await asyncio.wait_for(subscriber.recv(), 20) == payload

    asyncio.run(run())


@pytest.mark.parametrize("server", [None, 9, 12, 15])
@pytest.mark.parametrize("client", [None, True, 9, 15])
def test_works_with_websockets_and_small_windows(compressing, server, client):
    factory = ClientPerMessageDeflateFactory(server_max_window_bits=server, client_max_window_bits=client)

    async def run():
        url = compressing.websocket_url("/t/windows")
        async with websockets.connect(url, compression=None, extensions=[factory]) as socket:
            assert len(socket.extensions) == 1
            for text in [LONG, "x" * 100_000, "", LONG]:
                await socket.send(text)
                assert await asyncio.wait_for(socket.recv(), 20) == text

    asyncio.run(run())


@pytest.mark.parametrize("payload", PAYLOADS, ids=NAMES)
def test_works_with_aiohttp(compressing, payload):
    async def run():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(compressing.url("/t/peer"), max_msg_size=0, compress=15) as socket:
                assert socket.compress == 15
                for _ in range(3):
                    if isinstance(payload, str):
                        await socket.send_str(payload)
                        assert await socket.receive_str(timeout=60) == payload
                    else:
                        await socket.send_bytes(payload)
                        assert await socket.receive_bytes(timeout=60) == payload

    asyncio.run(run())


def test_compressed_and_plain_json_sessions(compressing):
    async def run():
        url = compressing.websocket_url("/ws")
        async with websockets.connect(url) as one, websockets.connect(url, compression=None) as other:
            assert len(one.extensions) == 1 and other.extensions == []
            for socket in [one, other]:
                await socket.send(json.dumps({"op": "subscribe", "filter": "#", "snapshot": False}))
                while json.loads(await asyncio.wait_for(socket.recv(), 20))["op"] != "live":
                    pass
            await one.send(json.dumps({"op": "publish", "topic": "a", "data": LONG}))
            for socket in [one, other]:
                assert json.loads(await asyncio.wait_for(socket.recv(), 20))["data"] == LONG

    asyncio.run(run())


# Negotiation


@pytest.mark.parametrize(
    "offer, answer",
    [
        ("permessage-deflate", AGREED),
        ("permessage-deflate; client_max_window_bits", AGREED),
        ("permessage-deflate; server_max_window_bits=10", AGREED + "; server_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", AGREED),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; colour=blue", None),
        ("x-webkit-deflate-frame", None),
    ])
@pytest.mark.parametrize("path", ["/ws", "/t/a", "/s/a"])
def test_the_answer_to_an_offer(compressing, path, offer, answer):
    assert CompressedWebSocket(compressing, path, offer).agreed == answer


@pytest.mark.parametrize("path", ["/ws", "/t/a", "/s/a"])
def test_compression_is_off_by_default(broker, path):
    client = CompressedWebSocket(broker, path, "permessage-deflate; client_max_window_bits")
    assert client.agreed is None
    client.send(TEXT, b"{}")
    assert client.raw.receive_close()[0] == 1002


def test_a_reload_applies_to_new_connections(start_broker):
    broker = start_broker(ON)
    before = CompressedWebSocket(broker, "/t/reload")
    broker.config_file.write_text("compression: { enabled: false }\n")
    broker.send_signal(signal.SIGHUP)
    wait_until(lambda: CompressedWebSocket(broker, "/t/reload").agreed is None, "the new setting")
    broker.publish("reload", LONG)
    assert before.receive()[1:] == (TEXT, LONG.encode())
    before.send(TEXT, LONG.encode())
    assert before.agreed == AGREED


# What is compressed


def test_a_broadcast_is_compressed_once_for_all(compressing):
    clients = [CompressedWebSocket(compressing, "/t/all") for _ in range(20)]
    narrow = [
        CompressedWebSocket(compressing, "/t/all", f"permessage-deflate; server_max_window_bits={bits}")
        for bits in (9, 10, 14)]
    plain = compressing.topic_socket("all")
    for client in clients + narrow:
        client.synchronise()
    plain.synchronise()
    random = os.urandom(600)
    # The second half refers further back than a window of 9 bits reaches.
    text = (random + b"-" + random).hex()
    for body in [LONG, "small", text]:
        compressing.publish("all", body)
        frames = [client.receive() for client in clients]
        assert all(frame == frames[0] for frame in frames)
        compressed, opcode, payload = frames[0]
        assert (compressed, opcode) == (body != "small", TEXT)
        assert (inflate(payload) if compressed else payload) == body.encode()
        for client in narrow:
            compressed, opcode, payload = client.receive()
            assert (inflate(payload, 9) if compressed else payload) == body.encode()
        assert plain.receive_message() == (TEXT, body.encode())


def test_incompressible_messages_are_sent_uncompressed(compressing):
    client = CompressedWebSocket(compressing, "/t/noise")
    client.synchronise()
    noise = os.urandom(5000)
    compressing.publish("noise", noise, headers={"Content-Type": "application/octet-stream"})
    assert client.receive() == (False, BINARY, noise)


@pytest.mark.parametrize("size, compressed", [(299, False), (300, True)])
def test_the_minimum_applies_to_the_payload(start_broker, size, compressed):
    broker = start_broker("compression: { enabled: true, level: 9, minimum: 300 }\n")
    client = CompressedWebSocket(broker, "/t/size")
    client.synchronise()
    broker.publish("size", "x" * size)
    assert client.receive()[0] == compressed


def test_snapshots_and_live_messages_of_json(compressing):
    for name in ["a", "b"]:
        compressing.publish(f"retained/{name}", LONG, "retain")
    follower = CompressedWebSocket(compressing, "/s/retained/%23")
    for _ in range(2):
        compressed, message = follower.receive_json()
        assert compressed and message["data"] == LONG and message["retained"]
    assert follower.receive_json()[1]["op"] == "live"
    compressing.publish("retained/c", LONG)
    compressed, message = follower.receive_json()
    assert compressed and (message["topic"], message["data"]) == ("retained/c", LONG)
    session = CompressedWebSocket(compressing, "/ws")
    assert session.receive_json()[1]["op"] == "welcome"
    session.send(TEXT, json.dumps({"op": "subscribe", "filter": "retained/a"}).encode())
    compressed, message = session.receive_json()
    assert compressed and message["retained"]


def test_messages_in_fragments_with_pings_between(compressing):
    client = CompressedWebSocket(compressing, "/t/parts")
    payload = deflate(LONG.encode())
    client.raw.send_frame(TEXT, payload[:7], final=False, reserved=4)
    client.synchronise()
    client.raw.send_frame(0, payload[7:20], final=False)
    client.synchronise()
    client.raw.send_frame(0, payload[20:])
    compressed, _, received = client.receive()
    assert compressed and inflate(received) == LONG.encode()


# Abuse


VIOLATIONS = {
    "6.1 RSV1 on a ping": (encode_frame(PING, b"x", reserved=4), 1002),
    "6.1 RSV1 on a continuation": (
        encode_frame(TEXT, b"a", final=False) + encode_frame(0, b"b", reserved=4), 1002),
    "6.1 RSV2 beside RSV1": (encode_frame(TEXT, b"\x00", reserved=6), 1002),
    "7.2.2 corrupt": (encode_frame(BINARY, b"\x06", reserved=4), 1007),
    "7.2.2 cut short": (encode_frame(BINARY, deflate(LONG.encode())[:-3], reserved=4), 1007),
    "7.1.1.2 a reference to the message before": (
        encode_frame(TEXT, bytes.fromhex("f248cdc9c90700"), reserved=4)
        + encode_frame(TEXT, bytes.fromhex("f200110000"), reserved=4), 1007),
    "text that is not UTF-8": (encode_frame(TEXT, deflate(b"\xff\xfe"), reserved=4), 1007),
    "a bomb": (encode_frame(BINARY, deflate(b"\x00" * (200 << 20)), reserved=4), 1009),
    "one byte more than the limit": (encode_frame(BINARY, deflate(b"x" * ((1 << 20) + 1)), reserved=4), 1009),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_each_violation_has_its_close_code(compressing, name):
    frames, code = VIOLATIONS[name]
    client = CompressedWebSocket(compressing, "/t/abuse?echo=false")
    client.raw.send_bytes(frames)
    assert client.raw.receive_close()[0] == code
    client.raw.wait_for_end()
    assert compressing.http("GET", "/health/ready").status == 200


def test_a_message_of_exactly_the_limit_is_accepted(compressing):
    client = CompressedWebSocket(compressing, "/t/limit")
    client.send(BINARY, b"x" * (1 << 20))
    compressed, opcode, payload = client.receive()
    assert compressed and opcode == BINARY and inflate(payload) == b"x" * (1 << 20)


def test_an_idle_connection_holds_no_window(start_broker):
    broker = start_broker("compression: { enabled: true }\nreactors: { count: 1 }\n")
    first = CompressedWebSocket(broker, "/t/idle")
    first.send(TEXT, LONG.encode())
    assert first.receive()[0]
    before = broker.metrics()["process_resident_memory_bytes"]
    more = [CompressedWebSocket(broker, f"/t/idle{number}") for number in range(300)]
    for client in more:
        client.send(TEXT, LONG.encode())
        compressed, _, payload = client.receive()
        assert compressed and inflate(payload) == LONG.encode()
    # A window for each would be 300 KiB per connection.
    assert broker.metrics()["process_resident_memory_bytes"] - before < len(more) * 16384
