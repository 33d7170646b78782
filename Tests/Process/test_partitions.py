"""Two brokers on two engines: each partition has its own order, positions have two parts, and one engine fails alone."""

import json
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from broker_process import Broker, finish_all
from client_peers import NodeClient, PythonClient
from cluster_rig import FIGURES, RULES, at_once, is_ready
from command_line import BROKERCTL, run_brokerd
from deadlines import ANSWER_DEADLINE, wait_until
from redis_rig import Engine

HISTORY = 'history:\n  - { filter: "#", messages: 10000 }\n'
COUNT = 2


class Partitions:
    """Two brokers of a cluster with two partitions."""

    def __init__(self, directory, engines):
        self.engines = engines
        lines = "".join("    -" + engine.settings[3:].replace("\n    ", "\n      ") for engine in engines)
        self.settings = f"  name: test\n  partitions: {COUNT}\n  engines:\n{lines}"
        self.directory = directory
        self.brokers = [self.make(name) for name in "ab"]

    def make(self, name):
        return Broker(self.directory / name, f"cluster:\n  node: {name}\n{self.settings}{HISTORY}{RULES}{FIGURES}")

    def start(self):
        self.brokers[0].start()
        wait_until(lambda: is_ready(self.brokers[0]), "the first broker")
        # So that there is one topic of each partition.
        names = {}
        for letter in "abcdefghijklmnop":
            seq = self.brokers[0].publish(f"{letter}/start", "x", "retain")["seq"]
            names.setdefault(seq % COUNT, letter)
        self.names = [names[partition] for partition in range(COUNT)]
        self.brokers[1].start()
        for broker in self.brokers:
            wait_until(lambda broker=broker: is_ready(broker), "a broker that is ready")
        return self

    def states(self, broker):
        # Its exit status says whether the broker is ready.
        answer = json.loads(broker.control("cluster", "--json").stdout)
        return [partition["state"] for partition in answer["partitions"]]


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    engines = []
    try:
        for number in range(COUNT):
            engines.append(Engine(tmp_path_factory.mktemp(f"engine{number}")))
        yield engines
    finally:
        for engine in engines:
            engine.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, engines):
    cluster = Partitions(tmp_path_factory.mktemp("brokers"), engines)
    try:
        yield cluster.start()
    finally:
        finish_all(cluster.brokers)


@pytest.fixture
def cluster(shared, request):
    request.node.brokers = shared.brokers
    for broker in shared.brokers:
        wait_until(lambda broker=broker: is_ready(broker), "a broker that is ready")
    yield shared
    for broker in shared.brokers:
        broker.close_clients()


class Reader:
    """A client that follows docs/protocol.md: it keeps a number for each partition, and resumes with these."""

    def __init__(self):
        self.parts, self.messages, self.epoch = None, [], None

    def come(self, broker, filter_):
        self.session = broker.session()
        self.epoch = self.session.welcome["epoch"]
        options = {"snapshot": False, "slow": "drop-oldest"}
        if self.parts:
            options["since"] = f"{self.epoch}-" + ",".join(f"{place}:{seq}" for place, seq in enumerate(self.parts))
        self.session.send(op="subscribe", id=1, filter=filter_, **options)
        while self.take()["op"] != "live":
            pass

    def take(self):
        notice = self.session.receive()
        assert notice["op"] in ("ok", "live", "message"), notice
        if notice["op"] == "live":
            parts = [int(seq) for seq in re.findall(r":(\d+)", notice["position"])]
            assert len(parts) == COUNT, notice
            self.parts = [max(pair) for pair in zip(self.parts or parts, parts)]
        elif notice["op"] == "message":
            self.messages.append((notice["seq"], notice["topic"], notice["data"]))
            place = notice["seq"] % COUNT
            if self.parts:
                self.parts[place] = max(self.parts[place], notice["seq"])
        return notice

    def read(self, count):
        while len(self.messages) < count:
            self.take()


def by_partition(messages):
    return [[message for message in messages if message[0] % COUNT == place] for place in range(COUNT)]


