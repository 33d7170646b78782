"""Contract §1: snapshot, then live, at 1 and 100,000 retained values, on every endpoint, while publishers run at full speed."""

import http.client
import json
import threading

import pytest

from deadlines import wait_until

VALUES = [1, 100_000]
CONFIG = "reactors: { count: 2 }\nlimits: { pending: 4MiB }\n"


@pytest.fixture(scope="module", params=VALUES)
def filled(request, tmp_path_factory):
    """A broker with so many retained values, all on disk."""
    from broker_process import Broker
    broker = Broker(tmp_path_factory.mktemp("seam"), CONFIG).start()
    session = broker.session()
    for start in range(0, request.param, 500):
        lines = [json.dumps({"op": "publish", "topic": f"v/{number}", "data": f"first {number}", "retain": True,
                             "ack": "routed"}) for number in range(start, min(start + 500, request.param))]
        session.websocket.send_text("\n".join(lines))
    assert session.publish("v/0", "first 0", retain=True)["stored"] is True
    session.close()
    yield broker, request.param
    broker.finish()


class Publisher(threading.Thread):
    """Replaces values until it is stopped; remembers what was acknowledged."""

    def __init__(self, broker, number, count):
        super().__init__(daemon=True)
        self.broker, self.number, self.count = broker, number, count
        self.sent, self.is_stopping, self.failure = {}, False, None

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.broker.port, timeout=60)
        step = 0
        try:
            while not self.is_stopping:
                step += 1
                topic = f"v/{(step * 7919 + self.number) % self.count}"
                kept = step % 3 != 0
                text = f"{self.number} {step}"
                connection.request("POST", f"/t/{topic}?" + ("retain&ack=routed" if kept else ""), body=text)
                seq = json.loads(connection.getresponse().read())["seq"]
                self.sent[seq] = (topic, text, kept)
        except Exception as failure:  # told by the test
            self.failure = failure


def over_json(broker, filter_):
    session = broker.session()
    session.send(op="subscribe", filter=filter_)
    return session.receive


def over_socket(broker, filter_):
    socket = broker.subscription_socket(filter_)
    return lambda: json.loads(socket.receive_text())


def over_lines(broker, filter_):
    return broker.follow(filter_).json


def over_events(broker, filter_):
    follower = broker.follow(filter_, headers={"Accept": "text/event-stream"})
    return lambda: json.loads(follower.event()["data"])


@pytest.mark.parametrize("filter_", ["v/+", "v/0"])
@pytest.mark.parametrize("way", [over_json, over_socket, over_lines, over_events])
def test_nothing_is_lost_duplicated_or_reordered(filled, way, filter_):
    broker, count = filled
    before = {message["topic"]: message for message in snapshot(broker)}
    publishers = [Publisher(broker, number, count) for number in range(3)]
    for publisher in publishers:
        publisher.start()
    wait_until(lambda: all(len(publisher.sent) >= 20 for publisher in publishers), "publishers to run")
    receive = way(broker, filter_)
    shown, position = {}, None
    while position is None:
        received = receive()
        if received.get("op") == "live":
            position = received["seq"]
        else:
            assert received["retained"] is True and received["topic"] not in shown
            shown[received["topic"]] = (received["seq"], received["data"])
    wanted = sum(len(publisher.sent) for publisher in publishers) + 100
    wait_until(lambda: sum(len(publisher.sent) for publisher in publishers) >= wanted, "publishers to go on")
    for publisher in publishers:
        publisher.is_stopping = True
        publisher.join(20)
        assert publisher.failure is None
    end = broker.publish("v/0", "end")["seq"]
    live = []
    while not live or live[-1]["seq"] != end:
        live.append(receive())
    everything = {seq: what for publisher in publishers for seq, what in publisher.sent.items()}
    due = {seq: (topic, text) for seq, (topic, text, _) in everything.items()
           if seq > position and (filter_ == "v/+" or topic == "v/0")}
    assert [message["seq"] for message in live] == sorted(due) + [end]
    assert all((message["topic"], message["data"]) == due.get(message["seq"], ("v/0", "end")) for message in live)
    values = {topic: (message["seq"], message["data"]) for topic, message in before.items()}
    for seq in sorted(everything):
        topic, text, kept = everything[seq]
        if kept and seq <= position:
            values[topic] = (seq, text)
    replaced = {topic for seq, (topic, _, kept) in everything.items() if kept and seq > position}
    for topic, value in values.items():
        # A value that is replaced while a long snapshot is read may be left out: its successor comes live.
        if filter_ == "v/+" or topic == "v/0":
            assert shown.get(topic) == value or topic in replaced and topic not in shown, topic
    assert set(shown) <= set(values)


def snapshot(broker):
    answer = broker.http("GET", "/s/v/%2B?poll=1", timeout=60)
    return [json.loads(line) for line in answer.body.splitlines() if b'"topic"' in line]


def test_a_topic_socket_gets_the_value_and_then_everything(filled):
    broker, count = filled
    publisher = Publisher(broker, 9, 1)
    publisher.start()
    wait_until(lambda: len(publisher.sent) >= 20, "it to run")
    socket = broker.topic_socket("v/0")
    first = socket.receive_text()
    publisher.is_stopping = True
    publisher.join(20)
    broker.publish("v/0", "end")
    received = [first]
    while received[-1] != "end":
        received.append(socket.receive_text())
    sent = [publisher.sent[seq] for seq in sorted(publisher.sent)]
    begin = next(index for index, (_, text, _) in enumerate(sent) if text == first)
    assert sent[begin][2], "the first is a retained value"
    following = [text for _, text, _ in sent[begin + 1:]] + ["end"]
    # Between the value and the subscription there may have been messages that are not retained.
    assert received[1:] in (following, following[1:])
