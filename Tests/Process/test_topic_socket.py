"""Contract §2: WebSocket /t/TOPIC. What goes in comes out: opcode, bytes, order."""

import json
import os
import random

import pytest

from deadlines import wait_until
from raw_websocket import (
    BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, ConnectionEnded, RefusedHandshake, encode_close, encode_frame)


def test_text_stays_text_and_binary_stays_binary(broker):
    subscriber, publisher = broker.topic_socket("room"), broker.topic_socket("room")
    subscriber.synchronise()
    publisher.send_text("grüße 🐘")
    publisher.send_binary(bytes(range(256)))
    assert subscriber.receive_message() == (TEXT, "grüße 🐘".encode())
    assert subscriber.receive_message() == (BINARY, bytes(range(256)))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 1 << 20])
def test_every_size_arrives_unchanged(broker, size):
    subscriber, publisher = broker.topic_socket("sizes"), broker.topic_socket("sizes", "echo=false")
    subscriber.synchronise()
    payload = os.urandom(size)
    publisher.send_binary(payload)
    assert subscriber.receive_message() == (BINARY, payload)


@pytest.mark.parametrize("seed", range(10))
def test_fragments_arrive_as_one_message(broker, seed):
    random_numbers = random.Random(seed)
    payload = random_numbers.randbytes(random_numbers.randrange(0, 20000))
    cuts = sorted(random_numbers.randrange(0, len(payload) + 1) for _ in range(random_numbers.randrange(1, 12)))
    subscriber, publisher = broker.topic_socket("fragments"), broker.topic_socket("fragments", "echo=false")
    subscriber.synchronise()
    edges = [0, *cuts, len(payload)]
    for index, (start, end) in enumerate(zip(edges, edges[1:])):
        publisher.send_frame(
            BINARY if index == 0 else CONTINUATION, payload[start:end], final=index == len(edges) - 2)
        publisher.send_frame(PING, b"between")  # §5.4: control frames may come between fragments
    assert subscriber.receive_message() == (BINARY, payload)


def test_a_message_sent_byte_by_byte_arrives_whole(broker):
    subscriber, publisher = broker.topic_socket("slowly"), broker.topic_socket("slowly", "echo=false")
    subscriber.synchronise()
    for byte in encode_frame(TEXT, "ü in two".encode()):
        publisher.send_bytes(bytes([byte]))
    assert subscriber.receive_message() == (TEXT, "ü in two".encode())


def test_messages_keep_their_order(broker):
    subscriber, publisher = broker.topic_socket("order"), broker.topic_socket("order", "echo=false")
    subscriber.synchronise()
    for number in range(1000):
        publisher.send_text(str(number))
    assert [subscriber.receive_text() for _ in range(1000)] == [str(number) for number in range(1000)]


def test_the_sender_gets_its_own_messages_unless_echo_is_false(broker):
    with_echo, without_echo = broker.topic_socket("echo"), broker.topic_socket("echo", "echo=false")
    with_echo.synchronise()
    without_echo.synchronise()
    with_echo.send_text("one")
    assert with_echo.receive_text() == "one"
    assert without_echo.receive_text() == "one"
    without_echo.send_text("two")
    assert with_echo.receive_text() == "two"
    with_echo.send_text("three")
    assert with_echo.receive_text() == "three"
    assert without_echo.receive_text() == "three", "its own came back"


def test_the_retained_value_comes_first(broker):
    broker.publish("state", b"\x00\xff", "retain", {"Content-Type": "application/octet-stream"}, "PUT")
    subscriber = broker.topic_socket("state")
    assert subscriber.receive_message() == (BINARY, b"\x00\xff")
    broker.publish("state", "live")
    assert subscriber.receive_message() == (TEXT, b"live")


def test_snapshot_false_omits_the_retained_value(broker):
    broker.publish("state", "old", "retain")
    subscriber = broker.topic_socket("state", "snapshot=false")
    subscriber.synchronise()
    broker.publish("state", "new")
    assert subscriber.receive_text() == "new"


def test_retain_keeps_the_last_frame_sent(broker):
    publisher = broker.topic_socket("kept", "retain&echo=false")
    publisher.send_text("first")
    publisher.send_text("last")
    watcher = broker.session()
    watcher.subscribe("kept")
    publisher.send_text("very last")
    while watcher.receive()["data"] != "very last":
        pass
    assert broker.retained("kept").body == b"very last"


def test_without_retain_nothing_is_kept(broker):
    socket = broker.topic_socket("fleeting")
    socket.send_text("gone")
    assert socket.receive_text() == "gone"
    assert broker.retained("fleeting").status == 404


@pytest.mark.parametrize("topic", ["a/b/c", "a//c", "/", "ü/ß", "with space", "a%b", "100%?&=", "x" * 1024])
def test_every_valid_topic_works(broker, topic):
    subscriber, publisher = broker.topic_socket(topic), broker.topic_socket(topic, "echo=false")
    subscriber.synchronise()
    publisher.send_text("here")
    assert subscriber.receive_text() == "here"


