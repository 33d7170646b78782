"""Three brokers on one engine: one order, one number to resume, and nothing acknowledged lost."""

import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from access_harness import basic, bearer
from broker_process import Broker, finish_all, free_port
from command_line import BROKERCTL, BROKERD, REPOSITORY, run_brokerd, run_control
from deadlines import ANSWER_DEADLINE, wait_until
from fragile_disk import FragileDisk
from redis_rig import Engine

RULES = 'access:\n  rules:\n    - { everyone: true, publish: ["#"], subscribe: ["#"] }\n'
FIGURES = "system_topics: { interval: 1s }\n"
HISTORY = 'history:\n  - { filter: "kept/#", messages: 10000 }\n'
NAMES = "abc"


def said(done, code=0):
    assert done.returncode == code, done
    return (done.stdout if code == 0 else done.stderr).decode()


class Cluster:
    def __init__(self, directory, engine):
        self.engine = engine
        self.directory = directory
        self.brokers = [self.make(name) for name in NAMES]

    def make(self, name):
        config = f"cluster:\n  name: test\n  node: {name}\n  engine:\n{self.engine.settings}{HISTORY}{RULES}{FIGURES}"
        return Broker(self.directory / name, config)

    def start(self):
        first = self.brokers[0].start()
        # Then it has published its users to the cluster.
        wait_until(lambda: first.control("users", "add", "from-start", "--no-password").returncode == 0, "a first user")
        for broker in self.brokers[1:]:
            broker.start()
        for broker in self.brokers:
            wait_until(lambda broker=broker: is_ready(broker), "a broker that is ready")
        return self

    def everywhere(self, check, what):
        for broker in self.brokers:
            wait_until(lambda broker=broker: check(broker), f"{what} at {broker.directory.name}")

    def end(self):
        finish_all(self.brokers)


def is_ready(broker):
    try:
        return broker.http("GET", "/health/ready").status == 200
    except (OSError, http.client.HTTPException):
        return False


def give_user(broker, name):
    """Adds a user to the file of a broker that does not run."""
    broker.data.mkdir(mode=0o700, exist_ok=True)
    said(run_control("users", "add", name, "--no-password", "--file", str(broker.data / "access.jsonl")))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = Engine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, engine):
    cluster = Cluster(tmp_path_factory.mktemp("brokers"), engine)
    for broker in cluster.brokers[:2]:
        give_user(broker, f"from-{broker.directory.name}")
    yield cluster.start()
    cluster.end()


@pytest.fixture
def cluster(shared, request):
    """The brokers for all tests of this file, all running and ready."""
    request.node.brokers = shared.brokers
    shared.everywhere(is_ready, "ready")
    yield shared
    for broker in shared.brokers:
        broker.close_clients()


def collect(session, count):
    """The next messages, this many, in the order of arrival."""
    messages = []
    while len(messages) < count:
        received = session.receive()
        if received["op"] == "message":
            messages.append((received["seq"], received["topic"], received.get("data")))
    return messages


def at_once(*bodies):
    """Runs them at the same time; returns their results in order."""
    with ThreadPoolExecutor(len(bodies)) as pool:
        return [future.result(ANSWER_DEADLINE) for future in [pool.submit(body) for body in bodies]]


def test_all_subscribers_of_all_brokers_see_one_order(cluster):
    sessions = [broker.session() for broker in cluster.brokers]
    for session in sessions:
        session.subscribe("order/#")

    def publish(broker):
        session = broker.session()
        name = broker.directory.name
        return [session.publish(f"order/{number % 3}", f"{name} {number}")["seq"] for number in range(50)]

    answered = at_once(*[lambda broker=broker: publish(broker) for broker in cluster.brokers])
    seen = [collect(session, 150) for session in sessions]
    assert seen[0] == seen[1] == seen[2]
    seqs = [seq for seq, _, _ in seen[0]]
    assert seqs == sorted(set(seqs)) == sorted(seq for seqs in answered for seq in seqs)
    for name in NAMES:
        assert [data for _, _, data in seen[0] if data.startswith(name)] == [f"{name} {number}" for number in range(50)]


def test_snapshots_join_live_messages_while_others_publish(cluster):
    first, second, third = cluster.brokers
    writers = [first.session(), third.session()]

    def write(session, part):
        for number in range(60):
            session.publish(f"seam/{part}/{number % 5}", number, retain=True)

    def follow():
        found = []
        for _ in range(10):
            session = second.session()
            values = {message["topic"]: message["data"] for message in session.subscribe("seam/#")}
            found.append((session, values))
        return found

    _, _, followers = at_once(lambda: write(writers[0], "x"), lambda: write(writers[1], "y"), follow)
    final = {f"seam/{part}/{place}": 55 + place for part in "xy" for place in range(5)}
    for session, values in followers:
        session.synchronise()
        for message in session.waiting:
            if message["op"] == "message":
                assert message["data"] > values.get(message["topic"], -1), "what the snapshot had does not come again"
                values[message["topic"]] = message["data"]
    for broker in cluster.brokers:
        for topic, value in final.items():
            wait_until(lambda: broker.retained(topic).json == value, f"{topic} at {broker.directory.name}")


