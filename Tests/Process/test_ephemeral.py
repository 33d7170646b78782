"""Contract §1: ephemeral values last as long as their publishers' connections, and are then removed for all subscribers."""

import json
import signal

import pytest

from deadlines import wait_until
from raw_websocket import RefusedHandshake


def present(session, topic, data, **members):
    answer = session.request(op="publish", topic=topic, data=data, ephemeral=True, **members)
    assert (answer["op"], answer["stored"]) == ("ok", False), answer
    return answer["seq"]


def message_of(follower):
    """The next line that is a message; other lines are notices or heartbeats."""
    while True:
        line = follower.line()
        if line and "data" in (found := json.loads(line)) or line and found.get("removed"):
            return found


def ephemeral_count(broker):
    return broker.metrics()["broker_ephemeral_values"]


def test_a_wildcard_subscription_lists_the_members(broker):
    ann, bob, follower = broker.session(), broker.session(), broker.session()
    seq = present(ann, "who/ann", {"name": "Ann"})
    shown = follower.subscribe("who/+")
    assert [(message["topic"], message["data"], message["retained"]) for message in shown] == [
        ("who/ann", {"name": "Ann"}, True)]
    present(bob, "who/bob", 1)
    assert follower.expect("message", topic="who/bob", retain=True, data=1)
    answer = broker.http("GET", "/t/who/ann")
    assert (answer.status, answer.json, answer.headers["ETag"]) == (200, {"name": "Ann"}, f'"{seq}"')
    rows = broker.control_json("retained", "list", "who/#")
    assert [(row["topic"], row["ephemeral"]) for row in rows] == [("who/ann", True), ("who/bob", True)]
    assert broker.metrics()["broker_ephemeral_values"] == 2 and broker.metrics()["broker_ephemeral_bytes"] > 0
    # By a CLOSE, and without one.
    ann.websocket.send_frame(8, b"\x03\xe8")
    assert "data" not in follower.expect("message", topic="who/ann", removed=True)
    bob.close()
    assert follower.expect("message", topic="who/bob", removed=True)
    assert broker.http("GET", "/t/who/ann").status == 404 and broker.control_json("retained", "list") == []
    assert broker.metrics()["broker_ephemeral_ended_total"] == 2 and ephemeral_count(broker) == 0


def test_a_farewell_is_published(broker):
    member, follower = broker.session(), broker.session()
    follower.subscribe("#")
    lines = broker.follow("plant/#", "snapshot=false")
    present(member, "plant/1", "on", farewell={"data": {"off": True}, "type": "application/json"})
    member.close()
    assert follower.expect("message", data="on")
    will = follower.expect("message", topic="plant/1", removed=True)
    assert (will["data"], will["type"], "retain" in will) == ({"off": True}, "application/json", False)
    assert [message_of(lines).get("removed") for _ in range(2)] == [None, True]
    assert broker.http("GET", "/t/plant/1").status == 404


def test_a_topic_socket_can_publish_ephemeral_values(broker):
    follower = broker.session()
    follower.subscribe("#")
    socket = broker.websocket("/t/who/ann?ephemeral&echo=false")
    socket.send_text("here")
    assert follower.expect("message", topic="who/ann", retain=True, data="here")
    # A value on disk is not replaced, and the socket is told.
    other = broker.websocket("/t/who/bob?ephemeral&grace=0.05")
    broker.publish("who/bob", "on disk", "retain")
    assert follower.expect("message", data="on disk")
    other.send_text("x")
    assert other.receive_close() == (4400, "who/bob has a stored retained value, which no ephemeral one replaces.")
    # A will reaches topic sockets as a frame; a removal alone does not.
    listener = broker.websocket("/t/who/ann")
    assert listener.receive_text() == "here"
    socket.close()
    assert follower.expect("message", topic="who/ann", removed=True)
    member = broker.session()
    present(member, "who/ann", "again", farewell={"data": "gone"})
    member.close()
    assert [listener.receive_text() for _ in range(2)] == ["again", "gone"]
    for query in ("grace=1", "ephemeral&grace=301", "ephemeral&ttl=5", "ephemeral=maybe"):
        with pytest.raises(RefusedHandshake):
            broker.websocket(f"/t/a?{query}")


def test_a_grace_period_hides_a_reconnect(broker):
    member, follower = broker.session(), broker.session()
    follower.subscribe("who/#")
    present(member, "who/ann", 1, grace=300)
    member.close()
    present(broker.session(), "who/ann", 2, grace=300)
    follower.synchronise()
    assert [message["data"] for message in follower.waiting] == [1, 2]
    brief = broker.session()
    present(brief, "who/bob", 1, grace=0.1)
    brief.close()
    follower.waiting = []
    assert follower.expect("message", topic="who/bob", data=1)
    assert follower.expect("message", topic="who/bob", removed=True)


