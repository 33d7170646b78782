"""Contract §1 as a whole: random publishers, readers on every endpoint that leave and come back, and kill -9.

A reader must know everything that was published under its filter since it first came: each message once, in rising seq. Missing
messages must lie in an announced gap, and none that was acknowledged as stored may be missing. A seed that fails is the report.
"""

import http.client
import json
import os
import random
import threading

import pytest

from deadlines import wait_until
from raw_websocket import ConnectionEnded

SEEDS = int(os.environ.get("BROKER_CHECKER_SEEDS", "4"))
CONFIG = """
reactors: { count: 3 }
history:
  - { filter: "kept/#", messages: 100000 }
  - { filter: "some/#", messages: 5 }
"""
FILTERS = ["kept/#", "kept/1", "+/1", "some/#", "some/2", "none/#", "#"]
TOPICS = [f"{kind}/{number}" for kind in ("kept", "some", "none") for number in range(3)]


def matches(filter_, topic):
    wanted, levels = filter_.split("/"), topic.split("/")
    if wanted[-1] == "#":
        return levels[:len(wanted) - 1] == wanted[:-1]
    return len(wanted) == len(levels) and all(want in ("+", level) for want, level in zip(wanted, levels))


class Publisher(threading.Thread):
    """Publishes by HTTP until it is stopped or the broker ends; records the answers."""

    def __init__(self, broker, number, seed):
        super().__init__(daemon=True)
        self.port, self.number, self.random = broker.port, number, random.Random(seed)
        self.sent = {}
        self.stored = set()
        self.isStopping = False

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        count = 0
        try:
            while not self.isStopping:
                count += 1
                topic = self.random.choice(TOPICS)
                text = f"{self.number}.{count} " + "x" * self.random.choice([0, 10, 300, 3000])
                query = self.random.choice(["", "?ack=stored", "?retain", "?retain&ack=routed"])
                connection.request("POST", f"/t/{topic}{query}", body=text)
                answer = json.loads(connection.getresponse().read())
                self.sent[answer["seq"]] = (topic, text)
                if answer["stored"]:
                    self.stored.add(answer["seq"])
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the broker was killed


