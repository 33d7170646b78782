"""Contract §1, §3.4: history rules, `since` on every endpoint, gaps, and the effect of a restart."""

import json

import pytest

from deadlines import wait_until
from raw_websocket import ConnectionEnded

CONFIG = """
reactors: { count: 2 }
history:
  - { filter: "chat/#", messages: 1000 }
  - { filter: "short/#", messages: 3 }
  - { filter: "brief/#", age: 4s }
"""
EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture
def broker(start_broker):
    return start_broker(CONFIG)


def collect(receive):
    """(messages, gaps, position) up to the live marker; `receive` gives the next object."""
    messages, gaps = [], []
    while True:
        received = receive()
        if "topic" in received:
            messages.append(received)
        elif received["op"] == "gap":
            gaps.append(received)
        elif received["op"] == "live":
            return messages, gaps, received["seq"]


class OverJSON:
    """Resumes a filter over one endpoint; `receive` returns objects, and None at the end."""

    def __init__(self, broker, filter_, since):
        self.session = broker.session()
        self.session.send(op="subscribe", filter=filter_, since=since)

    def receive(self):
        return self.session.receive()


class OverSocket:
    def __init__(self, broker, filter_, since):
        self.socket = broker.subscription_socket(filter_, f"since={since}")

    def receive(self):
        return json.loads(self.socket.receive_text())


class OverLines:
    def __init__(self, broker, filter_, since):
        self.follower = broker.follow(filter_, f"since={since}")

    def receive(self):
        return self.follower.json()


class OverEvents:
    def __init__(self, broker, filter_, since):
        self.epoch = broker.session().welcome["epoch"]
        self.follower = broker.follow(filter_, "since=0", headers={**EVENTS, "Last-Event-ID": f"{self.epoch}-{since}"})

    def receive(self):
        event = self.follower.event()
        message = json.loads(event["data"])
        is_place = message.get("op") != "gap" and "retained" not in message
        assert event.get("id") == (f"{self.epoch}-{message['seq']}" if is_place else None)
        return message


WAYS = [OverJSON, OverSocket, OverLines, OverEvents]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("filter_", ["chat/a", "chat/+", "chat/#"])
def test_missed_messages_come_in_order_before_new_ones(broker, way, filter_):
    sent = [broker.publish(f"chat/{'ab'[number % 2]}", str(number))["seq"] for number in range(200)]
    since = sent[50]
    resumed = way(broker, filter_, since)
    messages, gaps, position = collect(resumed.receive)
    wanted = [(seq, str(number)) for number, seq in enumerate(sent)
              if seq > since and (filter_ != "chat/a" or number % 2 == 0)]
    assert [(message["seq"], message["data"]) for message in messages] == wanted
    assert gaps == [] and position >= sent[-1] and not any("retained" in message for message in messages)
    after = broker.publish("chat/a", "new")
    received = resumed.receive()
    assert (received["seq"], received["data"]) == (after["seq"], "new")


def test_a_topic_socket_resumes(broker):
    sent = [broker.publish("chat/a", f"text {number}")["seq"] for number in range(5)]
    broker.publish("chat/a", b"\x00\xff", headers={"Content-Type": "application/octet-stream"})
    socket = broker.topic_socket("chat/a", f"since={sent[2]}")
    assert [socket.receive_message() for _ in range(3)] == [(1, b"text 3"), (1, b"text 4"), (2, b"\x00\xff")]
    broker.publish("chat/a", "live")
    assert socket.receive_text() == "live"


@pytest.mark.parametrize("way", WAYS)
def test_messages_removed_by_a_limit_are_announced_with_their_count(broker, way):
    before = broker.publish("elsewhere", "x")["seq"]
    sent = [broker.publish("short/a", str(number), "ack=stored")["seq"] for number in range(10)]
    messages, gaps, _ = collect(way(broker, "short/a", before).receive)
    assert [message["seq"] for message in messages] == sent[-3:]
    assert [(gap["since"], gap["seq"], gap.get("missed")) for gap in gaps] == [(before, sent[6], 7)]
    assert gaps[0]["filter"] == "short/a"
    messages, gaps, _ = collect(way(broker, "short/#", sent[6]).receive)
    assert [message["seq"] for message in messages] == sent[-3:] and gaps == []


