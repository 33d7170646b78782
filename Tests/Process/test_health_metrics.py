"""Contract §2: /health/live, /health/ready, /metrics."""

import re
import threading
from urllib.parse import quote

import pytest

SAMPLE = re.compile(
    r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="(\\.|[^"\\\n])*",?)*\})? '
    r"([+-]?([0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|Inf)|NaN)$")


def rise(before, after):
    """The samples that grew, by how much."""
    return {name: value - before.get(name, 0) for name, value in after.items() if value > before.get(name, 0)}


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_healthy_is_200_with_json(broker, path):
    answer = broker.http("GET", path)
    assert answer.status == 200 and answer.headers.get_content_type() == "application/json"
    assert isinstance(answer.json, dict)
    assert broker.http("HEAD", path).status == 200


def test_ready_goes_on_saying_so(broker):
    for _ in range(20):
        assert broker.http("GET", "/health/ready").status == 200


def test_the_readiness_probe_reaches_no_subscriber_and_keeps_nothing(start_broker):
    # Without the broker's own figures and events nothing but the probe could come.
    broker = start_broker('system_topics: { interval: 0, events: false }\nhistory: [ { filter: "#", messages: 100 } ]\n')
    session = broker.session()
    filters = ["#", "+/#", "$SYS/#", "$SYS/broker/+", "+"]
    for filter_ in filters:
        session.subscribe(filter_)
    published = broker.metrics()["broker_messages_published_total"]
    # Rates of topics that are looked at during a probe show nothing of it either.
    watching = threading.Thread(target=lambda: shown.extend(broker.control_json("topics", "--seconds", "2")))
    shown = []
    watching.start()
    for _ in range(3):
        assert broker.http("GET", "/health/ready").status == 200
    watching.join(20)
    assert shown == []
    assert broker.metrics()["broker_messages_published_total"] == published
    session.synchronise()
    assert session.waiting == []
    for filter_ in filters:
        assert broker.http("GET", f"/s/{quote(filter_)}?poll=1").body.count(b'"topic"') == 0
        assert broker.http("GET", f"/s/{quote(filter_)}?since=1&poll=1").body.count(b'"topic"') == 0


def test_every_line_is_prometheus_text(broker):
    answer = broker.http("GET", "/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain")
    assert answer.body.endswith(b"\n")
    described, typed, seen = set(), {}, set()
    for line in answer.body.decode().splitlines():
        if line.startswith("# HELP "):
            described.add(line.split(" ", 3)[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped") and name not in typed
            typed[name] = kind
        elif line:
            assert SAMPLE.match(line), line
            sample = line.rpartition(" ")[0]
            assert sample not in seen, f"twice: {sample}"
            seen.add(sample)
            name = sample.partition("{")[0]
            family = name if name in typed else re.sub(r"_(bucket|sum|count|total)$", "", name)
            assert family in typed and family in described, f"{name} has no TYPE or no HELP"
            if typed[family] == "counter":
                assert name.endswith("_total") or name.endswith("_created"), name
    assert seen


def test_messages_and_connections_are_counted(broker):
    before = broker.metrics()
    session = broker.session()
    session.subscribe("counted")
    for number in range(7):
        session.publish("counted", number)
    for _ in range(7):
        session.expect("message")
    grown = rise(before, broker.metrics())
    names = ["messages_published_total", "messages_delivered_total", "clients", "subscriptions"]
    assert [grown[f"broker_{name}"] for name in names] == [7, 7, 1, 1], grown


def test_what_is_retained_is_counted(broker):
    before = broker.metrics()
    for number in range(5):
        broker.publish(f"kept/{number}", "x" * 100, "retain")
    grown = rise(before, broker.metrics())
    assert (grown["broker_retained_messages"], grown["broker_retained_bytes"]) == (5, 500), grown


def test_a_refusal_is_counted(broker):
    before = broker.metrics()
    broker.session().request(op="publish", topic="bad/+", data=1)
    broker.http("POST", "/t/bad%23", body="x")
    grown = rise(before, broker.metrics())
    assert grown['broker_refusals_total{reason="command"}'] == 1, grown


def test_no_topic_and_no_client_is_ever_a_label(broker):
    session = broker.session()
    session.subscribe("very/secret/filter")
    broker.publish("very/secret/topic", "x", "retain")
    text = broker.http("GET", "/metrics").body.decode()
    assert "secret" not in text and session.welcome["client"] not in text


def test_the_number_of_samples_does_not_grow_with_use(broker):
    session = broker.session()
    broker.publish("warm", "up", "retain")
    before = len(broker.metrics())
    for number in range(200):
        session.publish(f"new/topic/{number}", number)
        session.request(op="subscribe", filter=f"new/filter/{number}")
        broker.http("GET", f"/unknown/{number}")
    assert len(broker.metrics()) <= before + 10


def test_metrics_can_be_turned_off(start_broker):
    broker = start_broker("metrics: { enabled: false }\n")
    assert broker.http("GET", "/metrics").status == 404