class Reader(threading.Thread):
    """One connection after the other over one endpoint, each resuming where the last one ended."""

    def __init__(self, broker, filter_, way):
        super().__init__(daemon=True)
        self.broker, self.filter, self.way = broker, filter_, way
        self.first = self.position = None
        self.known, self.gaps, self.failures = [], [], []
        self.live = threading.Event()
        self.connection = None
        self.isLeaving = False

    def come(self):
        query = "snapshot=false" if self.position is None else f"since={self.position}"
        if self.way == "json":
            session = self.broker.session()
            options = {"snapshot": False} if self.position is None else {"since": self.position}
            session.send(op="subscribe", filter=self.filter, **options)
            self.connection = session
            return session.receive
        if self.way == "socket":
            self.connection = self.broker.subscription_socket(self.filter, query)
            return lambda: json.loads(self.connection.receive_text())
        headers = {"Accept": "text/event-stream"} if self.way == "events" else {}
        if self.way == "events" and self.position is not None:
            headers["Last-Event-ID"] = str(self.position)
            query = "since=0"
        follower = self.connection = self.broker.follow(self.filter, query, headers)
        assert follower.status == 200
        if self.way == "lines":
            return follower.json
        return lambda: (event := follower.event()) and json.loads(event["data"])

    def run(self):
        begun, gaps = [], []
        try:
            receive = self.come()
            while (received := receive()) is not None:
                if "topic" in received:
                    (self.known if self.live.is_set() else begun).append(received)
                    if self.live.is_set():
                        self.position = received["seq"]
                elif received["op"] == "gap":
                    (self.gaps if self.live.is_set() else gaps).append(received)
                elif received["op"] == "live":
                    # What came before the marker is only known in total.
                    self.known += begun
                    self.gaps += gaps
                    self.position = max(self.position or 0, received["seq"])
                    self.first = received["seq"] if self.first is None else self.first
                    self.live.set()
        except (ConnectionEnded, ConnectionError, TimeoutError, OSError, ValueError, http.client.HTTPException,
                AttributeError) as ended:
            if not self.isLeaving:
                self.failures.append(repr(ended))

    def leave(self):
        self.isLeaving = True
        connection = self.connection
        plain = getattr(getattr(connection, "websocket", connection), "plain", None)
        try:
            (plain or connection.connection.sock).shutdown(2)
        except (OSError, AttributeError):
            pass
        self.join(20)

    def again(self):
        """The same reader on a new connection."""
        other = Reader(self.broker, self.filter, self.way)
        other.first, other.position = self.first, self.position
        other.known, other.gaps, other.failures = self.known, self.gaps, self.failures
        other.start()
        return other

    def check(self, sent, stored):
        problems = list(self.failures)
        seqs = [message["seq"] for message in self.known]
        live = [message["seq"] for message in self.known if "retained" not in message]
        if len(seqs) != len(set(seqs)):
            problems.append(f"doubled: {sorted(seq for seq in set(seqs) if seqs.count(seq) > 1)[:5]}")
        if live != sorted(live):
            problems.append("out of order")
        for message in self.known:
            if message["seq"] in sent and (message["topic"], message["data"]) != sent[message["seq"]]:
                problems.append(f"{message['seq']} is not as it was published")
            if not matches(self.filter, message["topic"]):
                problems.append(f"{message['topic']} was not asked for")
        for seq, (topic, _) in sent.items():
            if seq <= self.first or not matches(self.filter, topic) or seq in set(seqs):
                continue
            if topic.startswith("kept/") and seq in stored:
                problems.append(f"{seq} to {topic} was acknowledged as stored and is lost")
            if not any(gap["since"] < seq <= gap["seq"] for gap in self.gaps):
                problems.append(f"{seq} to {topic} is missing and no gap says so")
        return [f"{self.filter} by {self.way} from {self.first}: {problem}" for problem in problems]


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kills", [0, 2], ids=["alive", "killed"])
def test_every_reader_gets_everything_or_a_gap(start_broker, seed, kills):
    choose = random.Random(seed * 10 + kills)
    broker = start_broker(CONFIG)
    readers = [Reader(broker, choose.choice(FILTERS), way) for way in ["json", "socket", "lines", "events"] * 2]
    for reader in readers:
        reader.start()
    for reader in readers:
        assert reader.live.wait(10), reader.failures
    publishers = []

    def publish():
        started = [Publisher(broker, len(publishers) + number, choose.random()) for number in range(3)]
        publishers.extend(started)
        for publisher in started:
            publisher.start()
        return started

    for round_ in range(kills + 3):
        running = publish()
        wait_until(lambda: sum(len(publisher.sent) for publisher in running) >= 150, "150 publications", 60)
        kill = round_ < kills
        leaving = readers if kill else choose.sample(readers, 3)
        if kill:
            for reader in readers:
                reader.isLeaving = True
            broker.kill()
            broker.start()
        else:
            for publisher in choose.sample(running, 2):
                publisher.isStopping = True
        for reader in leaving:
            reader.leave()
            readers[readers.index(reader)] = reader.again()
        for publisher in running:
            publisher.isStopping = True
            publisher.join(20)
    for reader in readers:
        assert reader.live.wait(20), (reader.filter, reader.way, reader.failures)
    for topic in TOPICS:
        last = broker.publish(topic, "end")["seq"]
        for reader in readers:
            if matches(reader.filter, topic):
                wait_until(lambda: reader.position >= last, f"{reader.filter} by {reader.way}: {reader.failures}")
    sent = {seq: what for publisher in publishers for seq, what in publisher.sent.items()}
    stored = {seq for publisher in publishers for seq in publisher.stored}
    problems = [problem for reader in readers for problem in reader.check(sent, stored)]
    for reader in readers:
        reader.leave()
    assert not problems, problems[:5]
