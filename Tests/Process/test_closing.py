"""RFC 6455 §5.5.1: after our CLOSE, no message is sent or accepted, whatever the reason. And a peer's reset does not undo
what TCP has acknowledged to it."""

import fcntl
import json
import signal
import socket
import struct
import termios
from pathlib import Path

import pytest

from deadlines import wait_until
from raw_websocket import BINARY, CLOSE, TEXT, ConnectionEnded, encode_frame, handshake_request

CONFIG = """
limits: { publish_rate: 5 }
access: { anonymous: { publish: ["others/#", "own/#"], subscribe: ["#"] } }
"""


@pytest.fixture
def broker(start_broker):
    return start_broker(CONFIG)


def subscribed(broker, topic):
    websocket = broker.websocket("/ws")
    websocket.receive_text()
    websocket.send_text(json.dumps({"op": "subscribe", "filter": topic, "snapshot": False}))
    assert json.loads(websocket.receive_text())["op"] == "live"
    return websocket


def write_to_a_read_only_socket(broker, topic):
    websocket = broker.subscription_socket(topic, "snapshot=false")
    assert json.loads(websocket.receive_text())["op"] == "live"
    websocket.send_text("x")
    return websocket, 1003


def send_bytes(broker, topic):
    websocket = subscribed(broker, topic)
    websocket.send_binary(b"x")
    return websocket, 1003


def send_broken_lines(broker, topic):
    websocket = subscribed(broker, topic)
    websocket.send_text("x\n" * 500)
    return websocket, 4400


def publish_too_fast(broker, topic):
    websocket = broker.topic_socket(topic)
    websocket.send_bytes(encode_frame(TEXT, b"x") * 50)
    return websocket, 4429


def publish_without_right(broker, topic):
    websocket = broker.topic_socket("forbidden")
    websocket.send_text("x")
    return websocket, 4403


def be_kicked(broker, topic):
    websocket = subscribed(broker, topic)
    assert broker.control("clients", "kick", "--filter", topic).returncode == 0
    return websocket, 4410


@pytest.mark.parametrize(
    "way, topic", [(write_to_a_read_only_socket, "others/1"), (send_bytes, "others/1"), (send_broken_lines, "others/1"),
                   (publish_too_fast, "own/1"), (publish_without_right, "forbidden"), (be_kicked, "others/1")])
def test_nothing_follows_a_close(broker, way, topic):
    """The peer does not answer the CLOSE yet, and others continue to publish to its subscriptions."""
    websocket, code = way(broker, topic)
    assert websocket.receive_close()[0] == code
    # Quickly, because the broker waits five seconds for the answer.
    for number in range(10):
        broker.http("POST", f"/t/{topic}", body=str(number))
    websocket.send_bytes(encode_frame(CLOSE, struct.pack("!H", code)))
    with pytest.raises(ConnectionEnded):
        while True:
            _, opcode, payload = websocket.receive_frame()
            assert opcode >= CLOSE, payload


def test_nothing_after_a_close_is_accepted(broker):
    reader = subscribed(broker, "own/1")
    writer = subscribed(broker, "own/2")
    publish = json.dumps({"op": "publish", "topic": "own/1", "data": "after the CLOSE"}).encode()
    writer.send_bytes(encode_frame(BINARY, b"x") + encode_frame(TEXT, publish))
    assert writer.receive_close()[0] == 1003
    broker.publish("own/1", "the next")
    assert json.loads(reader.receive_text())["data"] == "the next"


def test_closing_with_a_backlog_ends_subscriptions_at_once(start_broker):
    """The CLOSE waits for a reader that reads nothing, but its subscriptions end."""
    broker = start_broker("limits: { pending: 8MiB }\n")
    websocket = broker.subscription_socket("flood/#", "snapshot=false", receive_buffer=4096)
    publisher = broker.session()
    for _ in range(100):
        publisher.publish("flood/0", "x" * 32768)
    websocket.send_text("not allowed")
    wait_until(lambda: not broker.control_json("subscriptions"), "its subscription to end")


# Resets


def reset(plain):
    """Sends everything, and resets the connection once the other side's TCP has all of it."""
    unsent = lambda: struct.unpack("i", fcntl.ioctl(plain.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
    wait_until(lambda: unsent() == 0, "the other TCP to have it all")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plain.close()


def hold(broker):
    """Stops the process; returns when all its threads have stopped."""
    broker.send_signal(signal.SIGSTOP)
    threads = Path(f"/proc/{broker.process.pid}/task")
    state = lambda thread: (thread / "stat").read_text().rpartition(")")[2].split()[0]
    wait_until(lambda: all(state(thread) == "T" for thread in threads.iterdir()), "all threads to stop")


@pytest.fixture
def unlimited(start_broker):
    return start_broker()


@pytest.mark.parametrize("identified", [False, True], ids=["silent", "answered"])
def test_messages_before_a_reset_are_published(unlimited, identified):
    """Everything, including the reset, has arrived before the broker reads, even if its answers are not read."""
    reader = subscribed(unlimited, "reset/#")
    writer = subscribed(unlimited, "other")
    hold(unlimited)
    for number in range(400):
        publish = {"op": "publish", "topic": "reset/1", "data": number} | ({"id": number} if identified else {})
        writer.send_text(json.dumps(publish))
    reset(writer.plain)
    unlimited.send_signal(signal.SIGCONT)
    assert [json.loads(reader.receive_text())["data"] for _ in range(400)] == list(range(400))


def test_messages_before_a_reset_are_published_even_if_reading_was_paused(start_broker):
    """The client reads no answers: they fill its window, then half of `limits.pending`, and then the broker stops reading."""
    broker = start_broker("limits: { pending: 64KiB }\n")
    reader = subscribed(broker, "reset/#")
    writer = broker.websocket("/ws", receive_buffer=4096)
    line = json.dumps({"op": "ping", "id": "x" * 900}) + "\n"
    for _ in range(13):
        writer.send_text(line * 10)
    writer.send_text(json.dumps({"op": "publish", "topic": "reset/1", "data": "last"}))
    reset(writer.plain)
    assert json.loads(reader.receive_text())["data"] == "last"


def test_requests_before_a_reset_are_carried_out(unlimited):
    reader = subscribed(unlimited, "reset/#")
    plain = unlimited.connect()
    plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert plain.recv(65536).startswith(b"HTTP/1.1 200")
    hold(unlimited)
    for number in range(100):
        body = str(number).encode()
        plain.sendall(b"POST /t/reset/1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                      b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    reset(plain)
    unlimited.send_signal(signal.SIGCONT)
    assert [json.loads(reader.receive_text())["data"] for _ in range(100)] == list(range(100))


def test_a_handshake_and_message_before_a_reset_are_handled(unlimited):
    reader = subscribed(unlimited, "reset/#")
    plain = unlimited.connect()
    plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert plain.recv(65536).startswith(b"HTTP/1.1 200")
    hold(unlimited)
    plain.sendall(handshake_request(f"127.0.0.1:{unlimited.port}", "/t/reset/1") + encode_frame(TEXT, b"first"))
    reset(plain)
    unlimited.send_signal(signal.SIGCONT)
    assert json.loads(reader.receive_text())["data"] == "first"
