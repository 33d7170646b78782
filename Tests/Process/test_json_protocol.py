"""Contract §3: broker.v1.json on WebSocket /ws."""

import base64
import json
import time

import pytest

from deadlines import wait_until
from raw_websocket import BINARY, RefusedHandshake


def test_the_welcome_names_client_server_and_limits(broker):
    session = broker.session()
    assert session.welcome["client"] and session.welcome["server"]
    assert session.welcome["keepalive"] == 25
    assert session.welcome["maximumMessage"] == 1048576
    assert broker.session().welcome["client"] != session.welcome["client"]


@pytest.mark.parametrize(
    "offered, chosen",
    [((), None), (("broker.v1.json",), "broker.v1.json"), (("mqtt.x", "broker.v1.json"), "broker.v1.json")])
def test_the_subprotocol_is_echoed_when_offered(broker, offered, chosen):
    session = broker.session(subprotocols=offered)
    assert session.websocket.subprotocol == chosen
    session.synchronise()


def test_an_offer_of_only_unknown_subprotocols_is_not_echoed(broker):
    try:
        websocket = broker.websocket("/ws", subprotocols=("nobody.knows.this",))
    except RefusedHandshake as refused:
        assert refused.status == 400
        return
    assert websocket.subprotocol is None


def test_subscribe_publish_unsubscribe(broker):
    subscriber, publisher = broker.session(), broker.session()
    assert subscriber.subscribe("sensors/+/temp") == []
    before = int(time.time() * 1000)
    answer = publisher.publish("sensors/1/temp", 21.5)
    assert answer["stored"] is False
    message = subscriber.expect("message", topic="sensors/1/temp", data=21.5, seq=answer["seq"])
    assert "retained" not in message
    assert before - 1000 <= message["time"] <= int(time.time() * 1000) + 1000
    publisher.publish("sensors/1/humidity", 40)
    assert subscriber.request(op="unsubscribe", filter="sensors/+/temp")["op"] == "ok"
    publisher.publish("sensors/1/temp", 22)
    subscriber.synchronise()
    assert subscriber.waiting == []


def test_seq_increases_by_one_across_topics_and_endpoints(broker):
    session = broker.session()
    sequence = [
        session.publish("a", 1)["seq"], broker.publish("b", "2")["seq"], session.publish("c/d", 3)["seq"],
        broker.publish("a", "4", "retain")["seq"]]
    assert sequence == list(range(sequence[0], sequence[0] + 4))


@pytest.mark.parametrize(
    "value",
    [21.5, 0, -1, True, False, None, [], {}, [1, [2, {"a": None}]], {"nested": {"deep": [1.5e300]}}, "text", ""])
def test_json_values_arrive_unchanged(broker, value):
    session = broker.session()
    session.subscribe("values")
    session.publish("values", value)
    received = session.expect("message", topic="values")
    assert received["data"] == value and type(received["data"]) is type(value)


@pytest.mark.parametrize(
    "text", ["", "plain", "ü🐘", 'quotes " and \\ back', "line\nbreak\ttab", "\u2028\u2029", "\x7f"])
def test_strings_are_sent_as_text(broker, text):
    session, socket = broker.session(), broker.topic_socket("text")
    socket.synchronise()
    session.subscribe("text")
    session.publish("text", text)
    assert session.expect("message")["data"] == text
    assert socket.receive_message() == (1, text.encode())


def test_bytes_are_sent_as_base64(broker):
    session, socket = broker.session(), broker.topic_socket("bytes")
    socket.synchronise()
    session.subscribe("bytes")
    payload = bytes(range(256))
    encoded = base64.b64encode(payload).decode()
    session.publish("bytes", encoded, encoding="base64", type="image/png")
    session.expect("message", data=encoded, encoding="base64", type="image/png")
    assert socket.receive_message() == (BINARY, payload)


def test_text_from_a_topic_socket_is_a_string_even_if_it_looks_like_json(broker):
    session, socket = broker.session(), broker.topic_socket("looks")
    session.subscribe("looks")
    socket.send_text('{"a":1}')
    assert session.expect("message")["data"] == '{"a":1}'