def test_each_partition_has_one_order_at_all_brokers(cluster):
    readers = [Reader() for _ in cluster.brokers]
    for reader, broker in zip(readers, cluster.brokers):
        reader.come(broker, "+/order")

    def publish(broker):
        session, name = broker.session(), broker.directory.name
        return [session.publish(f"{cluster.names[number % COUNT]}/order", f"{name} {number}")["seq"] for number in range(60)]

    answered = at_once(*[lambda broker=broker: publish(broker) for broker in cluster.brokers])
    for reader in readers:
        reader.read(120)
    orders = [by_partition(reader.messages) for reader in readers]
    assert orders[0] == orders[1]
    for place in range(COUNT):
        seqs = [seq for seq, _, _ in orders[0][place]]
        assert seqs == sorted(set(seqs)) and len(seqs) == 120 // COUNT
        assert all(topic == f"{cluster.names[place]}/order" for _, topic, _ in orders[0][place])
    assert sorted(seq for seqs in answered for seq in seqs) == sorted(seq for seq, _, _ in readers[0].messages)


def test_a_position_of_one_broker_is_resumed_at_another(cluster):
    first, second = cluster.brokers
    reader = Reader()
    reader.come(first, "+/resumed")
    sent = []

    def publish(count):
        for _ in range(count):
            for broker in cluster.brokers:
                name = cluster.names[len(sent) % COUNT]
                sent.append(broker.publish(f"{name}/resumed", str(len(sent)))["seq"])

    for broker in (second, first, second):
        publish(10)
        reader.read(len(sent) - 12)
        reader.session.close()
        publish(5)
        reader.come(broker, "+/resumed")
    reader.read(len(sent))
    assert sorted(seq for seq, _, _ in reader.messages) == sorted(sent), "each once"
    for part in by_partition(reader.messages):
        assert [seq for seq, _, _ in part] == sorted(seq for seq, _, _ in part)
    answer = first.session().request(op="subscribe", filter="a", since=f"{reader.epoch}-7")
    assert answer["code"] == "bad-request" and f"{COUNT} partitions" in answer["message"]


def test_events_have_positions_that_hold_at_the_other_broker(cluster):
    first, second = cluster.brokers
    for number in range(6):
        first.publish(f"{cluster.names[number % COUNT]}/events", str(number))

    def poll(broker, **fields):
        answer = broker.http("GET", "/s/%2B/events?poll=1&since=0&snapshot=false", headers={"Accept": "text/event-stream", **fields})
        return re.findall(r"id: (\S+)\ndata: .*?\"data\":\"(\d+)\"", answer.body.decode())

    wait_until(lambda: len(poll(second)) == 6, "all messages")
    seen = poll(second)
    assert [data for _, data in sorted(seen, key=lambda one: int(one[1]))] == [str(number) for number in range(6)]
    for place in range(6):
        rest = poll(first, **{"Last-Event-ID": seen[place][0]})
        assert {data for _, data in rest} == {data for _, data in seen[place + 1:]}, "what had not come, and nothing else"


def test_conditions_are_decided_by_the_numbers_that_clients_know(cluster):
    first, second = cluster.brokers
    for name in cluster.names:
        seq = first.publish(f"{name}/condition", "1", "retain")["seq"]
        wait_until(lambda: second.retained(f"{name}/condition").headers["ETag"] == f'"{seq}"', "the value")
        answer = second.session().publish(f"{name}/condition", "2", retain=True, ifSeq=seq)
        assert answer["seq"] % COUNT == seq % COUNT
        refused = first.session().request(op="publish", topic=f"{name}/condition", data="3", retain=True, ifSeq=seq)
        assert refused["code"] == "conflict"


@pytest.mark.parametrize("kind", [NodeClient, PythonClient])
def test_the_clients_keep_a_number_for_each_partition(cluster, kind):
    """They get every message once, even across restarts of their broker."""
    first, second = cluster.brokers
    level, sent = f"client-{kind.__name__}", {name: [] for name in cluster.names}
    client = kind()

    def publish(broker, count):
        for _ in range(count):
            for name in cluster.names:
                text = f"{name} {len(sent[name])}"
                broker.publish(f"{name}/{level}", text)
                sent[name].append(text)

    def is_all_there():
        seen = client.seen("all")
        return len(seen) >= sum(map(len, sent.values())) and seen

    try:
        client.start(first)
        client.subscribe("all", f"+/{level}")
        wait_until(lambda: f"+/{level}" in [row["filter"] for row in first.control_json("subscriptions")], "the subscription")
        for end in (first.stop, first.kill):
            publish(second, 5)
            wait_until(is_all_there, "the messages")
            end()
            publish(second, 5)
            first.start()
            wait_until(lambda: is_ready(first), "the broker again")
        publish(first, 2)
        seen = wait_until(is_all_there, "all messages")
        for name in cluster.names:
            assert [text for text in seen if text.startswith(f"{name} ")] == sent[name], "once, and in order"
    finally:
        client.end()


