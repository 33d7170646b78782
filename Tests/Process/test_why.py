"""Contract §7: `brokerctl why` and `brokerctl trace`, which explain what happened to messages."""

import json
import threading

import pytest

from test_slow_readers import flood, slow_session

CONFIG = """
reactors: { count: 2 }
access:
  anonymous: { publish: ["open/#"], subscribe: ["open/#"] }
"""


@pytest.fixture
def broker(start_broker):
    return start_broker(CONFIG)


def why(broker, client, topic, *options):
    return broker.control_json("why", client, topic, *options)


def outcomes(found):
    return [message["outcome"] for message in found["messages"]]


def test_shows_sent_and_earlier_messages(broker):
    publisher, session = broker.session(), broker.session()
    publisher.publish("open/1", "early")
    session.subscribe("open/+")
    sent = publisher.publish("open/1", "late")
    session.expect("message")
    found = why(broker, session.welcome["client"], "open/1")
    # Another event loop without a subscription has not seen the first.
    assert outcomes(found)[-1] in ("sent", "acknowledged")
    last = found["messages"][-1]
    assert last["seq"] == sent["seq"] and last["from"] == publisher.welcome["client"] and last["time"] > 0
    assert found["allowed"] is True and found["rule"] == "anonymous: open/#"
    (filter_,) = found["filters"]
    assert filter_["filter"] == "open/+" and filter_["matches"] is True and filter_["since"] == sent["seq"] - 1


def test_says_why_nothing_was_sent(broker):
    session, other = broker.session(), broker.session()
    session.subscribe("open/other")
    other.subscribe("open/#")
    other.publish("open/1", 1)
    found = why(broker, session.welcome["client"], "open/1")
    assert set(outcomes(found)) <= {"unmatched"}
    (filter_,) = found["filters"]
    assert filter_["matches"] is False and filter_["reason"] == 'level 2 is "1", not "other"'
    found = why(broker, session.welcome["client"], "closed/1")
    assert found["allowed"] is False and found["rule"].startswith("no rule allows")


def test_shows_own_messages_skipped_by_echo_false(broker):
    session = broker.session()
    session.subscribe("open/1", echo=False)
    session.publish("open/1", 1)
    assert outcomes(why(broker, session.welcome["client"], "open/1")) == ["own"]


def test_shows_a_refused_publication(broker):
    publisher, session = broker.session(), broker.session()
    publisher.request(op="publish", topic="closed/1", data=1)
    (message,) = why(broker, session.welcome["client"], "closed/1")["messages"]
    assert message["outcome"] == "refused" and message["from"] == publisher.welcome["client"]
    assert message["reason"].endswith("forbidden") and "seq" not in message


def test_shows_what_a_slow_reader_missed(start_broker):
    broker = start_broker("limits: { pending: 65536 }\n")
    receive = slow_session(broker, "slow/#", "drop-oldest")
    client = receive.__self__.welcome["client"]
    sent = flood(broker, "slow", count=300)
    found = why(broker, client, "slow/0", "--limit", "1000")
    assert found["behind"] is True and found["pendingBytes"] > 0
    assert [message["seq"] for message in found["messages"]] == sent
    words = outcomes(found)
    assert (words[0], words[-1]) == ("sent", "waiting") and "dropped" in words
    arrived = set()
    while max(arrived, default=0) != sent[-1]:
        received = receive()
        if received["op"] == "message":
            arrived.add(received["seq"])
    for message in why(broker, client, "slow/0", "--limit", "1000")["messages"]:
        assert (message["seq"] in arrived) == (message["outcome"] != "dropped"), message


def test_an_unknown_client_is_an_error(broker):
    done = broker.control("why", "1a2b3c", "open/1")
    assert done.returncode == 1 and b"There is no client 1a2b3c" in done.stderr


def test_the_default_output_is_readable(broker):
    session = broker.session()
    session.subscribe("open/1")
    session.publish("open/1", 1)
    session.expect("message")
    text = broker.control("why", session.welcome["client"], "open/1").stdout.decode()
    assert "keeps up" in text and "may subscribe: anonymous: open/#" in text and "open/1: matches, since message" in text
    assert "sent at once" in text


def test_figures_and_events_do_not_displace_messages(start_broker):
    """They would fill a ring of 100 records within some seconds."""
    broker = start_broker("reactors: { count: 1 }\nlog: { flight_memory: 4000 }\nsystem_topics: { interval: 1s }\n")
    session, watcher = broker.session(), broker.session()
    session.subscribe("a", snapshot=False)
    for number in range(90):
        session.publish("a", number)
    watcher.subscribe("$SYS/broker/uptime")
    for _ in range(3):
        watcher.expect("message", topic="$SYS/broker/uptime")
    assert len(why(broker, session.welcome["client"], "a", "--limit", "1000")["messages"]) == 90


