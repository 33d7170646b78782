"""Contract §2: /health/live, /health/ready, /metrics."""

import re
import signal
import threading
import time
from urllib.parse import quote

import pytest

from deadlines import wait_until
from packed_session import SUBPROTOCOL, PackedSession
from test_events import events
from test_slow_readers import flood, slow_session

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


def test_readiness_is_stable(broker):
    for _ in range(20):
        assert broker.http("GET", "/health/ready").status == 200


def test_the_readiness_probe_is_neither_delivered_nor_kept(start_broker):
    # Without the broker's own figures and events nothing but the probe could come.
    broker = start_broker('system_topics: { interval: 0, events: false }\nhistory: [ { filter: "#", messages: 100 } ]\n')
    session = broker.session()
    filters = ["#", "+/#", "$SYS/#", "$SYS/broker/+", "+"]
    for filter_ in filters:
        session.subscribe(filter_)
    published = broker.metrics()["broker_messages_published_total"]
    # Rates of topics do not count a probe either.
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


def test_retained_values_are_counted(broker):
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


def test_topics_and_clients_are_never_labels(broker):
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


def test_traffic_is_counted_by_endpoint(broker):
    session, socket = broker.session(), broker.topic_socket("by/socket")
    follower = broker.follow("by/#", "snapshot=false", {"Accept": "text/event-stream"})
    session.subscribe("by/#")
    before = broker.metrics()
    assert before['broker_endpoint_clients{endpoint="json"}'] == 1
    assert before['broker_endpoint_clients{endpoint="topic"}'] == 1
    assert before['broker_endpoint_clients{endpoint="events"}'] == 1
    session.publish("by/json", "12345")
    session.expect("message", topic="by/json")
    socket.send_text("1234567")
    session.expect("message", topic="by/socket")
    assert socket.receive_text() == "1234567"
    broker.publish("by/http", "123")
    session.expect("message", topic="by/http")
    grown = rise(before, broker.metrics())
    found = {name: grown.get(f'broker_endpoint_{name}') for name in (
        'received_messages_total{endpoint="json"}', 'received_bytes_total{endpoint="json"}',
        'received_messages_total{endpoint="topic"}', 'received_bytes_total{endpoint="topic"}',
        'received_messages_total{endpoint="http"}', 'received_bytes_total{endpoint="http"}',
        'sent_messages_total{endpoint="json"}', 'sent_bytes_total{endpoint="json"}',
        'sent_messages_total{endpoint="topic"}', 'sent_bytes_total{endpoint="topic"}',
        'sent_messages_total{endpoint="events"}', 'sent_bytes_total{endpoint="events"}')}
    assert list(found.values()) == [1, 5, 1, 7, 1, 3, 3, 15, 1, 7, 3, 15], found
    assert grown["broker_sent_bytes_total"] > 15 * 3 and grown["broker_received_bytes_total"] > 15
    follower.close()


def test_messagepack_is_counted_apart_from_json(broker):
    session, packed = broker.session(), PackedSession(broker.websocket("/ws", [SUBPROTOCOL]))
    packed.subscribe("both")
    session.subscribe("both")
    before = broker.metrics()
    assert before['broker_endpoint_clients{endpoint="msgpack"}'] == before['broker_endpoint_clients{endpoint="json"}'] == 1
    packed.publish("both", "12345")
    for one in (session, packed):
        one.expect("message", topic="both")
    grown = rise(before, broker.metrics())
    assert 'broker_endpoint_received_messages_total{endpoint="json"}' not in grown
    assert [grown[f'broker_endpoint_{name}'] for name in (
        'received_messages_total{endpoint="msgpack"}', 'received_bytes_total{endpoint="msgpack"}',
        'sent_messages_total{endpoint="msgpack"}', 'sent_bytes_total{endpoint="msgpack"}',
        'sent_messages_total{endpoint="json"}')] == [1, 5, 1, 5, 1]


