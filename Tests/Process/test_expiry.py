"""Contract §1: followers of a topic learn of a removal and of an expiry when it happens, over every endpoint."""

import json

import pytest

from deadlines import wait_until

CONFIG = 'history:\n  - { filter: "kept/#", messages: 100 }\n'


def lines_of(follower):
    """The next JSON line that is a message."""
    while "topic" not in (received := follower.json()):
        pass
    return received


def events_of(follower):
    """The next event that is a message, with its place."""
    while "topic" not in (received := json.loads((event := follower.event()).get("data", "{}"))):
        pass
    return received | {"id": event["id"]}


def sessions_of(session):
    while (received := session.receive())["op"] != "message":
        pass
    return {name: value for name, value in received.items() if name != "op"}


def sockets_of(socket):
    while "topic" not in (received := json.loads(socket.receive_text())):
        pass
    return received


@pytest.fixture
def ways(broker):
    """A follower of `a` over each endpoint, and a function that receives its next message."""
    session = broker.session()
    session.subscribe("a")
    followers = [session, broker.subscription_socket("a"), broker.follow("a"),
                 broker.follow("a", headers={"Accept": "text/event-stream"})]
    for follower in followers[1:]:
        # Past the marker, so that everything from here on is live.
        marker = {1: lambda: json.loads(followers[1].receive_text()), 2: followers[2].json,
                  3: lambda: {"op": followers[3].event().get("event")}}[followers.index(follower)]
        while marker().get("op") != "live":
            pass
    return list(zip([sessions_of, sockets_of, lines_of, events_of], followers))


def test_every_endpoint_reports_removal_and_expiry(broker, ways):
    socket = broker.topic_socket("a")
    epoch = broker.session().welcome["epoch"]
    broker.publish("a", "x", "retain")
    broker.http("DELETE", "/t/a")
    broker.publish("a", "", "")
    broker.publish("a", "brief", "ttl=60")
    broker.publish("a", "y", "retain&ttl=1")
    for receive, follower in ways:
        found = [receive(follower) for _ in range(6)]
        assert [message["seq"] for message in found] == [1, 2, 3, 4, 5, 6]
        if "id" in found[0]:
            assert [message.pop("id") for message in found] == [f"{epoch}-{seq}" for seq in range(1, 7)]
        marks = [{name: value for name, value in message.items() if name not in ("topic", "seq", "time")}
                 for message in found]
        expires = [marks[3].pop("expires"), marks[4].pop("expires")]
        assert marks == [{"retain": True, "data": "x"}, {"removed": True}, {"data": ""}, {"data": "brief"},
                         {"retain": True, "data": "y"}, {"removed": True, "expired": True}]
        # Lifetimes use the monotonic clock, which may differ from the time of day by some milliseconds.
        assert abs(expires[0] - found[3]["time"] - 60_000) < 500 and abs(expires[1] - found[4]["time"] - 1000) < 500
        assert found[5]["time"] > expires[1] - 500
    # Its frames are payloads: neither a removal nor an expiry is one.
    assert [socket.receive_text() for _ in range(4)] == ["x", "", "brief", "y"]
    broker.publish("a", "last")
    assert socket.receive_text() == "last"
    assert broker.retained("a").status == 404
    assert broker.metrics()["broker_expired_values_total"] == 1


def test_values_that_expired_while_stopped_are_announced_at_start(start_broker):
    broker = start_broker(CONFIG)
    set_ = broker.publish("kept/a", "x", "retain&ttl=0.2")
    broker.publish("b", "x", "retain&ttl=0.2")
    broker.stop()
    broker.start()
    session = broker.session()
    session.send(op="subscribe", filter="kept/#", since=set_["seq"])
    message = session.receive()
    while message["op"] == "live":
        message = session.receive()
    assert (message["topic"], message.get("removed"), message.get("expired")) == ("kept/a", True, True)
    wait_until(lambda: broker.metrics()["broker_retained_messages"] == 0, "both to be gone")


def test_a_thousand_simultaneous_expiries_are_all_announced(start_broker):
    broker = start_broker(CONFIG)
    session = broker.session()
    session.subscribe("many/#")
    for start in range(0, 1000, 100):
        session.websocket.send_text("\n".join(
            json.dumps({"op": "publish", "topic": f"many/{number}", "data": "x", "retain": True, "ttl": 2,
                        "ack": "routed"}) for number in range(start, start + 100)))
    gone = []
    while len(gone) < 1000:
        message = session.receive()
        if message.get("expired"):
            gone.append(message["topic"])
    assert len(set(gone)) == 1000