def test_a_position_of_one_broker_can_be_resumed_at_another(cluster):
    first, second, third = cluster.brokers
    session = first.session()
    session.subscribe("kept/#")
    for number in range(20):
        second.publish("kept/a", str(number))
    seen = collect(session, 5)
    epoch = session.welcome["epoch"]
    session.close()
    missed = [third.publish("kept/b", f"later {number}")["seq"] for number in range(5)]
    for broker in (second, third):
        resumed = broker.session()
        assert resumed.welcome["epoch"] == epoch, "the epoch is the cluster's"
        answer = resumed.request(op="subscribe", filter="kept/#", since=f"{epoch}-{seen[-1][0]}")
        assert answer["op"] == "ok", answer
        rest = collect(resumed, 20)
        assert [data for _, topic, data in rest if topic == "kept/a"] == [str(number) for number in range(5, 20)]
        assert [seq for seq, topic, _ in rest if topic == "kept/b"] == missed


def test_of_three_conditional_writes_one_wins(cluster):
    for number in range(10):
        topic = f"race/{number}"
        seq = cluster.brokers[0].publish(topic, "start", "retain")["seq"]
        cluster.everywhere(lambda broker: broker.retained(topic).status == 200, "the value")

        def write(broker):
            answer = broker.http("PUT", f"/t/{topic}?retain", body=broker.directory.name, headers={"If-Match": f'"{seq}"'})
            return answer.status

        statuses = at_once(*[lambda broker=broker: write(broker) for broker in cluster.brokers])
        assert sorted(statuses) == [200, 412, 412], statuses
        winner = NAMES[statuses.index(200)]
        cluster.everywhere(lambda broker: broker.retained(topic).body == winner.encode(), "the winner's value")


def test_a_repetition_at_another_broker_is_recognised(cluster):
    first, second, _ = cluster.brokers
    headers = {"Idempotency-Key": "one"}
    seq = first.publish("once", "1", headers=headers)["seq"]
    assert second.publish("once", "1", headers=headers)["seq"] == seq


def test_echo_false_works_across_brokers(cluster):
    first, second, _ = cluster.brokers
    session, other = first.session(), second.session()
    session.subscribe("echo/#", echo=False)
    other.subscribe("echo/#", echo=False)
    session.publish("echo/a", "own")
    other.publish("echo/b", "other's")
    assert [topic for _, topic, _ in collect(session, 1)] == ["echo/b"]
    assert [topic for _, topic, _ in collect(other, 1)] == ["echo/a"]
    numbers = [int(session.welcome["client"], 36) >> 48 for session in (session, other)]
    assert numbers[0] != numbers[1], "clients of two brokers never have the same number"


def test_brokerctl_and_metrics_show_the_cluster(cluster):
    status = cluster.brokers[0].control_json("cluster", "status")
    assert (status["cluster"], status["name"], status["state"]) == ("test", "a", "active")
    assert status["primary"] == f"127.0.0.1:{cluster.engine.primary.port}" and status["replica"] != status["primary"]

    def names():
        rows = cluster.brokers[1].control_json("cluster", "nodes")
        return {row["name"]: row["alive"] for row in rows} == {name: True for name in NAMES}

    wait_until(names, "three brokers that are there")
    rows = cluster.brokers[1].control_json("cluster", "nodes")
    assert [row["name"] for row in rows if row["here"]] == ["b"]
    samples = cluster.brokers[2].metrics()
    assert samples['broker_cluster_info{node="c"}'] == 1 and samples["broker_cluster_ready"] == 1
    assert samples["broker_cluster_nodes"] == 3 and samples["broker_cluster_lag_seconds"] > 0
    here = rows[0]["node"]
    done = cluster.brokers[0].control("cluster", "forget", here)
    assert done.returncode == 1 and b"There is no broker" in done.stderr


def users(broker):
    """The names and roles of the users added since the start."""
    rows = broker.control_json("users", "list")
    return {row["user"]: row["roles"] for row in rows if not row["user"].startswith("from-")}


def test_the_first_broker_contributes_its_users_and_other_files_are_set_aside(cluster):
    first, second, third = cluster.brokers
    for broker in cluster.brokers:
        assert {row["user"] for row in broker.control_json("users", "list")} == {"from-a", "from-start"}
        copy = (broker.data / "access.jsonl").read_bytes()
        assert b"from-a" in copy and b"from-start" in copy and b"from-b" not in copy
    assert b"from-b" in (second.data / "access.jsonl.replaced").read_bytes()
    assert not (third.data / "access.jsonl.replaced").exists()


def login(broker, user, password):
    """The status of a request with these credentials; 404 if they are right, because the topic has no value."""
    return broker.http("GET", "/t/nothing", headers=basic(user, password)).status


