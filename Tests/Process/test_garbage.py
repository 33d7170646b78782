"""Garbage to every endpoint: each gets its proper error, and no other client is harmed."""

import os
import random
import socket

import pytest

from deadlines import wait_until
from raw_websocket import ConnectionEnded, RefusedHandshake, encode_frame, handshake_request, read_head

HOST = b"Host: localhost\r\n"


def first_answer(broker, request, then_end=True):
    """The status of the first answer, or None when the connection was just closed."""
    with broker.connect() as plain:
        try:
            plain.sendall(request)
            if then_end:
                plain.shutdown(socket.SHUT_WR)
            return read_head(plain)[0]
        except (ConnectionEnded, ConnectionError):
            return None


BAD_REQUESTS = {
    "no HTTP at all": (b"hello\r\n\r\n", 400),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "unknown version": (b"GET / HTTP/3.7\r\n" + HOST + b"\r\n", 505),
    "no method": (b" / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "bad method": (b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "space in the target": (b"GET /t/a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "NUL in the target": (b"GET /t/\x00 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "bytes beyond ASCII in the target": (b"GET /t/\xc3\xbc HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "target without slash": (b"GET t/a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "bad escape": (b"GET /t/%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "escape of no UTF-8": (b"GET /t/%ff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no Host": (b"GET /health/live HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET /health/live HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "space before the colon": (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
    "no colon": (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
    "empty field name": (b"GET / HTTP/1.1\r\n" + HOST + b": x\r\n\r\n", 400),
    "folded field": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400),
    "NUL in a field": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n", 400),
    "bare line feeds": (b"GET /health/live HTTP/1.1\nHost: localhost\n\n", 400),
    "bare carriage return in a field": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n", 400),
    "length and chunks": (
        b"POST /t/a HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (b"POST /t/a HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "negative length": (b"POST /t/a HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    "signed length": (b"POST /t/a HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\nx", 400),
    "length in words": (b"POST /t/a HTTP/1.1\r\n" + HOST + b"Content-Length: ten\r\n\r\n", 400),
    "length beyond 64 bits": (
        b"POST /t/a HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
    "unknown transfer coding": (b"POST /t/a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    "chunked twice": (
        b"POST /t/a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunk size in words": (
        b"POST /t/a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    "chunk size beyond 64 bits": (
        b"POST /t/a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n", 400),
    "chunk without its end": (
        b"POST /t/a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n", 400),
    "too many fields": (b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X%d: y\r\n" % n for n in range(500)) + b"\r\n",
                        431),
    "a head too long": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 20000 + b"\r\n\r\n", 431),
    "a target too long": (b"GET /" + b"y" * 20000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_every_bad_request_has_its_status(broker, bystander, name):
    request, expected = BAD_REQUESTS[name]
    assert first_answer(broker, request, then_end=False) == expected


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Sec-WebSocket-Version": "12"}, 426),
        ({"Sec-WebSocket-Version": None}, 400),
        ({"Sec-WebSocket-Version": "thirteen"}, 426),
        ({"Sec-WebSocket-Key": None}, 400),
        ({"Sec-WebSocket-Key": "too short"}, 400),
        ({"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, 400),
        ({"Connection": "keep-alive"}, 400),
        ({"Upgrade": "h2c"}, 426),
    ])
@pytest.mark.parametrize("path", ["/ws", "/s/a"])
def test_every_bad_handshake_has_its_status(broker, bystander, path, headers, status):
    with broker.connect() as plain:
        plain.sendall(handshake_request("localhost", path, headers=headers))
        found, answered, _ = read_head(plain)
    # Other upgrades are ignored, and the path answers as to plain requests.
    assert found == (200 if path == "/s/a" and "Upgrade" in headers else status)
    assert found != 426 or answered["sec-websocket-version"] == "13"


@pytest.mark.parametrize("path, status", [("/nothing", 404), ("/t/a/%23", 400), ("/health/live", 200)])
def test_a_handshake_on_another_path_gets_an_http_answer(broker, path, status):
    with pytest.raises(RefusedHandshake) as refused:
        broker.websocket(path)
    assert refused.value.status == status


@pytest.mark.parametrize("seed", range(40))
def test_random_bytes_on_a_fresh_connection(broker, bystander, seed):
    numbers = random.Random(seed)
    for _ in range(5):
        status = first_answer(broker, numbers.randbytes(numbers.randrange(1, 3000)) + b"\r\n\r\n")
        assert status == 400


@pytest.mark.parametrize("seed", range(20))
def test_a_valid_request_with_changed_bytes(broker, bystander, seed):
    numbers = random.Random(seed)
    good = (b"POST /t/mutated?retain&ttl=60 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
            b"Content-Length: 5\r\nIf-None-Match: *\r\n\r\nhello")
    for _ in range(20):
        changed = bytearray(good)
        for _ in range(numbers.randrange(1, 4)):
            changed[numbers.randrange(len(changed))] = numbers.randrange(256)
        status = first_answer(broker, bytes(changed))
        assert status is None or 100 <= status <= 505 and status != 500


@pytest.mark.parametrize("path", ["/ws", "/t/garbage", "/s/garbage"])
@pytest.mark.parametrize("seed", range(15))
def test_random_bytes_as_frames(broker, bystander, path, seed):
    numbers = random.Random(seed)
    for _ in range(5):
        websocket = broker.websocket(path)
        try:
            websocket.send_bytes(numbers.randbytes(numbers.randrange(1, 2000)))
            websocket.plain.shutdown(socket.SHUT_WR)
            ended = websocket.wait_for_end()
        except OSError:
            continue
        assert ended is None or ended[0] in (None, 1000, 1002, 1003, 1007, 1009, 4400, 4403) or 3000 <= ended[0] < 5000


@pytest.mark.parametrize("seed", range(15))
def test_random_json_over_ws(broker, bystander, seed):
    """Well-formed JSON that makes no sense: an error each, and the connection lives."""
    numbers = random.Random(seed)

    def value(depth=0):
        kind = numbers.randrange(8 if depth < 4 else 6)
        return [None, True, numbers.randrange(-2**70, 2**70), numbers.uniform(-1e300, 1e300), "",
                "".join(chr(numbers.randrange(32, 0xD7FF)) for _ in range(numbers.randrange(10))),
                [value(depth + 1) for _ in range(3)] if depth < 4 else 0,
                {str(index): value(depth + 1) for index in range(3)} if depth < 4 else 0][kind]

    session = broker.session()
    for number in range(50):
        names = [
            "filter", "topic", "data", "retain", "ttl", "ack", "encoding", "type", "ifSeq", "echo", "snapshot", "token"]
        object_ = {name: value() for name in numbers.sample(names, 4)}
        object_["op"] = numbers.choice(["subscribe", "unsubscribe", "publish", "authenticate", "ping", "nonsense"])
        session.send(id=number, **object_)
    session.send(op="ping", id="end")
    answered = set()
    while (received := session.receive()).get("id") != "end":
        assert received["op"] in ("ok", "error", "pong", "message", "live"), received
        answered.add(received.get("id"))
    assert set(range(50)) <= answered


def test_ten_thousand_tiny_fragments(broker, bystander):
    websocket = broker.topic_socket("tiny", "echo=false")
    watcher = broker.session()
    watcher.subscribe("tiny")
    middle = encode_frame(0, b"b", final=False)
    frames = [encode_frame(1, b"a", final=False), *[middle] * 10_000, encode_frame(0, b"c")]
    websocket.send_bytes(b"".join(frames))
    assert watcher.receive()["data"] == "a" + "b" * 10_000 + "c"


def test_ten_thousand_pings_at_once(broker, bystander):
    websocket = broker.websocket("/t/pinged")
    websocket.send_bytes(encode_frame(9, b"x") * 10_000)
    for _ in range(10_000):
        assert websocket.receive_frame()[1] == 10


def test_connections_that_close_at_once(broker, bystander):
    for number in range(500):
        plain = broker.connect()
        if number % 3 == 0:
            plain.sendall(b"GET /t/x")
        if number % 3 == 1:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # a reset
        plain.close()
        broker.opened.pop()


def test_garbage_on_the_admin_socket(broker, bystander):
    for payload in (os.urandom(5000), b"\r\n\r\n", b"{}\n" * 100, b""):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(60)
            plain.connect(str(broker.admin_socket))
            try:
                plain.sendall(payload)
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(65536):
                    pass
            except ConnectionError:
                pass
    assert broker.control("status").returncode == 0


def test_descriptors_and_memory_do_not_leak(broker):
    """Many connections of every kind, all gone again: as many descriptors as before."""
    def descriptors():
        return len(os.listdir(f"/proc/{broker.process.pid}/fd"))

    def use():
        for number in range(60):
            broker.websocket("/t/leak").close()
            broker.session().close()
            broker.follow("leak").close()
            first_answer(broker, b"garbage\r\n\r\n")
            broker.publish("leak", "x", "retain")
        broker.close_clients()

    use()
    before = descriptors()
    use()
    wait_until(lambda: descriptors() <= before + 2, f"the descriptors to come back to {before}", 60)