@pytest.mark.parametrize("way", WAYS)
def test_without_a_rule_a_gap_and_newer_values_are_sent(broker, way):
    broker.publish("plain/old", "old", "retain")
    since = broker.publish("plain/x", "missed")["seq"]
    new = broker.publish("plain/new", "new", "retain")["seq"]
    messages, gaps, _ = collect(way(broker, "plain/#", since).receive)
    assert [(gap["since"], gap.get("missed")) for gap in gaps] == [(since, None)] and gaps[0]["seq"] >= new
    assert [(message["data"], message.get("retained")) for message in messages] == [("new", True)]


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_missed_nothing_gets_only_the_marker(broker, way):
    broker.publish("chat/a", "kept", "retain")
    since = broker.publish("chat/b", "x")["seq"]
    messages, gaps, position = collect(way(broker, "chat/#", since).receive)
    assert (messages, gaps) == ([], []) and position >= since


def test_positions_carry_an_epoch(broker):
    session = broker.session()
    epoch = session.welcome["epoch"]
    sent = [broker.publish("chat/a", str(number), "retain" if number == 1 else "")["seq"] for number in range(3)]
    answer = session.request(op="subscribe", filter="chat/#", since=f"{epoch}-{sent[0]}")
    assert answer["epoch"] == epoch and answer["seq"] >= sent[-1]
    messages, gaps, _ = collect(session.receive)
    assert [message["seq"] for message in messages] == sent[1:] and gaps == []
    for stranger in [f"{epoch % 1000 + 1}-{sent[0]}", sent[-1] + 100_000]:
        other = broker.session()
        other.send(op="subscribe", filter="chat/#", since=stranger)
        messages, gaps, _ = collect(other.receive)
        assert [gap["since"] for gap in gaps] == [0] and gaps[0]["seq"] >= sent[-1]
        assert [(message["data"], message["retained"]) for message in messages] == [("1", True)]


def test_the_answer_says_that_a_kept_message_is_on_disk(broker):
    assert broker.publish("chat/a", "x", "ack=stored")["stored"] is True
    assert broker.publish("chat/a", "x")["stored"] is False
    assert broker.publish("plain", "x", "ack=stored")["stored"] is False
    session = broker.session()
    assert session.publish("chat/a", 1, ack="stored")["stored"] is True
    assert session.publish("chat/a", 1, ack="routed")["stored"] is False


def test_everything_survives_a_clean_restart(broker):
    sent = [broker.publish("chat/a", str(number))["seq"] for number in range(50)]
    broker.stop()
    broker.start()
    messages, gaps, _ = collect(OverJSON(broker, "chat/#", sent[9]).receive)
    assert [message["seq"] for message in messages] == sent[10:] and gaps == []


def test_acknowledged_messages_survive_a_kill(broker):
    sent = [broker.publish("chat/a", str(number), "ack=stored")["seq"] for number in range(50)]
    mark = broker.data / "broker.mdb-kept"
    wait_until(lambda: any(mark.read_bytes()[:8]), "the note that everything is on disk")
    # Neither of these is kept in the history.
    broker.publish("plain", "x")
    broker.publish("value", "x", "retain")
    broker.kill()
    broker.start()
    messages, gaps, position = collect(OverJSON(broker, "chat/#", sent[9]).receive)
    assert [message["seq"] for message in messages] == sent[10:] and gaps == []
    messages, gaps, _ = collect(OverJSON(broker, "chat/#", 0).receive)
    assert [message["seq"] for message in messages] == sent and gaps == []
    new = broker.publish("chat/a", "new", "ack=stored")["seq"]
    messages, gaps, _ = collect(OverJSON(broker, "chat/#", position).receive)
    assert [message["seq"] for message in messages] == [new] and gaps == []


def test_possible_losses_after_a_kill_are_announced(broker):
    sent = broker.publish("chat/a", "x", "ack=stored")["seq"]
    mark = broker.data / "broker.mdb-kept"
    wait_until(lambda: any(mark.read_bytes()[:8]), "the note that everything is on disk")
    broker.publish("chat/a", "y")
    broker.kill()
    # As after a kill before the next mark.
    mark.write_bytes(bytes(8) + mark.read_bytes()[8:])
    broker.start()
    _, gaps, position = collect(OverJSON(broker, "chat/#", sent).receive)
    assert len(gaps) == 1 and sent < gaps[0]["seq"] <= position and "missed" not in gaps[0]