def test_users_and_tokens_apply_at_all_brokers(cluster):
    first, second, third = cluster.brokers
    added = first.control("users", "add", "ann", "--role", "staff", "--password-stdin", input=b"correct horse\n")
    assert said(added) == "added: ann\n"
    cluster.everywhere(lambda broker: login(broker, "ann", "correct horse") == 404, "the user")
    assert [users(broker) for broker in cluster.brokers] == [{"ann": ["staff"]}] * 3
    assert said(second.control("users", "add", "ann", "--no-password"), 1) == (
        "brokerctl: there is a user ann already (bad-request)\n")
    token = said(third.control("token", "mint", "--user", "ann")).strip()
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "the token")
    sessions = [broker.session(headers=bearer(token)) for broker in cluster.brokers]
    said(first.control("token", "revoke", token))
    began = time.monotonic()
    for session in sessions:
        assert session.websocket.receive_close() == (4401, "revoked")
    assert time.monotonic() - began < 2, "the bound of docs/cluster.md, and as much again for a busy machine"
    assert {broker.http("GET", "/t/x", headers=bearer(token)).status for broker in cluster.brokers} == {401}
    assert len({(broker.data / "access.jsonl").read_bytes() for broker in cluster.brokers}) == 1, "the files are copies"
    said(second.control("users", "remove", "ann"))
    cluster.everywhere(lambda broker: login(broker, "ann", "correct horse") == 401, "no user")


def test_adding_one_user_at_three_brokers_succeeds_once(cluster):
    answers = at_once(*[
        lambda broker=broker: broker.control("users", "add", "once", "--role", broker.directory.name, "--no-password")
        for broker in cluster.brokers])
    assert sorted(answer.returncode for answer in answers) == [0, 1, 1], answers
    role = NAMES[[answer.returncode for answer in answers].index(0)]
    changes = at_once(*[
        lambda broker=broker: said(broker.control("users", "role", "once", f"+x{broker.directory.name}"))
        for broker in cluster.brokers])
    assert len(changes) == 3
    cluster.everywhere(lambda broker: set(users(broker)["once"]) == {role, "xa", "xb", "xc"}, "the roles of all")
    said(cluster.brokers[0].control("users", "remove", "once"))


def test_a_ban_applies_at_all_brokers(cluster):
    first, second, third = cluster.brokers
    said(first.control("users", "add", "bob", "--no-password"))
    token = said(first.control("token", "mint", "--user", "bob")).strip()
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "the token")
    here, there = first.session(headers=bearer(token)), second.session(headers=bearer(token))
    assert "banned: user bob" in said(first.control("bans", "add", "user", "bob", "--for", "1h", "--note", "noisy"))
    assert here.websocket.receive_close() == there.websocket.receive_close() == (4410, "banned for a time")
    (ban,) = third.control_json("bans")
    assert (ban["name"], ban["note"], ban["expires"] - ban["added"]) == ("bob", "noisy", 3_600_000)
    assert third.http("GET", "/t/x", headers=bearer(token)).status == 403
    said(third.control("bans", "remove", ban["id"]))
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "no ban")
    session = second.session(headers=bearer(token))
    assert "disconnected: 1" in said(second.control("clients", "kick", "--user", "bob", "--ban", "1s", "--yes"))
    assert session.websocket.receive_close() == (4410, "banned for a time")
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "an ended ban")
    said(first.control("users", "remove", "bob"))


def test_a_returning_broker_learns_of_revocations(cluster):
    first, second, third = cluster.brokers
    said(first.control("users", "add", "eve", "--no-password"))
    token = said(first.control("token", "mint", "--user", "eve")).strip()
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "the token")
    third.kill()
    said(first.control("token", "revoke", token))
    said(first.control("users", "add", "new", "--no-password"))
    said(first.control("bans", "add", "user", "eve"))
    third.start()
    wait_until(lambda: is_ready(third), "the broker that was away")
    assert third.http("GET", "/t/x", headers=bearer(token)).status == 401
    wait_until(lambda: set(users(third)) == {"eve", "new"}, "the users")
    assert [ban["name"] for ban in third.control_json("bans")] == ["eve"]
    third.kill()
    third.start()
    assert [ban["name"] for ban in third.control_json("bans")] == ["eve"], "it is in the store"
    for user in ("eve", "new"):
        said(second.control("users", "remove", user))
    said(second.control("bans", "remove", first.control_json("bans")[0]["id"]))
    cluster.everywhere(is_ready, "ready")


def test_editing_a_copy_of_the_users_changes_the_cluster(cluster):
    first, second, third = cluster.brokers
    said(second.control("users", "add", "filed", "--no-password"))
    cluster.everywhere(lambda broker: b"filed" in (broker.data / "access.jsonl").read_bytes(), "the copy")
    copy = str(first.data / "access.jsonl")
    said(run_control("users", "add", "typed", "--no-password", "--file", copy))
    said(run_control("users", "remove", "filed", "--file", copy))
    cluster.everywhere(lambda broker: set(users(broker)) == {"typed"}, "the change")
    said(third.control("users", "remove", "typed"))
    cluster.everywhere(lambda broker: b"typed" not in (broker.data / "access.jsonl").read_bytes(), "the copy")