def test_values_of_kicked_and_evicted_clients_end(start_broker):
    broker = start_broker("keepalive: { interval: 1s, timeout: 1s }\n")
    # It is kept alive by TCP.
    lines = broker.follow("who/#")
    for name in ("kicked", "silent"):
        # Neither answers a PING.
        session = broker.session()
        present(session, f"who/{name}", 1)
        if name == "kicked":
            broker.control("clients", "kick", session.welcome["client"], "--yes")
    seen = [message_of(lines) for _ in range(4)]
    assert {message["topic"] for message in seen if message.get("removed")} == {"who/kicked", "who/silent"}


def test_ephemeral_values_are_limited(start_broker):
    broker = start_broker("limits: { ephemeral_values: 2, ephemeral_bytes: 2KiB }\n")
    session = broker.session()
    for name in ("a", "b"):
        present(session, name, "x")
    for name, data in (("c", "x"), ("a", "x" * 2000)):
        refused = session.request(op="publish", topic=name, data=data, ephemeral=True)
        assert refused["code"] == "limit-exceeded" and "limits.ephemeral_" in refused["message"]
    assert broker.metrics()["broker_ephemeral_refused_total"] == 2
    assert ephemeral_count(broker) == 2
    # Over HTTP there is no lasting connection.
    answer = broker.http("POST", "/t", body='{"topic":"d","data":1,"ephemeral":true}')
    assert answer.status == 207 and answer.json["error"]["code"] == "bad-request"


def test_a_farewell_is_no_longer_than_a_message(start_broker):
    member = start_broker("limits: { message: 1000, ephemeral_bytes: 1MiB }\n").session()
    present(member, "who/ann", 1, farewell={"data": "x" * 1000})
    refused = member.request(op="publish", topic="who/ann", data=1, ephemeral=True, farewell={"data": "x" * 1001})
    assert (refused["code"], refused["message"]) == ("too-large", "farewell: the payload is longer than the limit of 1000 bytes.")


def test_retained_delete_removes_ephemeral_values(broker):
    session = broker.session()
    for name in ("who/ann", "who/bob"):
        present(session, name, 1)
    broker.publish("who/disk", "x", "retain")
    assert len(session.subscribe("#")) == 3
    assert broker.control_json("retained", "delete", "who/#", "--yes")["deleted"] == 3
    gone = {session.expect("message", removed=True)["topic"] for _ in range(3)}
    assert gone == {"who/ann", "who/bob", "who/disk"} and ephemeral_count(broker) == 0


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_removes_them_and_announces_a_gap(start_broker, end):
    broker = start_broker('history: [{ filter: "#", messages: 1000 }]\n')
    member, follower = broker.session(), broker.session()
    start = follower.publish("room/1", "before")["seq"]
    epoch = follower.welcome["epoch"]
    present(member, "room/ann", "here")
    last = follower.publish("room/1", "after", ack="stored")["seq"]
    broker.stop() if end == signal.SIGTERM else broker.kill()
    broker.start()
    session = broker.session()
    session.send(op="subscribe", id=1, filter="room/#", since=f"{epoch}-{start}")
    answers = []
    while not answers or answers[-1]["op"] != "live":
        answers.append(session.receive())
    gap = next(answer for answer in answers if answer["op"] == "gap")
    assert gap["since"] == start
    assert [answer["data"] for answer in answers if answer["op"] == "message"] == ["after"]
    assert broker.http("GET", "/t/room/ann").status == 404 and last > start + 1


def test_a_resuming_client_misses_no_join_or_leave(start_broker):
    broker = start_broker('history: [{ filter: "#", messages: 1000 }]\n')
    follower = broker.session()
    start = follower.publish("room/1", 1)["seq"]
    follower.close()
    member = broker.session()
    present(member, "room/ann", "here")
    broker.publish("room/1", "2")
    member.close()
    wait_until(lambda: ephemeral_count(broker) == 0, "the value to go")
    session = broker.session()
    session.send(op="subscribe", id=1, filter="room/#", since=start)
    session.expect("ok")
    seen = [session.expect("message") for _ in range(3)]
    assert [(message["topic"], message.get("data"), message.get("removed")) for message in seen] == [
        ("room/ann", "here", None), ("room/1", "2", None), ("room/ann", None, True)]
    session.expect("live")
