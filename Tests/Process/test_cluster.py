"""Three brokers on one engine: one order, one number to resume, and nothing acknowledged lost."""

import json
import re
import threading

from broker_process import finish_all
from cluster_rig import NAMES, at_once, cluster, collect, engine, is_ready, reload, said, shared, users  # noqa: F401
from command_line import run_brokerd
from deadlines import wait_until
from fragile_disk import FragileDisk


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


def test_nothing_is_left_of_a_copy_whose_receiver_was_killed(cluster):
    first = cluster.brokers[0]
    for number in range(4):
        first.publish(f"large/{number}", "z" * 900_000, "retain&ack=stored")
    cut_log(cluster.engine)
    primary = cluster.engine.current_primary()

    def left():
        return [line for line in primary.ask("KEYS", "broker:{test}:cop*").split("\r\n") if line.startswith("broker:")]

    killed = cluster.make("killed")
    try:
        killed.start()
        wait_until(lambda: len(left()) == 2, "a request")
        killed.kill()
        (place,) = [key for key in left() if "copy:" in key]
        wait_until(lambda: "size" in primary.ask("HKEYS", place), "the first pieces")
        wait_until(lambda: left() == [], "an engine without pieces")
        assert said(first.control("cluster", "forget", "killed")) == "forgot killed\n"
    finally:
        killed.kill()


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
        for broker, words in zip(cluster.brokers, ("behind", "ahead of", "ahead of")):
            broker.wait_for_line(f"not set up as recommended.*clock is [0-9]+ s {words} that of .*synchronise both")
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
    """A broker whose disk has lost a key accepts as new what the others recognise as a repetition."""
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
    # A broker that continued on its own would have messages that no other has.
    broker.stop()
    done = run_brokerd("--data-dir", str(broker.data), "--listen", f"127.0.0.1:{broker.port}", cwd=broker.directory)
    assert done.returncode == 1 and "is that of a broker of a cluster: set cluster" in done.stdout
