"""RFC 9112 against the broker itself: ambiguous requests are refused and closed, slow ones time out.

The requests are those of the transport's own vectors, with paths that the broker has.
"""

import json
import re
import socket
import time
from pathlib import Path

import pytest

from deadlines import ANSWER_DEADLINE
from raw_websocket import read_head

VECTORS = Path(__file__).parent.parent / "WSTransportTests" / "Vectors" / "requests.json"
REFUSALS = {400, 413, 414, 417, 431, 505}


def refused():
    """The vectors whose one answer is a refusal that closes."""
    for vector in json.loads(VECTORS.read_text()):
        if vector["ends"] and len(vector["statuses"]) == 1 and vector["statuses"][0] in REFUSALS - {413}:
            text = vector["bytes"].replace("/echo", "/t/framing").replace("/path/x", "/health/live")
            text = text.replace("/path/smuggled", "/t/smuggled").replace("/ignore", "/t/framing")
            text = text.replace("Host: h\r\n", "Host: localhost\r\n")
            yield pytest.param(text.encode("latin-1"), vector["statuses"][0], id=vector["name"])


def read_to_end(plain):
    taken = b""
    while True:
        try:
            part = plain.recv(65536)
        except ConnectionResetError:
            return taken
        if not part:
            return taken
        taken += part


@pytest.mark.parametrize("request_, status", refused())
def test_every_ambiguity_is_refused_and_closed(broker, bystander, request_, status):
    middle = len(request_) // 2
    for pieces in [[request_], [request_[:middle], request_[middle:]]]:
        plain = broker.connect()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            try:
                plain.sendall(piece)
            except ConnectionError:
                break  # The first request was enough.
        answer = read_to_end(plain)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status), answer
        assert b"\r\nConnection: close" in head and json.loads(body)["error"]["message"], answer
        assert len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)) == 1, "something behind it was taken for a request"


def test_smuggled_requests_are_not_carried_out(broker):
    session = broker.session()
    session.subscribe("#")
    smuggled = b"POST /t/smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
    for head in [b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"]:
        with broker.connect() as plain:
            plain.sendall(b"POST /t/first HTTP/1.1\r\nHost: localhost\r\n" + head + smuggled)
            assert read_head(plain)[0] == 400
    answer = broker.publish("after", "all of them")
    # The first message that arrives.
    message = session.expect("message")
    assert (message["topic"], message["seq"]) == ("after", answer["seq"])


@pytest.fixture
def impatient(start_broker):
    return start_broker("limits: { handshake_timeout: 2s, message: 16KiB }\n")


@pytest.mark.parametrize("beginning, drip", [
    (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n"), (b"GET /", b"a"), (b"\r\n", b"\r\n"),
    (b"POST /t/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n", b"a"),
    (b"POST /t/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    (b"POST /t/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a"),
])
def test_slow_requests_time_out(impatient, beginning, drip):
    """Sending byte by byte, or line by line, does not keep a connection open: the time limit is for the whole."""
    plain = impatient.connect(timeout=0.02)
    plain.sendall(beginning)
    begun = time.monotonic()
    taken = b""
    while time.monotonic() - begun < ANSWER_DEADLINE:
        try:
            part = plain.recv(65536)
            if not part:
                break
            taken += part
        except TimeoutError:
            pass
        except ConnectionResetError:
            break
        try:
            plain.sendall(drip)
        except OSError:
            pass
    else:
        raise AssertionError("still open")
    # Empty lines are not a request; a client that has begun one gets an answer.
    assert taken.startswith(b"HTTP/1.1 408 ") or beginning == b"\r\n" and taken == b"", taken


def test_unknown_methods_and_expectations_are_refused(broker):
    with broker.connect() as plain:
        plain.sendall(b"BREW /t/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status, headers, _ = read_head(plain)
        assert status == 405 and "GET" in headers["allow"]
    with broker.connect() as plain:
        plain.sendall(b"POST /t/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: 200-maybe\r\n\r\n")
        assert read_head(plain)[0] == 417


@pytest.mark.parametrize("request_bytes, status, code", [
    (b"GET /t/a HTTP/2.0\r\nHost: localhost\r\n\r\n", 505, "bad-request"),
    (b"POST /t/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: 200-maybe\r\n\r\n", 417, "bad-request"),
    (b"GET /t/" + b"a" * 20_000, 414, "too-large"),
    (b"GET /t/a HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000, 431, "too-large"),
    (b"GET /t/a HTTP/1.1\r\n\r\n", 400, "bad-request"),
], ids=["version", "expectation", "long target", "long head", "no host"])
def test_client_errors_are_not_reported_as_internal(broker, request_bytes, status, code):
    with broker.connect() as plain:
        plain.sendall(request_bytes)
        head, _, body = read_to_end(plain).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    error = json.loads(body)["error"]
    assert error["code"] == code and error["message"]


HIDDEN = b"POST /t/hidden?retain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nEVIL"


@pytest.mark.parametrize("request_line", [b"GET /s/a?poll=1", b"HEAD /s/a", b"GET /t/a", b"HEAD /t/a", b"DELETE /t/a", b"GET /health/live",
                                          b"GET /nothing", b"OPTIONS /t/a", b"GET /ws", b"POST /t/a?ttl=nonsense", b"POST /ws"])
def test_an_unread_body_is_not_parsed_as_a_request(broker, request_line):
    """A proxy that lets only GET through must not carry a POST in the body of a GET."""
    for framing, body in [(b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)),
                          (b"Content-Length: %d" % len(HIDDEN), HIDDEN)]:
        broker.publish("a", "value", "retain")
        with broker.connect() as plain:
            plain.sendall(request_line + b" HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n" + body)
            answer = read_to_end(plain)
        assert len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)) == 1, answer
        assert b"\r\nConnection: close\r\n" in answer
    assert broker.retained("hidden").status == 404


@pytest.mark.parametrize("fields", [b"Sec-WebSocket-Version: 8\r\n", b"Origin: http://evil.example\r\nSec-WebSocket-Version: 13\r\n"],
                         ids=["version", "key"])
def test_nothing_after_a_refused_upgrade_is_parsed_as_a_request(broker, fields):
    """A proxy in between may treat the connection as a tunnel by now."""
    with broker.connect() as plain:
        plain.sendall(b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + fields + b"\r\n" + HIDDEN)
        answer = read_to_end(plain)
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)) == 1, answer
    assert b"\r\nConnection: close\r\n" in answer
    assert broker.retained("hidden").status == 404


