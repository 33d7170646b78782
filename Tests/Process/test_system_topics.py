"""Contract §1: `$SYS/…` belongs to the broker, which publishes its own figures there."""

import json
import re

import pytest

from deadlines import wait_until

FAST = "system_topics: { interval: 1s }\n"


def figures(broker):
    """All figures."""
    answer = broker.http("GET", "/s/%24SYS/broker/%23?poll=1", headers={"Accept": "application/x-ndjson"})
    assert answer.status == 200, answer
    messages = [json.loads(line) for line in answer.body.splitlines()]
    return {message["topic"]: message["data"] for message in messages if "topic" in message}


@pytest.fixture
def fast(start_broker):
    broker = start_broker(FAST)
    wait_until(lambda: broker.retained("$SYS/broker/version").status == 200, "the first figures")
    return broker


def test_system_topics_are_available_at_every_endpoint(fast):
    assert fast.retained("$SYS/broker/version").body.startswith(b'"broker ')
    session = fast.session()
    shown = {message["topic"]: message for message in session.subscribe("$SYS/broker/#")}
    assert shown["$SYS/broker/clients/connected"]["retained"] is True
    assert isinstance(shown["$SYS/broker/uptime"]["data"], int)
    live = session.receive()
    assert live["topic"].startswith("$SYS/broker/") and "retained" not in live
    topic = fast.topic_socket("$SYS/broker/uptime")
    first, second = int(topic.receive_message()[1]), int(topic.receive_message()[1])
    assert second > first
    assert fast.follow("$SYS/broker/uptime").json()["data"] >= second


def test_the_figures_are_correct(fast):
    before = figures(fast)
    sessions = [fast.session() for _ in range(3)]
    sessions[0].subscribe(["a", "b/#"])
    for number in range(10):
        sessions[1].publish("a", number)
    sessions[1].publish("kept", "x" * 98, retain=True)
    wanted = {
        "$SYS/broker/clients/connected": 3, "$SYS/broker/subscriptions/count": 2,
        "$SYS/broker/retained messages/count": 1, "$SYS/broker/store/messages/bytes": 98,
        "$SYS/broker/publish/messages/received": before.get("$SYS/broker/publish/messages/received", 0) + 11}

    def are_right():
        now = figures(fast)
        return all(now.get(topic) == value for topic, value in wanted.items())

    wait_until(are_right, f"{wanted}")
    assert figures(fast)["$SYS/broker/load/publish/received/1min"] > 0
    for session in sessions:
        session.close()
    wait_until(lambda: figures(fast)["$SYS/broker/clients/connected"] == 0, "nobody connected")
    assert figures(fast)["$SYS/broker/clients/maximum"] >= 3


def test_every_metric_has_a_system_topic(fast):
    """The names are those of /metrics, with the labels' values as levels."""
    session = fast.session()
    session.subscribe("a")
    session.publish("a", "12345")
    session.publish("kept", 1, retain=True)

    def topic(name):
        family, _, labels = name.partition("{")
        return "$SYS/broker/metrics/" + "/".join([family, *re.findall('="([^"]*)"', labels)])

    def missing():
        shown, scraped = figures(fast), fast.metrics()
        singles = [name for name in scraped if not re.search("_(bucket|sum|count)($|{)", name)]
        histograms = [name.removesuffix("_count") for name in scraped if name.endswith("_count")]
        return [name for name in singles + histograms if topic(name) not in shown]

    wait_until(lambda: missing() == [], "all metrics to be there")
    wait_until(lambda: figures(fast)["$SYS/broker/metrics/broker_endpoint_received_bytes_total/json"] == 6, "the count")
    shown = figures(fast)
    assert shown["$SYS/broker/metrics/broker_retained_messages"] == 1
    assert shown["$SYS/broker/metrics/broker_store_commit_duration_seconds"]["count"] >= 1
    assert shown["$SYS/broker/metrics/broker_store_commit_duration_seconds"]["sum"] > 0


def test_sent_messages_and_bytes_are_counted(fast):
    """Read one by one, because a subscription to the figures would itself be counted."""
    def figure(name):
        return json.loads(fast.retained(f"$SYS/broker/{name}").body)

    names = ["publish/messages/sent", "publish/bytes/sent", "metrics/broker_endpoint_sent_bytes_total/json"]
    wait_until(lambda: fast.retained(f"$SYS/broker/{names[-1]}").status == 200, "the first figures")
    before = [figure(name) for name in names]
    session = fast.session()
    session.subscribe("a")
    session.publish("a", "12345")
    session.expect("message", topic="a")
    wait_until(lambda: [figure(name) - old for name, old in zip(names, before)] == [1, 5, 5], "they are counted")
    assert figure("bytes/sent") > 5 and figure("publish/messages/dropped") == 0
    wait_until(lambda: figure("load/bytes/sent/1min") > 0, "the average rises")


def test_system_topics_and_the_readiness_probe_take_no_numbers(fast):
    session = fast.session()
    session.publish("a", 1)
    number = fast.metrics()["broker_sequence_number"]
    wait = fast.session()
    wait.subscribe("$SYS/broker/uptime")
    for _ in range(2):
        assert wait.expect("message", topic="$SYS/broker/uptime")["seq"] == number
        assert fast.http("GET", "/health/ready").status == 200
    assert fast.metrics()["broker_sequence_number"] == number
    assert "ETag" not in fast.retained("$SYS/broker/uptime").headers


def test_clients_cannot_publish_system_topics_and_leading_wildcards_skip_them(fast):
    session = fast.session()
    assert session.request(op="publish", topic="$SYS/broker/uptime", data=1)["code"] == "forbidden"
    assert fast.http("POST", "/t/%24SYS/x", body=b"x").status == 403
    assert session.subscribe(["#", "+/broker/uptime"]) == []
    wait = fast.session()
    wait.subscribe("$SYS/broker/uptime")
    for _ in range(2):
        wait.expect("message", topic="$SYS/broker/uptime")
    session.synchronise()
    assert session.waiting == []


def test_system_topics_are_never_on_disk(fast):
    assert fast.metrics()["broker_retained_messages"] == 0
    fast.stop()
    fast.config_file.write_text("system_topics: { interval: 0 }\n")
    fast.start()
    assert fast.retained("$SYS/broker/version").status == 404
    assert figures(fast) == {}
