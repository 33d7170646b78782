"""Contract §2: WebSocket /s/FILTER, read only, JSON as in §3.3 without `op`."""

import base64
import json

import pytest

from raw_websocket import ConnectionEnded, RefusedHandshake


def receive(socket):
    return json.loads(socket.receive_text())


def receive_message(socket):
    """The next message; markers such as the end of the retained part are passed over."""
    while True:
        received = receive(socket)
        if "topic" in received:
            return received


def test_messages_are_json_without_op(broker):
    socket = broker.subscription_socket("sensors/+/temp", "snapshot=false")
    answer = broker.publish("sensors/1/temp", "21.5", headers={"Content-Type": "application/json"})
    message = receive_message(socket)
    assert message["topic"] == "sensors/1/temp" and message["data"] == 21.5 and message["seq"] == answer["seq"]
    assert message["time"] > 1_600_000_000_000
    assert "op" not in message and "retained" not in message


def test_wildcards_are_percent_encoded(broker):
    socket = broker.subscription_socket("deep/#")
    for topic in ("deep", "deep/er", "deep/er/still"):
        broker.publish(topic, topic)
    assert [receive_message(socket)["data"] for _ in range(3)] == ["deep", "deep/er", "deep/er/still"]


def test_bytes_are_base64(broker):
    socket = broker.subscription_socket("bytes")
    broker.publish("bytes", b"\xff\x00", headers={"Content-Type": "application/octet-stream"})
    message = receive_message(socket)
    assert message["encoding"] == "base64" and base64.b64decode(message["data"]) == b"\xff\x00"


def test_retained_values_come_first_and_are_marked(broker):
    for number in range(3):
        broker.publish(f"kept/{number}", str(number), "retain")
    socket = broker.subscription_socket("kept/+")
    retained = [receive_message(socket) for _ in range(3)]
    assert all(message["retained"] is True for message in retained)
    assert sorted(message["topic"] for message in retained) == ["kept/0", "kept/1", "kept/2"]
    broker.publish("kept/0", "live")
    assert "retained" not in receive_message(socket)


def test_the_end_of_the_retained_part_is_marked(broker):
    broker.publish("marked", "value", "retain")
    socket = broker.subscription_socket("marked")
    assert receive(socket)["retained"] is True
    marker = receive(socket)
    assert "topic" not in marker and marker["seq"] >= 1


def test_snapshot_false_omits_retained_values(broker):
    broker.publish("kept/1", "old", "retain")
    socket = broker.subscription_socket("kept/+", "snapshot=false")
    broker.publish("kept/1", "new")
    assert receive_message(socket)["data"] == "new"


def test_a_subscription_socket_is_read_only(broker):
    socket, watcher = broker.subscription_socket("quiet"), broker.session()
    watcher.subscribe("quiet")
    socket.send_text("hello")
    with pytest.raises(ConnectionEnded) as ended:
        while True:
            socket.receive_message()
    assert ended.value.close_frame == (1003, "read only")
    watcher.synchronise()
    assert watcher.waiting == []


@pytest.mark.parametrize(
    "path, code",
    [
        ("/s/a/%23/b", "bad-filter"),
        ("/s/a+", "bad-filter"),
        ("/s/", "bad-filter"),
        ("/s/" + "x" * 1025, "bad-filter"),
        ("/s/a?since=x", "bad-request"),
        ("/s/a?slow=nonsense", "bad-request"),
    ])
def test_invalid_requests_are_refused_before_the_upgrade(broker, path, code):
    with pytest.raises(RefusedHandshake) as refused:
        broker.websocket(path)
    assert refused.value.status == 400
    assert json.loads(bytes(refused.value.body))["error"]["code"] == code


def test_slow_close_can_be_given_explicitly(broker):
    socket = broker.subscription_socket("said", "slow=close")
    broker.publish("said", "yes")
    assert receive_message(socket)["data"] == "yes"