def test_a_stream_to_an_http_1_0_client_ends_with_the_connection(broker):
    """HTTP/1.0 has no chunks, and nginx speaks it to upstream servers by default."""
    broker.publish("old/kept", "1", "retain")
    for accept in (b"*/*", b"text/event-stream"):
        with broker.connect() as plain:
            plain.sendall(b"GET /s/old/%23?poll=1 HTTP/1.0\r\nConnection: keep-alive\r\nAccept: " + accept + b"\r\n\r\n")
            head, _, body = read_to_end(plain).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ") and b"\r\nConnection: close" in head and b"Transfer-Encoding" not in head, head
        (data,) = [line.removeprefix(b"data: ") for line in body.splitlines() if b'"topic"' in line]
        assert json.loads(data)["data"] == "1", body


@pytest.mark.parametrize("accept", [b"*/*", b"text/event-stream"], ids=["lines", "events"])
def test_an_http_1_0_client_can_follow(broker, accept):
    with broker.connect() as plain:
        plain.sendall(b"GET /s/old/%23 HTTP/1.0\r\nAccept: " + accept + b"\r\n\r\n")
        lines = plain.makefile("rb")
        assert lines.readline().startswith(b"HTTP/1.1 200 ")
        begun = []
        while not begun or b'"op":"live"' not in begun[-1]:
            begun.append(lines.readline())
        assert any(line.startswith(b"retry: ") for line in begun) is (accept == b"text/event-stream")
        answer = broker.publish("old/live", "now")
        message = next(line for line in lines if b'"topic"' in line)
        assert json.loads(message.removeprefix(b"data: "))["seq"] == answer["seq"]


def test_a_half_closed_client_gets_its_whole_poll(broker):
    """As `printf … | nc` does, which closes its sending half."""
    for number in range(200):
        broker.publish(f"half/{number:03}", "x" * 5000, "retain")
    with broker.connect() as plain:
        plain.sendall(b"GET /s/half/%23?poll=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        plain.shutdown(socket.SHUT_WR)
        answer = read_to_end(plain)
    assert answer.count(b'"retained":true') == 200 and answer.endswith(b"0\r\n\r\n")


def test_an_http_1_0_client_may_keep_the_connection(broker):
    with broker.connect() as plain:
        for _ in range(3):
            plain.sendall(b"GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            status, headers, rest = read_head(plain)
            assert status == 200 and headers["connection"] == "keep-alive"
            while len(rest) < int(headers["content-length"]):
                rest += plain.recv(65536)
        plain.sendall(b"GET /health/live HTTP/1.0\r\n\r\n")
        assert b"Connection: close" in read_to_end(plain)


def test_pipelined_requests_are_answered_in_order(broker):
    count = 500
    requests = b"".join(b"PUT /t/pipe/%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx" % number
                        if number % 2 else b"GET /t/pipe/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number
                        for number in range(count))
    with broker.connect() as plain:
        plain.sendall(requests)
        rest = b""
        seen = []
        for number in range(count):
            status, headers, rest = read_head(plain, rest)
            length = int(headers["content-length"])
            while len(rest) < length:
                rest += plain.recv(65536)
            body, rest = rest[:length], rest[length:]
            if number % 2:
                seen.append(json.loads(body)["seq"])
            else:
                assert status == 404
    assert seen == sorted(seen) and len(seen) == count // 2
