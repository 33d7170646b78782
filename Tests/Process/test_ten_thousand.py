"""10,000 connections on one topic, one publisher at 100 messages a second for 30 s: all get all, once, in order."""

import resource
import select
import socket
import time

from raw_websocket import handshake_request

CONNECTIONS = 10_000
RATE = 100
SECONDS = 30


def frame_of(payload):
    """A server's text frame of fewer than 126 bytes."""
    return bytes([0x81, len(payload)]) + payload


def connect_all(broker, count):
    """Opens `count` topic sockets, some hundred at a time, and returns them with their answers read."""
    sockets = []
    request = handshake_request(f"127.0.0.1:{broker.port}", "/t/crowd?echo=false")
    request = request[0] if isinstance(request, tuple) else request
    while len(sockets) < count:
        batch = [socket.create_connection(("127.0.0.1", broker.port), 10) for _ in range(min(500, count - len(sockets)))]
        for plain in batch:
            plain.sendall(request)
        for plain in batch:
            head = b""
            while b"\r\n\r\n" not in head:
                received = plain.recv(4096)
                assert received, "closed during the handshake"
                head += received
            assert head.startswith(b"HTTP/1.1 101 ") and head.endswith(b"\r\n\r\n")
            plain.setblocking(False)
        sockets += batch
    return sockets


def test_every_subscriber_gets_every_message_once_in_order(start_broker):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    assert most >= CONNECTIONS + 200, "this needs more descriptors: raise the hard limit (ulimit -Hn)"
    # The machine is shared with this reader, so the broker may have to wait for it.
    broker = start_broker("limits: { pending: 8MiB, pending_age: 120s }\nkeepalive: { interval: 10m, timeout: 10m }\n")
    sockets = connect_all(broker, CONNECTIONS)
    publisher = broker.websocket("/t/crowd?echo=false")

    messages = [b"message %06d of the crowd, padded to 64 bytes %s" % (number, b"." * 18) for number in range(RATE * SECONDS)]
    # Every client gets the same bytes, so comparing them with the whole checks content, count and order.
    expected = b"".join(frame_of(message) for message in messages)
    positions = {plain.fileno(): 0 for plain in sockets}
    by_number = {plain.fileno(): plain for plain in sockets}
    poll = select.epoll()
    for number in positions:
        poll.register(number, select.EPOLLIN)

    def read_ready(patience):
        for number, _ in poll.poll(patience, 2000):
            received = by_number[number].recv(1 << 18)
            position = positions[number]
            assert received, f"closed after {position} bytes"
            assert expected.startswith(received, position), f"other bytes than expected after {position}"
            positions[number] = position + len(received)

    start, sent = time.monotonic(), 0
    while sent < len(messages):
        due = min(len(messages), int((time.monotonic() - start) * RATE) + 1)
        while sent < due:
            publisher.send_text(messages[sent].decode())
            sent += 1
        read_ready(0.002)
    deadline = time.monotonic() + 120
    while behind := [position for position in positions.values() if position < len(expected)]:
        if time.monotonic() > deadline:
            late = [plain.getsockname()[1] for plain in sockets if positions[plain.fileno()] < len(expected)]
            known = [client for client in broker.control_json("clients") if client["address"].endswith(f":{late[0]}")]
            raise AssertionError(
                f"{len(behind)} of {CONNECTIONS} have not got everything, the last is {len(expected) - min(behind)} bytes "
                f"behind; the broker knows of the first: {known}; {broker.metrics()}")
        read_ready(1)

    figures = broker.metrics()
    assert figures["broker_messages_delivered_total"] == CONNECTIONS * len(messages)
    assert figures['broker_disconnects_total{reason="slow"}'] == 0
    for plain in sockets:
        plain.close()