@pytest.mark.parametrize(
    "path, status, code",
    [
        ("/t/a/+", 400, "bad-topic"),
        ("/t/a/%23", 400, "bad-topic"),
        ("/t/", 400, "bad-topic"),
        ("/t/a%00b", 400, "bad-topic"),
        ("/t/a%0Ab", 400, "bad-topic"),
        ("/t/" + "x" * 1025, 400, "bad-topic"),
        ("/t/" + "a/" * 32 + "a", 400, "bad-topic"),
        ("/t/a?since=x", 400, "bad-request"),
    ],
)
def test_invalid_requests_are_refused_before_the_upgrade(broker, path, status, code):
    with pytest.raises(RefusedHandshake) as refused:
        broker.websocket(path)
    assert refused.value.status == status
    assert json.loads(bytes(refused.value.body))["error"]["code"] == code


@pytest.mark.parametrize("escape", ["%zz", "%C3%28", "%", "%4"])
def test_a_bad_escape_is_a_bad_request(broker, escape):
    with pytest.raises(RefusedHandshake) as refused:
        broker.websocket(f"/t/a{escape}")
    assert refused.value.status == 400


def test_nobody_publishes_to_sys(broker):
    try:
        socket = broker.topic_socket("$SYS/broker/fake")
    except RefusedHandshake as refused:
        assert refused.status == 403
        return
    socket.send_text("I am the broker")
    with pytest.raises(ConnectionEnded) as ended:
        socket.receive_message()
    assert ended.value.close_frame[0] == 4403


def test_a_close_is_answered_with_its_code(broker):
    socket = broker.topic_socket("bye")
    socket.send_bytes(encode_close(1000, b"done"))
    assert socket.receive_close()[0] == 1000
    assert socket.wait_for_end() == (1000, socket.close_frame[1])
    empty = broker.topic_socket("bye")
    empty.send_frame(CLOSE)
    assert empty.receive_close()[0] is None


def test_a_pong_echoes_the_payload_of_the_ping(broker):
    socket = broker.topic_socket("ping")
    for payload in (b"", b"x", os.urandom(125)):
        socket.send_frame(PING, payload)
        assert socket.receive_frame() == (True, PONG, payload)


def test_ttl_limits_the_lifetime_of_retained_frames(broker):
    brief, lasting = broker.topic_socket("brief", "retain&ttl=1"), broker.topic_socket("lasting", "retain")
    for publisher in (lasting, brief):
        publisher.send_text("value")
        assert publisher.receive_text() == "value"
    wait_until(lambda: broker.retained("brief").status == 404, "the value to expire")
    assert broker.retained("lasting").body == b"value"


@pytest.mark.parametrize("path, name", [("/t/a", "broker.topic.v1"), ("/s/a", "broker.subscription.v1"), ("/ws", "broker.v1.json")])
def test_each_socket_has_a_subprotocol(broker, path, name):
    """A browser that offers a name and gets none back fails."""
    assert broker.websocket(path, subprotocols=("other", name)).subprotocol == name
    assert broker.websocket(path, subprotocols=("other",)).subprotocol is None
    assert broker.websocket(path).subprotocol is None


HISTORY = 'history: [{ filter: "chat/#", messages: 5 }]\n'


@pytest.mark.parametrize("since, brought", [
    ("{seq}", ["5", "6", "7"]), ("{epoch}-{seq}", ["5", "6", "7"]), ("-2", ["6", "7"]), ("latest", ["7"]),
    ("all", ["3", "4", "5", "6", "7"]), ("1h", ["3", "4", "5", "6", "7"]), ("1", ["3", "4", "5", "6", "7"])])
def test_since_sends_history_and_then_live_frames(start_broker, since, brought):
    broker = start_broker(HISTORY)
    epoch = broker.session().welcome["epoch"]
    seqs = [broker.publish("chat/a", str(number), "ack=stored")["seq"] for number in range(8)]
    other = broker.topic_socket("chat/a", f"since={since.format(epoch=epoch, seq=seqs[4])}")
    frames = [other.receive_text() for _ in brought]
    broker.publish("chat/b", "another topic's")
    broker.publish("chat/a", b"\0\xff", headers={"Content-Type": "application/octet-stream"})
    assert frames == brought and other.receive_message() == (BINARY, b"\0\xff")


def test_since_with_a_retained_value_sends_each_frame_once(start_broker):
    broker = start_broker(HISTORY)
    first = broker.publish("chat/a", "1")["seq"]
    broker.publish("chat/a", "2", "retain")
    broker.publish("chat/a", "3")
    for query in (f"since={first}", "since=-2", f"since={first}&snapshot=false"):
        socket = broker.topic_socket("chat/a", query)
        assert [socket.receive_text() for _ in range(2)] == ["2", "3"]
        socket.synchronise()