def test_clients_cannot_access_the_shared_topics(cluster):
    broker = cluster.brokers[0]
    said(broker.control("users", "add", "secret", "--password-stdin", input=b"correct horse\n"))
    session = broker.session()
    for name in ("$cluster/#", "$cluster/access/+", "$cluster"):
        assert session.request(op="subscribe", filter=name)["code"] == "forbidden"
        assert said(broker.control("retained", "list", name), 1).endswith("belongs to the broker. (forbidden)\n")
    assert session.request(op="publish", topic="$cluster/access/x", data="{}", retain=True)["code"] == "forbidden"
    assert broker.http("GET", "/t/$cluster/founded", headers=basic("secret", "correct horse")).status == 403
    assert not [row for row in broker.control_json("retained", "list") if row["topic"].startswith("$cluster")]
    assert b"scrypt" not in broker.control("retained", "export", "#").stdout
    said(broker.control("users", "remove", "secret"))


def test_one_broker_lists_and_kicks_the_clients_of_all(cluster):
    first, second, third = cluster.brokers
    sessions = [broker.session() for broker in cluster.brokers]
    for session in sessions:
        session.subscribe("fleet/here")
    names = [session.welcome["client"] for session in sessions]
    rows = {row["id"]: row["node"] for row in first.control_json("clients", "--filter", "fleet/here")}
    assert rows == dict(zip(names, NAMES))
    assert [row["id"] for row in first.control_json("clients", "--node", "b", "--filter", "fleet/here")] == [names[1]]
    limited = second.control_json("clients", "--filter", "fleet/here", "--sort", "node", "--limit", "2")
    assert [row["id"] for row in limited] == names[:2], "the first of all, not of each"
    assert [row["id"] for row in third.control_json("clients", "--where", "node = a", "--filter", "fleet/here")] == names[:1]
    assert "NODE" in said(first.control("clients"))
    assert first.control_json("clients", "show", names[2])["node"] == "c"
    assert said(first.control("clients", "policy", names[2], "latest")) == "latest: 1 subscription\n"
    third.publish("fleet/here", "1", "retain")
    (topic,) = second.control_json("topics", "fleet/#", "--seconds", "0")
    assert (topic["topic"], topic["subscriptions"], topic["retained"]) == ("fleet/here", 3, True)
    (topic,) = second.control_json("topics", "fleet/#", "--seconds", "0", "--node", "a")
    assert topic["subscriptions"] == 1
    wait_until(lambda: first.control_json("why", names[2], "fleet/here")["messages"], "the message")
    assert said(first.control("clients", "kick", "--filter", "fleet/here", "--dry-run")) == "would be disconnected: 3\n"
    assert said(first.control("clients", "kick", names[1])) == "disconnected: 1\n"
    assert sessions[1].websocket.receive_close()[0] == 4410
    assert said(first.control("clients", "kick", "--filter", "fleet/here")) == "disconnected: 2\n"
    assert [sessions[place].websocket.receive_close()[0] for place in (0, 2)] == [4410, 4410]
    assert "There is no broker x" in said(first.control("clients", "--node", "x"), 1)
    assert "There is no client" in said(first.control("clients", "show", names[1]), 1)


def test_a_kick_with_a_ban_counts_the_clients_of_all(cluster):
    first, second, third = cluster.brokers
    said(first.control("users", "add", "kim", "--no-password"))
    token = said(first.control("token", "mint", "--user", "kim")).strip()
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "the token")
    sessions = [broker.session(headers=bearer(token)) for broker in cluster.brokers]
    assert said(second.control("clients", "kick", "--user", "kim", "--ban", "1h")) == "disconnected: 3\nbanned: user kim\n"
    assert {session.websocket.receive_close() for session in sessions} == {(4410, "banned for a time")}
    said(first.control("bans", "remove", first.control_json("bans")[0]["id"]))
    said(first.control("users", "remove", "kim"))


def test_a_broker_that_does_not_answer_is_named(cluster):
    first, second, third = cluster.brokers
    session = first.session()
    third.send_signal(signal.SIGSTOP)
    try:
        done = first.control("clients", "--json")
        rows = {row["node"] for row in json.loads(done.stdout)}
        assert done.returncode == 0 and "a" in rows and "c" not in rows
        assert b"broker c does not answer; its part of the list is missing" in done.stderr
    finally:
        third.send_signal(signal.SIGCONT)
    wait_until(lambda: is_ready(third), "ready again")
    wait_until(lambda: first.control("clients", "--node", "c").returncode == 0, "an answer")
    assert session.request(op="ping")["op"] == "pong"


def test_a_broker_can_be_drained_from_another(cluster):
    first, second, third = cluster.brokers
    session = third.session()
    before = len(first.control_json("cluster", "nodes"))
    assert said(first.control("cluster", "drain", "c", "--yes")) == "the broker c is shutting down\n"
    assert session.expect("restart")["retry"] >= 0
    assert session.websocket.receive_close()[0] == 1012
    assert third.wait_for_exit() == 0
    wait_until(lambda: len(first.control_json("cluster", "nodes")) == before - 1, "a list without it")
    assert first.publish("fleet/rest", "goes on")["seq"] > 0
    third.start()
    wait_until(lambda: is_ready(third), "the broker that was drained")