def test_answers_and_errors_are_counted_alike_over_http_and_websocket(broker):
    before = broker.metrics()
    broker.http("GET", "/t/none")
    broker.http("POST", "/t/a%2B", body="x")
    broker.publish("a", "x", "retain")
    broker.http("GET", "/t/a", headers={"If-None-Match": "*"})
    session = broker.session()
    session.request(op="publish", topic="a/+", data=1)
    session.request(op="unsubscribe", filter="none")
    broker.http("POST", "/t", body=b'{"topic":"b/+","data":1}\n')
    grown = rise(before, broker.metrics())
    assert grown['broker_errors_total{code="bad-topic"}'] == 3, grown
    assert grown['broker_errors_total{code="not-found"}'] == 2, grown
    classes = [grown[f'broker_http_responses_total{{class="{one}xx"}}'] for one in range(1, 5)]
    # The request for the metrics counts as one more of the second kind.
    assert classes == [1, 3, 1, 2], grown


def test_resumes_are_counted_by_their_outcome(start_broker):
    broker = start_broker('history: [ { filter: "kept/#", messages: 9 } ]\n')
    session = broker.session()
    seqs = [session.publish("kept/a", number)["seq"] for number in range(4)]
    session.publish("other", 1)
    before = broker.metrics()
    for filter_, since in (("kept/a", seqs[3]), ("kept/a", seqs[1]), ("other", seqs[1])):
        session.send(op="subscribe", filter=filter_, since=since)
        while session.receive()["op"] != "live":
            pass
        session.request(op="unsubscribe", filter=filter_)
    grown = rise(before, broker.metrics())
    assert grown['broker_resumes_total{outcome="complete"}'] == 2, grown
    assert grown['broker_resumes_total{outcome="gap"}'] == 1, grown


def test_slow_readers_are_shown(start_broker):
    broker = start_broker("limits: { pending: 65536 }\n")
    receive = slow_session(broker, "slow/#", "drop-oldest")
    last = flood(broker, "slow", count=300)[-1]
    found = broker.metrics()
    assert found["broker_clients_behind"] == 1, found
    assert found["broker_pending_bytes"] == found["broker_pending_bytes_largest"] > 0, found
    while receive().get("seq") != last:
        pass
    wait_until(lambda: broker.metrics()["broker_clients_behind"] == 0, "no client to be behind")
    assert broker.metrics()["broker_pending_bytes"] == 0


def test_last_backups_and_reloads_are_shown(start_broker, tmp_path):
    broker = start_broker("limits: { pending: 65536 }\n")
    before = broker.metrics()
    assert not any("last_backup" in name or "last_reload_timestamp" in name for name in before)
    assert before["broker_config_last_reload_successful"] == 1
    version = broker.control("--version").stdout.decode().split()[-1]
    assert before[f'broker_build_info{{version="{version}"}}'] == 1
    assert 3 < before["process_open_fds"] < before["process_max_fds"]
    began = time.time()
    assert broker.control("backup", str(tmp_path / "copy")).returncode == 0
    broker.config_file.write_text("limits: { pendin: 1 }\n")
    broker.send_signal(signal.SIGHUP)
    wait_until(lambda: broker.metrics()["broker_config_last_reload_successful"] == 0, "a reload was refused")
    broker.config_file.write_text("limits: { pending: 65537 }\n")
    broker.send_signal(signal.SIGHUP)
    wait_until(lambda: broker.metrics()["broker_config_last_reload_successful"] == 1, "a reload was taken over")
    found = broker.metrics()
    assert began - 1 <= found["broker_last_backup_timestamp_seconds"] <= time.time()
    assert began - 1 <= found["broker_config_last_reload_timestamp_seconds"] <= time.time()


def test_deliveries_commits_and_turns_have_histograms(broker):
    session = broker.session()
    session.subscribe("timed")
    for number in range(3):
        session.publish("timed", number, retain=True, ack="stored")
        session.expect("message")

    def measured():
        found = broker.metrics()
        return all(found[f"broker_{name}_seconds_count"] > 0 for name in (
            "delivery_duration", "store_commit_duration", "loop_lag"))

    wait_until(measured, "something is measured")


def test_the_bytes_of_a_client_are_reported_when_it_leaves(broker):
    session = broker.session()
    session.publish("a", "x" * 1000)
    session.close()
    (left,) = events(broker, "left")
    assert 1000 < left["received"] < 3000 and 50 < left["sent"] < 1000, left