def test_old_messages_are_removed_without_traffic(broker):
    since = broker.publish("plain", "x")["seq"]
    broker.publish("brief/a", "gone soon", "ack=stored")
    assert broker.metrics()["broker_history_messages"] == 1
    wait_until(lambda: broker.metrics()["broker_history_messages"] == 0, "the message to be too old")
    messages, gaps, _ = collect(OverJSON(broker, "brief/a", since).receive)
    assert messages == [] and len(gaps) == 1


def test_expired_values_leave_the_store_without_traffic(broker):
    for number in range(20):
        broker.publish(f"short-lived/{number}", "x", "retain&ttl=6")
    assert broker.metrics()["broker_retained_messages"] == 20
    wait_until(lambda: broker.metrics()["broker_retained_messages"] == 0, "the values to be gone")


def test_rules_are_reloaded(start_broker):
    broker = start_broker("history: []\n")
    since = broker.publish("chat/a", "before")["seq"]
    broker.config_file.write_text('history:\n  - { filter: "chat/#", messages: 5 }\n')
    printed = len(broker.lines)
    broker.send_signal(1)
    broker.wait_for_line("settings reloaded", since=printed)
    session = broker.session()
    wait_until(lambda: session.publish("chat/a", "now", ack="stored")["stored"], "the rule to count")
    messages, gaps, _ = collect(OverJSON(broker, "chat/#", since).receive)
    assert len(messages) >= 1 and len(gaps) <= 1


@pytest.mark.parametrize("query, word", [("since=x", "since"), ("since=-0", "since"), ("since=10y", "since"), ("since=1-2-3", "since"),
                                         ("slow=never", "slow")])
@pytest.mark.parametrize("path", ["/s/a", "/t/a"])
def test_every_invalid_parameter_is_named(broker, path, query, word):
    from raw_websocket import RefusedHandshake
    with pytest.raises(RefusedHandshake) as refused:
        broker.websocket(f"{path}?{query}")
    assert refused.value.status == 400 and word.encode() in refused.value.body
    answer = broker.http("GET", f"/s/a?{query}")
    assert (answer.status, answer.error_code) == (400, "bad-request")


def test_brokerctl_resumes(broker):
    sent = [broker.publish("chat/a", str(number))["seq"] for number in range(5)]
    done = broker.control("sub", "chat/#", "--since", str(sent[1]), "--count", "3")
    assert done.returncode == 0 and done.stdout.split() == b"chat/a 2 chat/a 3 chat/a 4".split()
    assert broker.control("sub", "chat/#", "--since", "soon").returncode == 64


def test_a_long_history_is_sent_at_the_readers_pace(start_broker):
    broker = start_broker("history:\n  - { filter: \"log/#\", messages: 100000 }\nlimits: { pending: 64KiB }\n")
    session = broker.session()
    for number in range(2000):
        session.send(op="publish", topic=f"log/{number % 3}", data=f"{number} " + "x" * 2000)
    session.publish("log/end", "end", ack="stored")
    reader = broker.websocket("/s/log/%23?since=0", receive_buffer=8192)
    numbers = []
    while True:
        received = json.loads(reader.receive_text())
        if received.get("op") == "live":
            break
        numbers.append(received["data"].split()[0])
    assert numbers == [str(number) for number in range(2000)] + ["end"]
    broker.publish("log/0", "live")
    try:
        assert json.loads(reader.receive_text())["data"] == "live"
    except ConnectionEnded as ended:
        raise AssertionError(f"closed: {ended.close_frame}") from None


# Requests for history without a position


def over_json(broker, filter_, since):
    session = broker.session()
    session.send(op="subscribe", filter=filter_, since=since)
    return session.receive


def over_socket(broker, filter_, since):
    socket = broker.subscription_socket(filter_, f"since={since}")
    return lambda: json.loads(socket.receive_text())


def over_lines(broker, filter_, since):
    return broker.follow(filter_, f"since={since}").json


def over_events(broker, filter_, since):
    follower = broker.follow(filter_, f"since={since}", headers=EVENTS)

    def receive():
        while "data" not in (event := follower.event()):
            pass
        found = json.loads(event["data"])
        assert found.get("retained") or event["id"].endswith(f"-{found['seq']}")
        return found
    return receive