def test_of_two_brokers_with_one_identity_one_stops(cluster):
    """The one that was started less often stops; the other continues."""
    first, copy = cluster.make("first"), cluster.make("copy")
    try:
        first.start()
        wait_until(lambda: is_ready(first), "a broker")
        copy.data.mkdir(mode=0o700)
        name, number, starts = (first.data / "node").read_text().split()
        (copy.data / "node").write_text(f"{name}\n{number}\n{int(starts) + 5}\n")
        copy.start()
        sentence = "another broker has appended to the cluster's log as this one"
        wait_until(lambda: sentence in first.http("GET", "/health/ready").json.get("reason", ""), "a broker that says so")
        assert first.http("POST", "/t/a", body="x").status == 503
        wait_until(lambda: is_ready(copy), "the other broker")
        assert copy.publish("a", "x")["seq"] > 0
    finally:
        finish_all([first, copy])


def test_metrics_cover_all_brokers(cluster):
    sessions = [broker.session() for broker in cluster.brokers]

    def total(broker):
        samples = broker.metrics()
        return [samples.get(f'broker_cluster_clients{{node="{name}"}}', 0) for name in NAMES]

    cluster.everywhere(lambda broker: all(count >= 1 for count in total(broker)), "the clients of all")
    def shown(broker, name):
        answer = broker.retained(f"$SYS/cluster/{name}")
        return int(answer.body) if answer.status == 200 else 0

    cluster.everywhere(lambda broker: shown(broker, "clients/connected") >= 3, "their sum")
    cluster.everywhere(lambda broker: shown(broker, "nodes/count") >= 3, "three brokers")
    assert all(session.request(op="ping")["op"] == "pong" for session in sessions)


def test_brokers_with_colliding_client_numbers_warn(cluster):
    number = cluster.brokers[0].control_json("cluster", "status")["node"].rjust(16, "0")
    twin = cluster.make("twin")
    twin.data.mkdir(parents=True)
    (twin.data / "node").write_text(f"test\n{number[:4]}{'1' * 12}\n1\n")
    try:
        twin.start()
        sentence = f"the broker {number.lstrip('0')} has the same number as this one"
        wait_until(lambda: sentence in twin.http("GET", "/health/ready").json.get("reason", ""), "a broker that says so")
    finally:
        twin.finish()


def test_the_presence_of_a_dead_broker_ends(cluster):
    first, second, third = cluster.brokers
    here, there = first.session(), third.session()
    for session, name in ((here, "ann"), (there, "bob")):
        answer = session.request(op="publish", topic=f"who/{name}", data=name, ephemeral=True)
        assert answer["op"] == "ok", answer
    follower = second.session()
    wait_until(lambda: second.retained("who/bob").status == 200, "the value at another broker")
    assert {message["topic"] for message in follower.subscribe("who/+")} == {"who/ann", "who/bob"}
    third.kill()
    try:
        assert follower.expect("message", topic="who/bob", removed=True)
        assert second.retained("who/ann").body == b"ann", "others' stay"
        wait_until(lambda: first.retained("who/bob").status == 404, "no value at the other broker")
    finally:
        third.start()


def test_the_farewells_of_a_dead_broker_are_published(cluster):
    first, second, third = cluster.brokers
    session, follower = third.session(), second.session()
    follower.subscribe("will/#")
    farewell = {"data": {"off": True}, "type": "application/vnd.x+json"}
    for topic, options in (("will/plain", {}), ("will/last", {"farewell": farewell}),
                           ("will/graceful", {"grace": 1, "farewell": {"data": "late"}})):
        assert session.request(op="publish", topic=topic, data="on", ephemeral=True, **options)["op"] == "ok"
    for topic in ("will/plain", "will/last", "will/graceful"):
        assert follower.expect("message", topic=topic)["data"] == "on"
    # Another must know of the farewell after a start, too.
    first.kill()
    first.start()
    third.kill()
    try:
        ends = {}
        while len(ends) < 3:
            message = follower.expect("message", removed=True)
            ends[message["topic"]] = message
        assert ends["will/last"]["data"] == {"off": True} and ends["will/last"]["type"] == "application/vnd.x+json"
        assert ends["will/graceful"]["data"] == "late" and "data" not in ends["will/plain"]
        wait_until(lambda: is_ready(first), "the broker that was started again")
        for topic in ends:
            wait_until(lambda topic=topic: first.retained(topic).status == 404, f"no value of {topic}")
    finally:
        third.start()
        wait_until(lambda: is_ready(third), "the broker that was killed")
    late = second.session()
    assert late.subscribe("will/#") == [], "it is there once, as a message"


def test_a_killed_broker_continues_where_it_was(cluster):
    first, second, third = cluster.brokers
    for number in range(20):
        third.publish("kept/before", str(number), "retain")
    cluster.everywhere(lambda broker: broker.retained("kept/before").body == b"19", "the value")
    third.kill()
    for number in range(20):
        first.publish("kept/while", str(number), "retain")
    third.start()
    wait_until(lambda: is_ready(third), "the broker that was killed")
    epoch = first.session().welcome["epoch"]
    kept = []
    for broker in (first, third):
        session = broker.session()
        assert session.request(op="subscribe", filter="kept/#", since=f"{epoch}-0")["op"] == "ok"
        session.synchronise()
        kept.append([message for message in session.waiting if message["op"] == "message"])
    assert [message["seq"] for message in kept[0]] == [message["seq"] for message in kept[1]]
    assert third.retained("kept/while").body == b"19"


