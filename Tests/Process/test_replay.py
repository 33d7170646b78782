"""`brokerctl record` and `replay`: payloads byte for byte, in order, with their timing."""

import json
import subprocess
import time

import pytest

from command_line import BROKERCTL, run_control
from deadlines import ANSWER_DEADLINE, wait_until


@pytest.fixture
def other(start_broker):
    """A broker on which records are replayed."""
    return start_broker()


def record(broker, file, count, publish, *arguments):
    """Records this many messages of `publish`."""
    with file.open("wb") as output:
        child = subprocess.Popen(
            [BROKERCTL, "--socket", str(broker.admin_socket), "record", "#", "--count", str(count), *arguments],
            stdout=output)
    try:
        wait_until(lambda: broker.control_json("subscriptions") != [], "the subscription")
        publish()
        assert child.wait(ANSWER_DEADLINE) == 0
    finally:
        child.kill()
        child.wait()
    return [json.loads(line) for line in file.read_text().splitlines()]


PAYLOADS = [
    ("text", b"hello \xc3\xa9 \x00 \n", None), ("json", b'{ "a": [1.50, "x"] }', "application/json"),
    ("string", b'"a string"', "application/json"), ("bytes", bytes(range(256)), "application/octet-stream"),
    ("typed", b"<p>", "text/html"), ("nothing", b"", "image/png")]


def test_payloads_round_trip(broker, other, tmp_path):
    def publish():
        for topic, body, type_ in PAYLOADS:
            broker.publish(topic, body, headers={"Content-Type": type_} if type_ else {})
    recorded = record(broker, tmp_path / "r.jsonl", len(PAYLOADS), publish)
    assert [line["topic"] for line in recorded] == [topic for topic, *_ in PAYLOADS]
    sockets = {topic: other.topic_socket(f"copy/{topic}") for topic, *_ in PAYLOADS}
    for socket_ in sockets.values():
        socket_.synchronise()
    done = other.control("replay", str(tmp_path / "r.jsonl"), "--prefix", "copy/", "--speed", "max")
    assert done.returncode == 0 and done.stdout == b"published: 6\n"
    for topic, body, type_ in PAYLOADS:
        _, payload = sockets[topic].receive_message(ANSWER_DEADLINE)
        assert payload == body, topic


def test_retained_values_are_replayed_first_and_retained(broker, other, tmp_path):
    broker.publish("kept", bytes(range(256)), "retain", {"Content-Type": "image/png"})
    recorded = record(broker, tmp_path / "r.jsonl", 2, lambda: broker.publish("live", "x"))
    assert [(line["topic"], line.get("retained", False)) for line in recorded] == [("kept", True), ("live", False)]
    # There is no pause for an old value.
    begin = time.monotonic()
    assert other.control_json("replay", str(tmp_path / "r.jsonl")) == {"published": 2}
    assert time.monotonic() - begin < ANSWER_DEADLINE
    kept = other.retained("kept")
    assert kept.body == bytes(range(256)) and kept.headers["Content-Type"] == "image/png"
    assert other.retained("live").status == 404
    assert [line["topic"] for line in record(broker, tmp_path / "s.jsonl", 1, lambda: broker.publish("b", "x"), "--no-snapshot")] == ["b"]


def test_headers_round_trip(broker, other, tmp_path):
    publish = lambda: broker.session().publish(
        "jobs", 1, headers={"trace": "7f3a"}, replyTo="done/1", correlation="j1")
    record(broker, tmp_path / "r.jsonl", 1, publish)
    session = other.session()
    session.subscribe("jobs")
    assert other.control("replay", str(tmp_path / "r.jsonl")).returncode == 0
    session.expect("message", topic="jobs", data=1, headers={"trace": "7f3a"}, replyTo="done/1", correlation="j1")


def lines(*offsets):
    return "".join(json.dumps({"topic": f"t/{index}", "time": 1_000_000 + offset, "data": index}) + "\n"
                   for index, offset in enumerate(offsets)).encode()


@pytest.mark.parametrize("speed, least", [("1", 0.6), ("2", 0.3), ("0.5", 1.2), ("max", 0)])
def test_replay_keeps_the_recorded_timing(broker, speed, least):
    session = broker.session()
    session.subscribe("t/#")
    begin = time.monotonic()
    done = broker.control("replay", "-", "--speed", speed, input=lines(0, 100, 600))
    assert done.returncode == 0 and time.monotonic() - begin >= least
    first, _, last = [session.expect("message") for _ in range(3)]
    # The last is published not before its time after the first.
    assert last["time"] - first["time"] >= least * 1000 - 50
    assert [first["topic"], last["topic"]] == ["t/0", "t/2"]


def test_extreme_times_are_handled(broker):
    text = "".join(json.dumps({"topic": "t", "time": time_, "data": 1}) + "\n" for time_ in (2**63 - 1, -2**63, 0))
    assert broker.control("replay", input=text.encode()).stdout == b"published: 3\n"


def test_a_thousand_messages_keep_their_order(broker):
    session = broker.session()
    session.subscribe("t/#")
    done = broker.control("replay", "--speed", "max", "--json", input=lines(*range(1000)))
    assert json.loads(done.stdout) == {"published": 1000}
    assert [session.expect("message")["data"] for _ in range(1000)] == list(range(1000))


@pytest.mark.parametrize("line, advice", [
    (b"{", "line 2: "), (b'{"time":1}', "topic: expected a string"), (b'{"topic":"a"}', "time: expected Unix milliseconds"),
    (b'{"topic":"a/+","time":1,"data":1}', "bad-topic"), (b"x" * 3_000_000, "too-large")])
def test_an_invalid_line_is_named(broker, line, advice):
    done = broker.control("replay", "--speed", "max", input=lines(0) + line + b"\n")
    assert done.returncode == 1 and advice in done.stderr.decode()


def test_gaps_in_the_record_are_reported(broker):
    done = broker.control("replay", "--speed", "max", input=b'{"gap":true,"missed":7}\n\n' + lines(0))
    assert done.returncode == 0 and b"line 1: 7 messages are missing in the recording" in done.stderr
    assert done.stdout == b"published: 1\n"


@pytest.mark.parametrize("arguments", [["replay", "--speed", "0"], ["replay", "--speed", "fast"], ["replay", "--speed", "inf"],
                                       ["record", "#", "--count", "0"], ["record", "#", "--since", "yesterday"], ["record"]])
def test_invalid_arguments_are_usage_errors(arguments):
    done = run_control(*arguments)
    assert done.returncode == 64 and done.stderr