def test_brokerctl_comes_back_with_a_number_for_each_partition(cluster):
    first, second = cluster.brokers
    child = subprocess.Popen(
        [BROKERCTL, "--socket", str(first.admin_socket), "sub", "+/followed", "--json", "--count", "20"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: "+/followed" in [row["filter"] for row in first.control_json("subscriptions")], "the subscription")
        sent = []

        def publish(broker, count):
            for _ in range(count):
                broker.publish(f"{cluster.names[len(sent) % COUNT]}/followed", str(len(sent)))
                sent.append(str(len(sent)))

        publish(first, 10)
        seen = [json.loads(child.stdout.readline())["data"] for _ in range(10)]
        first.stop()
        publish(second, 5)
        first.start()
        wait_until(lambda: is_ready(first), "the broker again")
        publish(second, 5)
        seen += [json.loads(child.stdout.readline())["data"] for _ in range(10)]
        assert sorted(seen, key=int) == sent, "each once"
        for place in range(COUNT):
            assert [text for text in seen if int(text) % COUNT == place] == sent[place::COUNT], "in order"
        assert child.wait(ANSWER_DEADLINE) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_if_one_engine_fails_the_other_partition_continues(cluster):
    first, second = cluster.brokers
    readers = [Reader() for _ in cluster.brokers]
    for reader, broker in zip(readers, cluster.brokers):
        reader.come(broker, "+/failover")
    stop, goes_on = threading.Event(), []

    def publish(broker, place):
        session, acknowledged, number = broker.session(), [], 0
        while not stop.is_set():
            text = f"{broker.directory.name} {place} {number}"
            answer = session.request(op="publish", topic=f"{cluster.names[place]}/failover", data=text)
            if answer["op"] == "ok":
                acknowledged.append((answer["seq"], text))
            else:
                assert place == 1, answer
            number += 1
        return acknowledged

    def fail():
        try:
            term = first.metrics()['broker_cluster_partition_term{partition="1"}']
            cluster.engines[1].primary.end()
            wait_until(lambda: cluster.states(first)[1] != "active", "an engine that is gone")
            assert not is_ready(first) and "partition 1" in first.http("GET", "/health/ready").json["reason"]
            for broker in cluster.brokers:
                goes_on.append(broker.publish(f"{cluster.names[0]}/failover", f"meanwhile {broker.directory.name}"))
            assert cluster.states(first)[0] == "active"
            wait_until(lambda: first.metrics()['broker_cluster_partition_term{partition="1"}'] > term, "another term")
            for broker in cluster.brokers:
                wait_until(lambda broker=broker: is_ready(broker), "a broker that is ready again")
        finally:
            stop.set()

    def follow(reader):
        while sum(data.startswith("end") for _, _, data in reader.messages) < COUNT:
            reader.take()

    # They read meanwhile: a failover may last so long that they would be too slow.
    with ThreadPoolExecutor() as pool:
        following = [pool.submit(follow, reader) for reader in readers]
        *acknowledged, _ = at_once(
            *[lambda broker=broker, place=place: publish(broker, place) for broker in cluster.brokers for place in range(COUNT)],
            fail)
        assert len(goes_on) == 2
        for name in cluster.names:
            first.publish(f"{name}/failover", f"end {name}")
        for reading in following:
            reading.result()
    orders = [by_partition(reader.messages) for reader in readers]
    assert orders[0] == orders[1]
    texts = {seq: data for seq, _, data in readers[0].messages}
    assert len(texts) == len(readers[0].messages) == len(set(texts.values())), "none is there twice"
    for one in acknowledged:
        assert one and all(texts[seq] == text for seq, text in one), "nothing that was acknowledged is lost"


def test_a_broker_that_is_killed_or_new_has_all_partitions(cluster, request):
    first, second = cluster.brokers
    second.kill()
    sent = [first.publish(f"{cluster.names[number % COUNT]}/later", str(number), "retain&ack=stored")["seq"] for number in range(20)]
    second.start()
    wait_until(lambda: is_ready(second), "the broker that was killed")
    # Only the log of the second partition no longer has what a new broker needs.
    log = f"broker:{{test.1of{COUNT}}}:log"
    assert cluster.engines[1].current_primary().ask("XTRIM", log, "MAXLEN", "1").startswith(":")
    new = cluster.make("new")
    request.node.brokers = [*cluster.brokers, new]
    try:
        new.start()
        new.wait_for_line("restarting with the copy of another broker's store")
        wait_until(lambda: is_ready(new), "a new broker that is ready")
        for broker in (second, new):
            session = broker.session()
            assert session.request(op="subscribe", filter="+/later", since=0, snapshot=False)["op"] == "ok"
            messages = []
            while len(messages) < 20:
                received = session.receive()
                if received["op"] == "message":
                    messages.append(received["seq"])
            assert sorted(messages) == sorted(sent)
            assert broker.retained(f"{cluster.names[1]}/later").body == b"19"
    finally:
        new.finish()


def test_the_number_of_partitions_cannot_be_changed(cluster, tmp_path):
    broker = cluster.brokers[1]
    broker.stop()
    try:
        config = tmp_path / "broker.yaml"
        engine = cluster.engines[0].settings
        config.write_text(f"cluster:\n  name: test\n  engine:\n{engine}")
        done = run_brokerd(
            "--config", str(config), "--data-dir", str(broker.data), "--listen", f"127.0.0.1:{broker.port}", cwd=tmp_path)
        assert done.returncode == 1 and "several partitions: set cluster.partitions" in done.stdout
    finally:
        broker.start()


def test_a_broker_with_another_number_of_partitions_names_that_of_the_others(cluster, tmp_path, request):
    engines = [engine.settings for engine in cluster.engines]
    lines = "".join("    -" + settings[3:].replace("\n    ", "\n      ") for settings in [*engines, engines[0]])
    settings = {"one": f"  engine:\n{engines[0]}", "more": f"  partitions: {COUNT + 1}\n  engines:\n{lines}"}
    others = [Broker(tmp_path / name, f"cluster:\n  node: {name}\n  name: test\n{text}") for name, text in settings.items()]
    request.node.brokers = [*cluster.brokers, *others]

    def refusal(broker):
        answer = broker.http("GET", "/health/ready")
        return answer.status == 503 and f"cluster.partitions: {COUNT}, this one has" in answer.json["reason"]

    try:
        for broker in others:
            broker.start()
            wait_until(lambda broker=broker: refusal(broker), "the reason")
            assert is_ready(cluster.brokers[0])
    finally:
        finish_all(others)


def test_a_single_broker_becomes_the_first_only_with_the_recorded_number(cluster, tmp_path, request):
    engine = cluster.engines[0].settings
    broker = Broker(tmp_path / "single")
    request.node.brokers = [broker]
    try:
        broker.start()
        broker.publish("kept", "x", "retain")
        broker.stop()
        # As another new broker records it, while no log has begun.
        cluster.engines[0].current_primary().ask("HSET", "broker:{later}:cluster", "partitions", "3")
        broker = Broker(tmp_path / "single", f"cluster:\n  name: later\n  engine:\n{engine}")
        request.node.brokers = [broker]
        broker.start()

        def reason():
            return broker.http("GET", "/health/ready").json.get("reason", "")

        wait_until(lambda: "cluster.partitions: 3, this one has 1" in reason(), "the reason")
    finally:
        broker.finish()


def test_the_status_shows_each_partition(cluster):
    broker = cluster.brokers[0]
    lines = [line for line in broker.control("cluster", "status").stdout.decode().splitlines() if line.startswith("partition ")]
    assert len(lines) == COUNT and all("active" in line for line in lines), lines
    assert [partition["partition"] for partition in broker.control_json("cluster")["partitions"]] == list(range(COUNT))