def cut_log(engine):
    """Removes everything from the log except its last entries."""
    assert engine.current_primary().ask("XTRIM", "broker:{test}:log", "MAXLEN", "1").startswith(":")


def test_a_new_broker_fetches_a_copy(cluster, request):
    first = cluster.brokers[0]
    for number in range(20):
        first.publish("kept/copied", str(number), "retain&ack=stored")
    # Some pieces, of which only a few are in the engine at a time.
    first.publish("large", "x" * 900_000, "retain&ack=stored")
    for number in range(6):
        first.publish(f"large/{number}", "y" * 900_000, "retain&ack=stored")
    cut_log(cluster.engine)
    new = cluster.make("new")
    request.node.brokers = [*cluster.brokers, new]
    try:
        new.start()
        assert "no longer goes back to 0-0" in new.wait_for_line("the cluster's log no longer")
        new.wait_for_line("restarting with the copy of another broker's store")
        wait_until(lambda: is_ready(new), "a new broker that is ready")
        assert new.retained("kept/copied").body == b"19" and len(new.retained("large/5").body) == 900_000
        session, known = new.session(), first.session()
        assert session.welcome["epoch"] == known.welcome["epoch"]
        assert session.request(op="subscribe", filter="kept/copied", since=f"{session.welcome['epoch']}-0")["op"] == "ok"
        assert [data for _, _, data in collect(session, 20)] == [str(number) for number in range(20)]
        # The new broker is a member of the cluster now.
        assert new.publish("kept/copied", "20", "ack=stored")["stored"]
        assert "broker:{test}:cop" not in cluster.engine.current_primary().ask("KEYS", "broker:*"), "nothing is left of it"
        assert not list(new.data.glob("broker.mdb.*")), "nor of the files"
    finally:
        new.finish()


def test_a_broker_that_was_away_too_long_fetches_a_copy(cluster):
    first, _, third = cluster.brokers
    session = third.session()
    session.subscribe("kept/away")
    session.subscribe("unkept/away")
    first.publish("kept/away", "seen", "retain")
    seen = collect(session, 1)[0][0]
    epoch = session.welcome["epoch"]
    third.kill()
    for number in range(30):
        first.publish("kept/away", str(number), "retain&ack=stored")
        first.publish("unkept/away", str(number))
    cut_log(cluster.engine)
    printed = len(third.lines)
    third.start()
    third.wait_for_line("restarting with the copy of another broker's store", since=printed)
    wait_until(lambda: is_ready(third), "the broker that was away")
    session = third.session()
    assert session.request(op="subscribe", filter="kept/away", since=f"{epoch}-{seen}")["op"] == "ok"
    assert [data for _, _, data in collect(session, 30)] == [str(number) for number in range(30)]
    # Messages that no history has cannot be restored, and are reported.
    assert session.request(op="subscribe", id="u", filter="unkept/away", since=f"{epoch}-{seen}")["op"] == "ok"
    session.synchronise()
    assert [each["op"] for each in session.waiting if each.get("filter") == "unkept/away"][0] == "gap", session.waiting


def test_values_expire_by_the_clock_of_the_engine(cluster, tmp_path):
    """Whichever broker removes them: all have wrong clocks."""
    for broker, wrong in zip(cluster.brokers, (-86400, 86400, 3600)):
        broker.stop()
        place = tmp_path / broker.directory.name
        place.mkdir()
        clock = FragileDisk(place, place / "none")
        clock.faults.set(clock_offset=wrong)
        broker.environment = clock.environment
        broker.start()
    try:
        cluster.everywhere(is_ready, "ready")
        first = cluster.brokers[0]
        for number, broker in enumerate(cluster.brokers):
            broker.publish(f"expires/late/{number}", "x", "retain&ttl=1800")
        follower = cluster.brokers[1].session()
        follower.subscribe("expires/soon")
        first.publish("expires/soon", "x", "retain&ttl=1.5")
        assert follower.expect("message", topic="expires/soon", data="x")
        assert follower.expect("message", topic="expires/soon", removed=True)
        cluster.everywhere(lambda broker: broker.retained("expires/soon").status == 404, "a value that has expired")
        for broker in cluster.brokers:
            assert [broker.retained(f"expires/late/{number}").status for number in range(3)] == [200, 200, 200]
    finally:
        for broker in cluster.brokers:
            broker.stop()
            broker.environment = {}
            broker.start()