def test_an_array_of_filters_delivers_each_message_once(broker):
    session = broker.session()
    session.subscribe(["a/#", "a/+", "a/b", "other"])
    session.publish("a/b", 1)
    session.publish("other", 2)
    assert session.expect("message")["data"] == 1
    assert session.expect("message")["data"] == 2
    session.synchronise()
    assert session.waiting == []


def test_several_objects_in_one_frame(broker):
    session = broker.session()
    session.websocket.send_text(
        '{"op":"subscribe","id":1,"filter":"many"}\n\n{"op":"publish","id":"two","topic":"many","data":2}\n'
        '{"op":"ping","id":3}\n')
    received = [session.receive() for _ in range(5)]  # and the end of the (empty) retained part
    answers = {item["id"]: item["op"] for item in received if "id" in item}
    assert answers == {1: "ok", "two": "ok", 3: "pong"}
    assert [item["data"] for item in received if item["op"] == "message"] == [2]


def test_without_an_id_success_is_silent_and_errors_are_not(broker):
    session = broker.session()
    session.send(op="publish", topic="quiet", data=1)
    session.send(op="publish", topic="bad/+", data=1)
    error = session.receive()
    assert error["op"] == "error" and error["code"] == "bad-topic" and "id" not in error
    session.synchronise()
    assert session.waiting == []


@pytest.mark.parametrize("identifier", [0, 7, -3, 9007199254740991, "text", "", 'with "quotes"'])
def test_the_id_is_returned_unchanged(broker, identifier):
    session = broker.session()
    session.send(op="ping", id=identifier)
    session.expect("pong", id=identifier)


def test_unknown_members_are_ignored(broker):
    session = broker.session()
    assert session.request(op="ping", unknown={"x": [1]})["op"] == "pong"
    session.publish("topic", 1, color="blue")


