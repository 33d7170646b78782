"""Contract §3.2: broker.v1.msgpack, the same objects in MessagePack, with unencoded bytes."""

import pytest

from packed_session import SUBPROTOCOL, PackedSession, pack, unpack
from raw_websocket import ConnectionEnded


def connect(broker, **options):
    websocket = broker.websocket("/ws", [SUBPROTOCOL], **options)
    assert websocket.subprotocol == SUBPROTOCOL
    return PackedSession(websocket)


BYTES = bytes(range(256)) * 300
DATA = [
    "text é", "", 0, -1, 2**40, -(2**40), 1.5, True, None, [1, [2, []]], {"a": {"b": [None, "c"]}}, "x" * 70_000,
    list(range(70_000))]


@pytest.mark.parametrize("value", DATA, ids=lambda value: str(value)[:20])
def test_the_codec_of_the_tests_round_trips(value):
    assert unpack(pack(value)) == value


@pytest.mark.parametrize("data", DATA, ids=lambda value: str(value)[:20])
def test_data_arrives_unchanged_in_both(broker, data):
    packed, plain = connect(broker), broker.session()
    packed.subscribe("a")
    plain.subscribe("a")
    packed.publish("a", data)
    assert packed.expect("message")["data"] == plain.expect("message")["data"] == data
    plain.publish("a", data)
    assert packed.expect("message")["data"] == plain.expect("message")["data"] == data


def test_bytes_need_no_base64(broker):
    packed, plain, socket = connect(broker), broker.session(), broker.websocket("/t/a")
    for session in (packed, plain):
        session.subscribe("a")
    packed.publish("a", BYTES, type="image/png")
    message = packed.expect("message", type="image/png")
    assert message["data"] == BYTES and "encoding" not in message
    assert plain.expect("message")["encoding"] == "base64"
    assert socket.receive_message() == (2, BYTES)
    # As the retained value, over HTTP, and as the farewell.
    packed.publish("kept", BYTES[:99], retain=True)
    assert broker.http("GET", "/t/kept").body == BYTES[:99]
    (value,) = connect(broker).subscribe("kept")
    assert value["data"] == BYTES[:99] and value["retained"] is True
    packed.publish("who", "x", ephemeral=True, farewell={"data": b"\0\xff"})
    other = connect(broker)
    other.subscribe("who")
    packed.close()
    assert other.expect("message", removed=True)["data"] == b"\0\xff"


def test_every_operation_works(broker):
    session = connect(broker)
    assert session.welcome["maximumMessage"] == 1 << 20
    assert session.request(op="ping", id=2**60)["op"] == "pong"
    assert session.subscribe(["s", "t/+"]) == []
    assert session.request(op="subscribe", filter="$share/x/y")["code"] == "bad-filter"
    assert session.publish("t/1", 1, retain=True)["stored"] is True
    assert session.expect("message", topic="t/1", retain=True, data=1)
    session.send(op="publish", id="r", topic="s", data=[1, 2], reply=True, headers={"n": ["a", "b"]}, correlation="c")
    session.expect("ok", id="r")
    request = session.expect("message", topic="s", headers={"n": ["a", "b"]}, correlation="c")
    session.send(op="publish", topic=request["replyTo"], data=b"\x01\x02")
    assert session.expect("reply", id="r")["data"] == b"\x01\x02"
    assert session.request(op="unsubscribe", filter="t/+")["op"] == "ok"
    assert session.request(op="authenticate", token="x")["op"] == "error"
    (row,) = [row for row in broker.control_json("clients") if row["protocol"] == SUBPROTOCOL]
    assert row["id"] == session.welcome["client"]


def test_resuming_announces_gaps(start_broker):
    broker = start_broker('history: [{ filter: "h", messages: 3 }]\n')
    for number in range(6):
        broker.publish("h", str(number), "ack=stored")
    session = connect(broker)
    session.send(op="subscribe", id=1, filter="h", since=0)
    session.expect("ok", id=1)
    assert session.expect("gap", since=0, seq=3, missed=3)
    assert [session.expect("message")["data"] for _ in range(3)] == ["3", "4", "5"]
    assert session.expect("live", seq=6)


def test_messages_are_compressed_as_in_json(start_broker):
    broker = start_broker("compression: { enabled: true, minimum: 64 }\n")
    session = connect(broker)
    session.subscribe("a")
    session.publish("a", "x" * 1000)
    assert session.expect("message")["data"] == "x" * 1000


@pytest.mark.parametrize("offered, chosen", [
    ([SUBPROTOCOL, "broker.v1.json"], SUBPROTOCOL), (["broker.v1.json", SUBPROTOCOL], "broker.v1.json"),
    (["x", SUBPROTOCOL], SUBPROTOCOL), ([f"{SUBPROTOCOL}2"], None)])
def test_the_first_known_subprotocol_is_chosen(broker, offered, chosen):
    assert broker.websocket("/ws", offered).subprotocol == chosen


def test_malformed_commands_are_refused(broker):
    session = connect(broker)
    for frame, text in ((b"\xc1", "expected a map"), (pack({"op": "ping"})[:-1], "ends too early"),
                        (pack({"op": "ping"}) * 2, "one map and nothing else"), (pack({"op": b"ping"}), "bytes"),
                        (b"\x82" + pack({"op": "ping"})[1:] * 2, 'Invalid command, as JSON: a second member "op"'),
                        (b"\x81\xa1\x61" + b"\x91" * 100 + b"\xc0", "64 levels")):
        session.websocket.send_binary(frame)
        error = session.expect("error", code="bad-request")
        assert text in error["message"] and "id" not in error
    assert session.request(op="ping")["op"] == "pong"
    session.websocket.send_text('{"op":"ping"}')
    assert session.websocket.receive_close() == (1003, "broker.v1.msgpack is binary")


def test_the_limits_of_json_apply(start_broker):
    broker = start_broker("limits: { message: 1KiB, publish_rate: 3 }\n")
    session = connect(broker)
    assert session.request(op="publish", topic="a", data=b"x" * 1025)["code"] == "too-large"
    assert session.request(op="publish", topic="a", data=b"x" * 1024)["op"] == "ok"
    codes = [session.request(op="publish", topic="a", data=number).get("code") for number in range(20)]
    assert "rate-limited" in codes
    # A frame has room for a payload that JSON would escape.
    session.websocket.send_binary(pack({"op": "publish", "topic": "a", "data": b"x" * 80_000}))
    with pytest.raises(ConnectionEnded) as ended:
        while True:
            session.receive()
    assert ended.value.close_frame[0] == 1009


def test_many_commands_do_not_starve_others(broker):
    session, other = connect(broker), broker.session()
    frame = pack({"op": "publish", "topic": "a", "data": 1})
    from raw_websocket import encode_frame
    session.websocket.send_bytes(encode_frame(2, frame) * 5000)
    assert other.request(op="ping")["op"] == "pong"
    assert session.request(op="ping")["op"] == "pong"
    assert broker.metrics()["broker_messages_published_total"] == 5000