def test_a_broker_with_a_different_state_reports_it(cluster):
    """One whose disk has changed a key takes for new what the others take for a repetition."""
    first, second, third = cluster.brokers

    def differing(broker):
        return broker.metrics()["broker_cluster_differing_nodes"]

    headers = {"Idempotency-Key": "divergence"}
    follower = third.session()
    follower.subscribe("kept/differs")
    seq = first.publish("kept/differs", "1", headers=headers)["seq"]
    assert follower.expect("message", topic="kept/differs")["seq"] == seq
    third.stop()
    store = third.data / "broker.mdb"
    content = store.read_bytes()
    assert content.count(b"\0divergence") > 0
    store.write_bytes(content.replace(b"\0divergence", b"\0dIVERGENCE"))
    third.start()
    wait_until(lambda: is_ready(third), "the broker whose disk has changed")
    assert [differing(broker) for broker in cluster.brokers] == [0, 0, 0]

    def is_found():
        assert first.publish("kept/differs", "1", headers=headers)["seq"] == seq
        return differing(third) == 2

    wait_until(is_found, "a broker that differs from both others")
    cluster.everywhere(lambda broker: differing(broker) == (2 if broker is third else 1), "a difference")
    reason = third.http("GET", "/health/ready")
    assert reason.status == 503 and "its state differs from that of a, b" in reason.json["reason"]
    assert is_ready(first) and is_ready(second), "the others go on"
    states = {row["name"]: row["differs"] for row in first.control_json("cluster", "nodes") if row["alive"]}
    assert states == {"a": False, "b": False, "c": True}
    third.wait_for_line("brokers of the cluster have different states")
    # As the reason says.
    third.stop()
    for file in third.data.glob("broker.mdb*"):
        file.unlink()
    cut_log(cluster.engine)
    third.start()
    wait_until(lambda: is_ready(third), "a broker that is like the others again")
    cluster.everywhere(lambda broker: differing(broker) == 0, "no difference")


def reload(broker, config=None, line="settings reloaded"):
    """Has it read its file again, which is this one."""
    if config is not None:
        broker.config_file.write_text(config)
    since = len(broker.lines)
    broker.send_signal(signal.SIGHUP)
    return broker.wait_for_line(line, since=since)


def test_the_rules_of_the_last_reload_apply_at_all_brokers(cluster):
    first, second, third = cluster.brokers
    old = {broker: broker.config_file.read_text() for broker in cluster.brokers}
    anonymous = 'access:\n  anonymous: { publish: ["open/#"], subscribe: ["#"] }\n'

    def files():
        return {row["name"]: row["fileDiffers"] for row in second.control_json("cluster", "nodes") if row["alive"]}

    def allows(broker, topic):
        return broker.http("POST", f"/t/{topic}", body="x").status == 200

    try:
        wait_until(lambda: files() == {"a": False, "b": False, "c": False}, "one set of rules")
        reload(first, old[first].replace("access:\n", anonymous))
        assert not allows(first, "shut") and allows(first, "open/x")
        cluster.everywhere(lambda broker: not allows(broker, "shut"), "the new rules")
        assert all(allows(broker, "open/x") for broker in cluster.brokers)
        second.wait_for_line("took over the rules of the cluster")
        assert "access.anonymous" in second.wait_for_line("this broker's file has other rules than its cluster")
        wait_until(lambda: files() == {"a": False, "b": True, "c": True}, "the brokers with another file")
        cluster.everywhere(lambda broker: broker.metrics()["broker_cluster_differing_files"] == 2, "the figure of that")
        assert "set by a" in said(second.control("cluster")) and "the file here has another" in said(second.control("cluster"))
        assert "open/#" in said(second.control("config", "show"))
        # A start does not restore an older file.
        second.stop()
        second.start()
        wait_until(lambda: is_ready(second), "the broker that was started again")
        assert not allows(second, "shut") and not allows(first, "shut")
        # What the history keeps is decided alike, in the order.
        reload(third, old[third].replace("history:\n", 'history:\n  - { filter: "ruled/#", messages: 5 }\n'))
        cluster.everywhere(lambda broker: allows(broker, "shut"), "the rules of the last reload")
        wait_until(lambda: files() == {"a": True, "b": True, "c": False}, "the brokers with another file now")
        for number in range(7):
            cluster.brokers[number % 3].publish("ruled/x", str(number), "ack=stored")
        kept = []
        for broker in cluster.brokers:
            session = broker.session()
            assert session.request(op="subscribe", filter="ruled/#", since="all")["op"] == "ok"
            kept.append([(seq, data) for seq, _, data in collect(session, 5)])
        assert kept[0] == kept[1] == kept[2] and [data for _, data in kept[0]] == ["2", "3", "4", "5", "6"]
        # Each file is compared with the rules in force, not with another file.
        reload(second, old[third].replace("history:\n", 'history:\n  - { filter: "ruled/#", messages: 5 }\n'))
        wait_until(lambda: files() == {"a": True, "b": False, "c": False}, "the same file at two")
    finally:
        for broker in cluster.brokers:
            reload(broker, old[broker])
        cluster.everywhere(lambda broker: broker.metrics()["broker_cluster_differing_files"] == 0, "one set of rules again")