@pytest.mark.parametrize(
    "object_, code",
    [
        ({"op": "dance"}, "bad-request"),
        ({}, "bad-request"),
        ({"op": 5}, "bad-request"),
        ({"op": "subscribe"}, "bad-filter"),
        ({"op": "subscribe", "filter": 5}, "bad-request"),
        ({"op": "subscribe", "filter": []}, "bad-filter"),
        ({"op": "subscribe", "filter": "a/#/b"}, "bad-filter"),
        ({"op": "subscribe", "filter": "a+"}, "bad-filter"),
        ({"op": "subscribe", "filter": "a#"}, "bad-filter"),
        ({"op": "subscribe", "filter": ""}, "bad-filter"),
        ({"op": "subscribe", "filter": "x" * 1025}, "bad-filter"),
        ({"op": "subscribe", "filter": "a/" * 32 + "a"}, "bad-filter"),
        ({"op": "subscribe", "filter": ["good", "bad/#/bad"]}, "bad-filter"),
        ({"op": "subscribe", "filter": "a", "snapshot": "no"}, "bad-request"),
        ({"op": "subscribe", "filter": "a", "slow": "whatever"}, "bad-request"),
        ({"op": "subscribe", "filter": "a", "since": -1}, "bad-request"),
        ({"op": "subscribe", "filter": "a", "since": "x"}, "bad-request"),
        ({"op": "unsubscribe"}, "bad-filter"),
        ({"op": "publish", "data": 1}, "bad-topic"),
        ({"op": "publish", "topic": 5, "data": 1}, "bad-request"),
        ({"op": "publish", "topic": "", "data": 1}, "bad-topic"),
        ({"op": "publish", "topic": "a/+", "data": 1}, "bad-topic"),
        ({"op": "publish", "topic": "a/#", "data": 1}, "bad-topic"),
        ({"op": "publish", "topic": "a\u0000b", "data": 1}, "bad-topic"),
        ({"op": "publish", "topic": "a\u0085b", "data": 1}, "bad-topic"),
        ({"op": "publish", "topic": "x" * 1025, "data": 1}, "bad-topic"),
        ({"op": "publish", "topic": "$SYS/uptime", "data": 1}, "forbidden"),
        ({"op": "publish", "topic": "$SYS", "data": 1}, "forbidden"),
        ({"op": "publish", "topic": "a"}, "bad-request"),
        ({"op": "publish", "topic": "a", "data": 5, "encoding": "base64"}, "bad-request"),
        ({"op": "publish", "topic": "a", "data": "not base64!", "encoding": "base64"}, "bad-request"),
        ({"op": "publish", "topic": "a", "data": "", "encoding": "rot13"}, "bad-request"),
        ({"op": "publish", "topic": "a", "data": 1, "retain": "yes"}, "bad-request"),
        ({"op": "publish", "topic": "a", "data": 1, "ttl": -1}, "bad-request"),
        ({"op": "publish", "topic": "a", "data": 1, "ttl": "soon"}, "bad-request"),
        ({"op": "publish", "topic": "a", "data": 1, "ttl": 1e300}, "bad-request"),
        ({"op": "publish", "topic": "a", "data": 1, "ack": "never"}, "bad-request"),
        ({"op": "publish", "topic": "a", "data": 1, "retain": True, "ifSeq": -1}, "bad-request"),
        ({"op": "publish", "topic": "a", "data": 1, "retain": True, "ifSeq": 2**64}, "bad-request"),
        ({"op": "publish", "topic": "a", "data": 1, "retain": True, "ifSeq": 12345678}, "conflict"),
        ({"op": "publish", "topic": "a", "data": 1, "type": "line\r\nbreak"}, "bad-request"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else value,
)
def test_every_error_has_its_code(broker, object_, code):
    session = broker.session()
    answer = session.request(**object_)
    assert (answer["op"], answer["code"]) == ("error", code), answer
    assert answer["message"]
    session.synchronise()  # a mistake does not end the connection


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[1,2]", "5", '{"op":', '{"op":"ping"', '{"op":"ping",}', "{'op':'ping'}", "[" * 10000,
             '{"a":' * 10000, '{"op":"ping","op":"ping","id":1}', '{"op":"\\ud800"}'])
def test_anything_but_an_object_is_a_bad_request(broker, text):
    session = broker.session()
    session.websocket.send_text(text)
    session.send(op="ping", id="after")
    received = session.receive()
    assert received["op"] == "error" and received["code"] == "bad-request", received
    session.expect("pong", id="after")


def test_a_binary_frame_closes_with_1003(broker):
    session = broker.session()
    session.websocket.send_binary(b'{"op":"ping","id":1}')
    assert session.websocket.receive_close()[0] == 1003


def test_unsubscribing_an_unknown_filter_is_an_error(broker):
    answer = broker.session().request(op="unsubscribe", filter="never/subscribed")
    assert (answer["op"], answer["code"]) == ("error", "not-found")


def test_an_array_with_one_bad_filter_subscribes_to_none(broker):
    session = broker.session()
    assert session.request(op="subscribe", filter=["good", "bad/#/bad"])["code"] == "bad-filter"
    session.publish("good", 1)
    session.synchronise()
    assert session.waiting == []


def test_echo_false_omits_own_messages(broker):
    session, other = broker.session(), broker.session()
    session.subscribe("mine", echo=False)
    session.publish("mine", "own")
    other.publish("mine", "other's")
    session.expect("message", data="other's")


def test_snapshot_then_live(broker):
    for number in range(5):
        broker.publish(f"harness/{number}", str(number), "retain")
    session = broker.session()
    session.send(op="subscribe", id=1, filter="harness/#")
    answer = session.expect("ok", id=1)
    retained = [session.expect("message", retained=True) for _ in range(5)]
    live = session.expect("live", filter="harness/#")
    assert sorted(item["topic"] for item in retained) == [f"harness/{number}" for number in range(5)]
    assert all(item["seq"] <= answer["seq"] for item in retained) and live["seq"] == answer["seq"]
    published = broker.publish("harness/9", "live", "retain")
    message = session.expect("message", topic="harness/9", seq=published["seq"])
    assert "retained" not in message and message["seq"] > live["seq"]


def test_snapshot_false_brings_no_retained_values(broker):
    broker.publish("harness/1", "old", "retain")
    session = broker.session()
    assert session.request(op="subscribe", filter="harness/#", snapshot=False)["op"] == "ok"
    session.synchronise()
    assert [item for item in session.waiting if item["op"] == "message"] == []
    broker.publish("harness/1", "new")
    while (received := session.receive())["op"] == "live":
        pass
    assert received["data"] == "new"


def test_leading_wildcards_do_not_match_dollar_topics(broker):
    session = broker.session()
    session.subscribe(["#", "+/x"])
    broker.publish("$own/x", "hidden")
    broker.publish("seen/x", "seen")
    session.expect("message", topic="seen/x")
    session.subscribe("$own/#")
    broker.publish("$own/x", "shown")
    session.expect("message", topic="$own/x")


@pytest.mark.parametrize(
    "filter_, topic, matches",
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("a/+/c", "a//c", True),
        ("a/b", "A/b", False),
        ("#", "/", True),
    ])
