"""Administration of three brokers on one engine, some of which have not been heard from for longer than the lease."""

import json
import signal

from cluster_rig import cluster, engine, is_ready, said, shared  # noqa: F401
from deadlines import wait_until

LEFT_OUT = "broker {} does not respond; its part of the list is missing\n"
UNHARMED = "broker {} does not respond; its clients stay connected\n"


def states(broker):
    """Whether each broker lives, by its name, according to one of them."""
    return {row["name"]: row["alive"] for row in broker.control_json("cluster", "nodes")}


def is_whole(broker):
    done = broker.control("clients")
    return done.returncode == 0 and done.stderr == b""


def test_a_silent_broker_is_named_until_it_is_forgotten(cluster):
    first, _, third = cluster.brokers
    sessions = [first.session(), third.session()]
    wait_until(lambda: states(first) == dict.fromkeys("abc", True) and is_whole(first), "three brokers, without remarks")
    third.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: states(first).get("c") is False, "a broker that is silent for longer than the lease")
        done = first.control("clients", "--json")
        assert done.returncode == 1 and "a" in {row["node"] for row in json.loads(done.stdout)}
        assert LEFT_OUT.format("c") in done.stderr.decode()
        assert LEFT_OUT.format("c") in said(first.control("topics", "--seconds", "0"), 1)
        done = first.control("clients", "kick", "--user", "bob", "--json")
        assert done.returncode == 1 and "c" in json.loads(done.stdout)["missing"]
        assert UNHARMED.format("c") in done.stderr.decode()
        for command in (["clients", "--node", "c"], ["clients", "kick", sessions[1].welcome["client"]], ["cluster", "drain", "c"]):
            assert "The broker c does not respond. (unavailable)" in said(first.control(*command), 1)
        assert "The broker a is not down" in said(first.control("cluster", "forget", "a"), 1)
        assert "There is no broker x" in said(first.control("cluster", "forget", "x"), 1)
        assert said(first.control("cluster", "forget", "c")) == "forgot c\n"
        wait_until(lambda: "c" not in states(first) and is_whole(first), "a list without the forgotten broker")
    finally:
        third.send_signal(signal.SIGCONT)
    wait_until(lambda: is_ready(third) and states(first).get("c"), "a broker that has returned")


def test_a_broker_that_was_shut_down_is_not_missed(cluster):
    first, second, third = cluster.brokers
    said(first.control("cluster", "drain", "c", "--yes"))
    assert third.wait_for_exit() == 0
    second.stop()
    # It reads the records of the one that has left.
    second.start()
    for broker in (first, second):
        wait_until(lambda broker=broker: is_ready(broker) and is_whole(broker), "a list without remarks")
        wait_until(lambda broker=broker: set(states(broker)) == {"a", "b"}, "two brokers")
    third.start()


def test_a_broker_without_an_engine_names_the_others(cluster):
    """The last test, because the engine ends."""
    first = cluster.brokers[0]
    cluster.engine.end()
    wait_until(lambda: states(first) == {"a": True, "b": False, "c": False}, "silence")
    complaint = said(first.control("clients", "kick", "--user", "bob"), 1)
    assert UNHARMED.format("b") in complaint and UNHARMED.format("c") in complaint
    assert "cannot be used now" in said(first.control("cluster", "forget", "c"), 1)
    first.stop()
    first.start()
    assert "the other brokers of the cluster are unknown" in said(first.control("clients"), 1)
    assert json.loads(first.control("clients", "kick", "--user", "bob", "--json").stdout)["missing"] == ["*"]
    assert "does not know the others yet" in said(first.control("clients", "--node", "c"), 1)