def test_the_recorder_is_limited_and_can_be_off(start_broker):
    broker = start_broker("reactors: { count: 1 }\nlog: { flight_memory: 4000 }\n")
    session = broker.session()
    session.subscribe("a", snapshot=False)
    for number in range(300):
        session.publish("a", number)
    client = session.welcome["client"]
    assert len(why(broker, client, "a", "--limit", "1000")["messages"]) == 4000 // 40
    broker.config_file.write_text("reactors: { count: 1 }\nlog: { flight_memory: 0 }\n")
    assert broker.control("reload").returncode == 0
    session.publish("a", 1)
    assert why(broker, client, "a")["messages"] == []


def traced(broker, *options, meanwhile):
    """The output of a trace of two seconds, during some activity."""
    done = []
    thread = threading.Thread(target=lambda: done.append(broker.control("trace", *options, "--seconds", "2", "--json")))
    thread.start()
    while thread.is_alive():
        meanwhile()
    assert done[0].returncode == 0, done[0]
    return [json.loads(line) for line in done[0].stdout.splitlines()]


def test_traces_a_topic(broker):
    publisher, session = broker.session(), broker.session()
    session.subscribe("open/#")

    def publish():
        publisher.publish("open/seen", 1)
        publisher.publish("open/else/unseen", 1)
        publisher.request(op="publish", topic="closed/1", data=1)
        session.expect("message"), session.expect("message")

    found = traced(broker, "--topic", "open/+", meanwhile=publish)
    assert {line["topic"] for line in found} == {"open/seen"}
    accepted = [line for line in found if line["event"] == "accepted"]
    assert accepted[0]["from"] == publisher.welcome["client"] and accepted[0]["bytes"] == 1
    delivered = {line["seq"] for line in found if line["event"] == "delivered" and line["clients"] == 1}
    assert delivered >= {line["seq"] for line in accepted[:-1]}
    refused = traced(broker, "--topic", "closed/#", meanwhile=publish)
    assert {(line["event"], line["code"], line["client"]) for line in refused} == {
        ("refused", "forbidden", publisher.welcome["client"])}


def test_traces_refusals_repetitions_and_storing(start_broker):
    broker = start_broker("limits: { message: 1000 }\n")
    session = broker.session()
    seq = session.publish("a/once", 1, key="k")["seq"]

    def publish():
        session.publish("a/kept", 1, retain=True)
        session.publish("a/once", 1, key="k")
        session.request(op="publish", topic="a/kept", data=2, retain=True, ifSeq=1)
        session.request(op="publish", topic="a/long", data="x" * 1500)
        session.request(op="publish", topic="a/#", data=1)
        session.request(op="subscribe", filter="$share/a/b")
        broker.http("POST", "/t/a/body", body="x" * 1500)

    found = traced(broker, "--client", session.welcome["client"], meanwhile=publish)
    accepted = [line["seq"] for line in found if line["event"] == "accepted"]
    stored = [line["seq"] for line in found if line["event"] == "stored"]
    assert accepted[:-1] and set(stored) >= set(accepted[:-1]) and {line["topic"] for line in found if "bytes" in line} == {"a/kept"}
    assert {line["seq"] for line in found if line["event"] == "repeated" and line["topic"] == "a/once"} == {seq}
    refused = {(line["topic"], line["code"]) for line in found if line["event"] == "refused"}
    assert refused == {("a/kept", "conflict"), ("a/long", "too-large"), ("a/#", "bad-topic"), ("$share/a/b", "bad-filter")}
    found = traced(broker, "--topic", "a/body", meanwhile=publish)
    assert {(line["event"], line["code"]) for line in found} == {("refused", "too-large")}
    refused = [message for message in why(broker, session.welcome["client"], "a/kept")["messages"] if message["outcome"] == "refused"]
    assert refused[0]["from"] == session.welcome["client"] and refused[0]["reason"].endswith("conflict")


def test_traces_a_client(broker):
    publisher, session = broker.session(), broker.session()
    session.subscribe("open/mine")

    def publish():
        publisher.publish("open/mine", 1)
        publisher.publish("open/yours", 1)
        session.expect("message")

    found = traced(broker, "--client", session.welcome["client"], meanwhile=publish)
    assert {(line["event"], line["topic"], line["to"]) for line in found} == {
        ("delivered", "open/mine", session.welcome["client"])}