WAYS = [over_json, over_socket, over_lines, over_events]


def brought(way, broker, filter_, since):
    """[(topic, seq, retained)], without gaps."""
    messages, gaps, _ = collect(way(broker, filter_, since))
    assert gaps == []
    return [(message["topic"], message["seq"], message.get("retained", False)) for message in messages]


@pytest.mark.parametrize("way", WAYS)
def test_the_last_messages_of_each_topic_come_in_order(broker, way):
    topics = ["chat/a", "chat/b", "chat/a", "other", "chat/a", "chat/b", "chat/c/d"]
    for topic in topics:
        broker.publish(topic, "x")
    broker.publish("chat/a", "y", "ack=stored")
    numbered = list(enumerate([*topics, "chat/a"], start=1))
    chat = [(topic, seq, False) for seq, topic in numbered if topic != "other"]
    assert brought(way, broker, "chat/#", "-2") == [
        message for message in chat if message[1] in (2, 5, 6, 7, 8)]
    assert brought(way, broker, "chat/#", "latest") == [message for message in chat if message[1] in (6, 7, 8)]
    assert brought(way, broker, "chat/a", "-3") == [message for message in chat if message[1] in (3, 5, 8)]
    assert brought(way, broker, "chat/+", "all") == [message for message in chat if message[0] != "chat/c/d"]
    assert brought(way, broker, "chat/#", "10m") == chat
    assert brought(way, broker, "chat/#", "0s") == []
    assert brought(way, broker, "other", "all") == []


def test_other_retained_values_come_first(broker):
    broker.publish("chat/old", "x", "retain")
    broker.publish("plain", "x", "retain")
    for _ in range(3):
        broker.publish("chat/old", "y")
    broker.publish("chat/new", "z", "retain")
    assert brought(over_json, broker, "#", "-2") == [
        ("chat/old", 1, True), ("plain", 2, True), ("chat/old", 4, False), ("chat/old", 5, False), ("chat/new", 6, False)]
    assert brought(over_json, broker, "#", "all") == [
        ("plain", 2, True), ("chat/old", 1, False), ("chat/old", 3, False), ("chat/old", 4, False), ("chat/old", 5, False),
        ("chat/new", 6, False)]


def test_nothing_is_lost_between_history_and_live_messages(broker):
    publisher = broker.session()
    for number in range(3000):
        publisher.send(op="publish", topic=f"chat/{number % 50}", data=number)
        if number == 1500:
            receive = over_json(broker, "chat/#", "-5")
    publisher.publish("chat/end", "end")
    seen = []
    while (received := receive()).get("data") != "end":
        if "topic" in received:
            seen.append(received["seq"])
    assert seen == list(range(seen[0], 3001)) and len(seen) >= 1499


def test_a_poll_gets_the_last_messages(broker):
    for number in range(5):
        broker.publish("chat/a", str(number), "ack=stored")
    follower = broker.follow("chat/a", "poll=1&since=-2")
    assert [follower.json()["data"] for _ in range(2)] == ["3", "4"] and follower.json() is None


def test_messages_of_another_subscription_are_not_repeated(broker):
    session = broker.session()
    session.publish("chat/a", "before", ack="stored")
    session.subscribe("chat/a", snapshot=False)
    session.expect("live")
    session.publish("chat/a", "live", ack="stored")
    session.expect("message", data="live")
    session.send(op="subscribe", filter="chat/#", since="all")
    session.expect("message", data="before")
    session.expect("live", filter="chat/#")


def test_too_many_last_messages_leave_a_gap(start_broker):
    broker = start_broker('history:\n  - { filter: "#", messages: 20000 }\n')
    session = broker.session()
    for start in range(0, 12_000, 1000):
        session.websocket.send_text("\n".join(
            json.dumps({"op": "publish", "topic": f"t/{number % 10}", "data": number}) for number in range(start, start + 1000)))
    session.publish("t/0", "last", ack="stored")
    messages, gaps, _ = collect(over_json(broker, "t/#", "-20000"))
    assert [message["seq"] for message in messages] == list(range(2002, 12_002))
    assert gaps == [{"op": "gap", "filter": "t/#", "since": 0, "seq": 2001}]