def test_an_emptied_engine_is_refilled_by_the_brokers(cluster):
    """Also with their epoch, although a new broker knows none at that moment."""
    first = cluster.brokers[0]
    first.publish("kept/emptied", "value", "retain")
    epoch, term = first.session().welcome["epoch"], first.metrics()["broker_cluster_term"]
    newcomer = cluster.make("d")
    try:
        newcomer.start()
        for words in (("FLUSHALL",), ("FUNCTION", "FLUSH")):
            assert "OK" in cluster.engine.primary.ask(*words)
        cluster.everywhere(lambda broker: broker.metrics()["broker_cluster_term"] > term, "another term")
        cluster.everywhere(is_ready, "ready again")
        first.publish("kept/emptied", "later", "retain")
        for broker in cluster.brokers:
            assert broker.session().welcome["epoch"] == epoch
            wait_until(lambda: broker.retained("kept/emptied").body == b"later", "the value")
    finally:
        newcomer.finish()


def test_nothing_acknowledged_is_lost_when_the_primary_dies(cluster):
    followers = [broker.session() for broker in cluster.brokers]
    for follower in followers:
        follower.subscribe("kept/failover/#")
    stop = threading.Event()

    def publish(broker):
        session, acknowledged, number = broker.session(), [], 0
        while not stop.is_set():
            text = f"{broker.directory.name} {number}"
            answer = session.request(op="publish", topic="kept/failover/x", data=text)
            if answer["op"] == "ok":
                acknowledged.append((answer["seq"], text))
            number += 1
        return acknowledged

    def fail():
        term = cluster.brokers[0].metrics()["broker_cluster_term"]
        try:
            cluster.engine.primary.end()
            cluster.everywhere(lambda broker: broker.metrics()["broker_cluster_term"] > term, "another term")
            cluster.everywhere(is_ready, "ready again")
        finally:
            stop.set()

    *acknowledged, _ = at_once(*[lambda broker=broker: publish(broker) for broker in cluster.brokers], fail)
    last = [broker.publish("kept/failover/end", "end")["seq"] for broker in cluster.brokers]
    seen = []
    for follower in followers:
        messages = []
        while sum(topic == "kept/failover/end" for _, topic, _ in messages) < len(last):
            messages += collect(follower, 1)
        seen.append(messages)
    assert seen[0] == seen[1] == seen[2]
    texts = {seq: data for seq, _, data in seen[0]}
    assert len(texts) == len(seen[0]) == len(set(texts.values())) + len(last) - 1, "none is there twice"
    for one in acknowledged:
        assert one and all(texts[seq] == text for seq, text in one)


def test_without_an_engine_a_broker_serves_reads(cluster):
    """The last test, because the engine ends."""
    broker = cluster.brokers[0]
    broker.publish("kept/last", "value", "retain")
    session = broker.session()
    session.subscribe("kept/last")
    cluster.engine.end()
    wait_until(lambda: not is_ready(broker), "not ready")
    answer = broker.http("GET", "/health/ready")
    assert answer.status == 503 and "engine" in answer.json["reason"]
    refused = said(broker.control("users", "add", "late", "--no-password"), 1)
    assert "The cluster has not confirmed the change" in refused and "(unavailable)" in refused
    assert "unavailable" in said(broker.control("bans", "add", "user", "late"), 1)
    assert users(broker) == {} and broker.control_json("bans") == []
    answer = wait_until(
        lambda: (found := broker.http("POST", "/t/kept/last", body="x")).status == 503 and found, "a refusal")
    assert json.loads(answer.body)["error"]["code"] == "unavailable"
    assert broker.retained("kept/last").body == b"value"
    assert broker.metrics()["broker_cluster_active"] == 0
    assert session.request(op="ping")["op"] == "pong", "sockets stay"
    rules = broker.config_file.read_text().replace("access:\n", "access:\n  anonymous: { publish: [] }\n")
    assert "the rules of the cluster cannot be changed now" in reload(broker, rules, "the settings have errors")
    # One that went on by itself would have messages that no other has.
    broker.stop()
    done = run_brokerd("--data-dir", str(broker.data), "--listen", f"127.0.0.1:{broker.port}", cwd=broker.directory)
    assert done.returncode == 1 and "is that of a broker of a cluster: set cluster" in done.stdout


def test_the_commands_of_the_manual_work(tmp_path):
    """The blocks of docs/cluster.md, unchanged except for the ports."""
    page = (REPOSITORY / "docs/cluster.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    script = "set -e\n" + "echo\n".join(blocks)
    for port in ("8081", "8082", "8083", "6379", "6380", "6381", "26379", "26380", "26381"):
        script = re.sub(rf"(?<!\d){port}(?!\d)", str(free_port()), script)
    script = script.replace(".build/release/brokerd", BROKERD).replace(".build/release/brokerctl", BROKERCTL)
    shell = subprocess.Popen(
        ["bash", "-c", script], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    try:
        printed, _ = shell.communicate(timeout=2 * ANSWER_DEADLINE)
    finally:
        end_processes(below=tmp_path)
    assert shell.returncode == 0, printed
    for part in ("21.5", "state           active", "3 of 3 alive", "\n22\n", "\n23\n"):
        assert part in printed, (part, printed)


def end_processes(below):
    """Ends the processes that a failed walk leaves: those with their working directory there."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            directory = (process / "cwd").readlink()
        except OSError:
            continue
        if directory.is_relative_to(below):
            os.kill(int(process.name), signal.SIGKILL)