def test_filters_match_as_in_mqtt(broker, filter_, topic, matches):
    session = broker.session()
    session.subscribe(filter_)
    broker.publish(topic, "asked")
    broker.publish(topic, "sentinel")
    session.synchronise()
    assert [item["topic"] for item in session.waiting] == ([topic] * 2 if matches else [])


def test_retained_messages_with_conditions(broker):
    session = broker.session()
    first = session.publish("state", "one", retain=True, ifSeq=0)
    assert first["stored"] is True
    assert session.request(op="publish", topic="state", data="no", retain=True, ifSeq=0)["code"] == "conflict"
    second = session.publish("state", "two", retain=True, ifSeq=first["seq"])
    late = session.request(op="publish", topic="state", data="no", retain=True, ifSeq=first["seq"])
    assert late["code"] == "conflict"
    assert broker.retained("state").body == b"two"
    assert second["seq"] > first["seq"]


@pytest.mark.parametrize("ack", ["routed", "stored"])
def test_the_publisher_chooses_what_an_acknowledgement_means(broker, ack):
    answer = broker.session().publish("chosen", "value", retain=True, ack=ack)
    assert answer["stored"] is (ack == "stored")
    assert broker.retained("chosen").body == b"value"


def test_an_empty_retained_payload_removes(broker):
    session = broker.session()
    session.publish("gone", "value", retain=True)
    session.subscribe("gone")
    session.publish("gone", "", retain=True)
    session.expect("message", topic="gone", removed=True)
    assert broker.retained("gone").status == 404
    assert broker.session().subscribe("gone") == []


def test_a_value_with_a_time_to_live_expires(broker):
    session = broker.session()
    session.publish("brief", "value", retain=True, ttl=4)
    assert broker.retained("brief").status == 200
    wait_until(lambda: broker.retained("brief").status == 404, "the value to expire", 60)
    assert broker.session().subscribe("brief") == []


def test_authenticate_is_answered_not_ignored(broker):
    answer = broker.session().request(op="authenticate", token="anything")
    assert answer["op"] == "error" and answer["code"] == "unauthenticated"


def test_subscribing_again_sends_the_snapshot_again_without_duplicates(broker):
    broker.publish("again", "kept", "retain")
    session = broker.session()
    assert len(session.subscribe("again")) == 1
    session.subscribe("again")
    broker.publish("again", "live")
    session.synchronise()
    assert [item["data"] for item in session.waiting] == ["live"]


def test_snapshot_and_live_messages_join_without_loss_or_duplicates(broker):
    """While one client writes as fast as it can, others subscribe: each sees every topic rise without a gap."""
    topics, rounds = 20, 40
    writer = broker.session()
    for topic in range(topics):
        writer.publish(f"seam/{topic}", 0, retain=True)
    readers = []
    for round_ in range(1, rounds + 1):
        for topic in range(topics):
            writer.send(op="publish", topic=f"seam/{topic}", data=round_, retain=True, ack="routed")
        if round_ % 4 == 0:
            reader = broker.session()
            reader.send(op="subscribe", filter="seam/#")
            readers.append(reader)
    for reader in readers:
        last, last_seq, live = {}, 0, False
        while not live or any(last.get(f"seam/{topic}") != rounds for topic in range(topics)):
            received = reader.receive()
            if received["op"] == "live":
                live = True
                last_seq = received["seq"]
                assert len(last) == topics
                continue
            topic, value = received["topic"], received["data"]
            if received.get("retained"):
                assert not live and topic not in last
            else:
                assert live, "a live message before the end marker"
                assert value == last[topic] + 1, f"{topic} went from {last[topic]} to {value}"
                assert received["seq"] > last_seq
                last_seq = received["seq"]
            last[topic] = value
