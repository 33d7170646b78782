"""From a symptom to its cause with `brokerctl` alone, for each kind of event: docs/operations.md, as a drill."""

import signal

import pytest

from deadlines import wait_until
from raw_websocket import CLOSE
from test_slow_readers import flood, slow_session

CONFIG = """
limits: { subscriptions_per_client: 1 }
access:
  anonymous: { publish: ["open/#"], subscribe: ["open/#"] }
log: { audit: ./audit.log }
"""


@pytest.fixture
def broker(start_broker):
    return start_broker(CONFIG)


def event(broker, kind, **wanted):
    """The event of that kind, when it is there."""
    def found():
        return [one for one in broker.control_json("events", "--kind", kind)
                if all(one.get(name) == value for name, value in wanted.items())]
    wait_until(found, f"an event {kind} {wanted}")
    return found()[-1]


def said(broker, *arguments):
    done = broker.control(*arguments)
    return (done.stdout + done.stderr).decode()


def test_it_may_not_publish(broker):
    session = broker.session()
    session.request(op="publish", topic="closed/1", data=1)
    refused = event(broker, "refused", by="rule")
    assert "no rule allows it" in said(
        broker, "acl", "explain", "--client", refused["client"], refused["what"], refused["target"])


def test_it_may_not_subscribe_any_more(broker):
    session = broker.session()
    session.subscribe("open/1")
    session.request(op="subscribe", filter="open/2")
    refused = event(broker, "refused", by="limit")
    assert "subscriptions" in said(broker, "explain", refused["target"])
    assert len(broker.control_json("clients", "show", refused["client"])["filters"]) == 1


def test_it_is_not_let_in(broker):
    broker.http("GET", "/t/open/1", headers={"Authorization": "Bearer nonsense"})
    refused = event(broker, "refused", by="credentials")
    assert refused["what"] == "token" and refused["address"].startswith("127.0.0.1:")
    wait_until(lambda: "auth" in said(broker, "audit"), "the audit log has the attempt")


def test_a_page_is_not_let_in(broker):
    broker.http("GET", "/t/open/1", headers={"Origin": "https://evil.test"})
    assert event(broker, "refused", by="origin")["target"] == "https://evil.test"
    assert "same-origin" in said(broker, "config", "show")


def test_it_misses_messages(start_broker):
    broker = start_broker("limits: { pending: 65536 }\n")
    receive = slow_session(broker, "slow/#", "drop-oldest")
    last = flood(broker, "slow", count=300)[-1]
    slow = event(broker, "slow")
    shown = broker.control_json("clients", "show", slow["client"])
    assert shown["pendingBytes"] > 0
    while receive().get("seq") != last:
        pass
    gap = event(broker, "gap", client=slow["client"])
    messages = broker.control_json("why", gap["client"], "slow/0", "--limit", "1000")["messages"]
    lost = [message["seq"] for message in messages if message["outcome"] in ("dropped", "gap")]
    assert any(gap["since"] < seq <= gap["seq"] for seq in lost)


def test_it_is_gone_without_a_word(start_broker):
    broker = start_broker("keepalive: { interval: 1s, timeout: 1s }\n")
    websocket = broker.websocket("/t/quiet")
    dead = event(broker, "dead")
    story = broker.control_json("events", "--client", dead["client"])
    assert [one["event"] for one in story] == ["connected", "dead", "left"]
    websocket.close()


def test_it_left(broker):
    session = broker.session()
    session.websocket.send_frame(CLOSE, b"\x03\xe9bye")
    left = event(broker, "left", client=session.welcome["client"])
    assert "1001" in said(broker, "explain", str(left["code"]))


def test_somebody_disconnected_it(broker):
    session = broker.session()
    broker.control("clients", "kick", session.welcome["client"], "--yes", "--reason", "drill")
    kicked = event(broker, "kicked", client=session.welcome["client"])
    assert kicked["by"].startswith("uid ")
    assert event(broker, "left", client=kicked["client"])["code"] == 4410
    wait_until(lambda: "admin.kick" in said(broker, "audit"), "the audit log says so")


def test_nothing_is_stored(start_broker):
    broker = start_broker("store: { maximum_size: 1MiB }\n")
    number = 0
    while broker.http("PUT", f"/t/full/{number}?retain", body=b"x" * 3000).status == 200:
        number += 1
    assert event(broker, "store-failed")["reason"] == "the store is full"
    store = broker.control_json("status")["store"]
    assert store["usedBytes"] > 0.7 * store["maximumBytes"]


def test_a_reload_did_nothing(broker):
    broker.config_file.write_text(CONFIG + "reactors: { count: 3 }\n")
    broker.send_signal(signal.SIGHUP)
    assert event(broker, "reload")["needs-restart"] == "reactors.count"
    assert "reactors.count" in said(broker, "config", "show")
