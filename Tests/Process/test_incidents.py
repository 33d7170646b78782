"""From a symptom to its cause with `brokerctl` alone, for each kind of event: docs/operations.md, as a drill."""

import base64
import re
import signal
import subprocess

import pytest

from access_harness import Harness, bearer
from broker_process import free_port
from certificates import Authority
from command_line import BROKERCTL
from deadlines import wait_until
from raw_websocket import CLOSE
from secure_broker import configuration
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
    """The event of that kind, once there is one."""
    def found():
        return [one for one in broker.control_json("events", "--kind", kind)
                if all(one.get(name) == value for name, value in wanted.items())]
    wait_until(found, f"an event {kind} {wanted}")
    return found()[-1]


def said(broker, *arguments):
    done = broker.control(*arguments)
    return (done.stdout + done.stderr).decode()


def test_a_client_may_not_publish(broker):
    session = broker.session()
    session.request(op="publish", topic="closed/1", data=1)
    refused = event(broker, "refused", by="rule")
    assert "no rule allows it" in said(
        broker, "acl", "explain", "--client", refused["client"], refused["what"], refused["target"])


def test_a_client_reached_its_subscription_limit(broker):
    session = broker.session()
    session.subscribe("open/1")
    session.request(op="subscribe", filter="open/2")
    refused = event(broker, "refused", by="limit")
    assert "subscriptions" in said(broker, "explain", refused["target"])
    assert len(broker.control_json("clients", "show", refused["client"])["filters"]) == 1


def test_a_client_is_refused_for_its_credentials(broker):
    broker.http("GET", "/t/open/1", headers={"Authorization": "Bearer nonsense"})
    refused = event(broker, "refused", by="credentials")
    assert refused["what"] == "token" and refused["address"].startswith("127.0.0.1:")
    wait_until(lambda: "auth" in said(broker, "audit"), "the audit log has the attempt")


def test_a_page_is_refused_for_its_origin(broker):
    broker.http("GET", "/t/open/1", headers={"Origin": "https://evil.test"})
    assert event(broker, "refused", by="origin")["target"] == "https://evil.test"
    assert "same-origin" in said(broker, "config", "show")


def test_a_client_misses_messages(start_broker):
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


def test_a_client_disappeared(start_broker):
    broker = start_broker("keepalive: { interval: 1s, timeout: 1s }\n")
    websocket = broker.websocket("/t/quiet")
    dead = event(broker, "dead")
    story = broker.control_json("events", "--client", dead["client"])
    assert [one["event"] for one in story] == ["connected", "dead", "left"]
    websocket.close()


def test_a_client_closed_its_connection(broker):
    session = broker.session()
    session.websocket.send_frame(CLOSE, b"\x03\xe9bye")
    left = event(broker, "left", client=session.welcome["client"])
    assert "1001" in said(broker, "explain", str(left["code"]))


def test_an_administrator_disconnected_a_client(broker):
    session = broker.session()
    broker.control("clients", "kick", session.welcome["client"], "--yes", "--reason", "drill")
    kicked = event(broker, "kicked", client=session.welcome["client"])
    assert kicked["by"].startswith("uid ")
    assert event(broker, "left", client=kicked["client"])["code"] == 4410
    wait_until(lambda: "admin.kick" in said(broker, "audit"), "the audit log says so")


def test_the_store_is_full(start_broker):
    broker = start_broker("store: { maximum_size: 1MiB }\n")
    number = 0
    while broker.http("PUT", f"/t/full/{number}?retain", body=b"x" * 3000).status == 200:
        number += 1
    assert event(broker, "store-failed")["reason"] == "the store is full"
    store = broker.control_json("status")["store"]
    assert store["usedBytes"] > 0.7 * store["maximumBytes"]


def test_a_reload_had_no_effect(broker):
    broker.config_file.write_text(CONFIG + "reactors: { count: 3 }\n")
    broker.send_signal(signal.SIGHUP)
    assert event(broker, "reload")["needs-restart"] == "reactors.count"
    assert "reactors.count" in said(broker, "config", "show")


def test_the_store_was_full_for_a_while(start_broker):
    """Alarms are over, and publishers report errors of the night: when, why, and is it over?"""
    broker = start_broker("store: { maximum_size: 1MiB }\n")
    number = 0
    while broker.http("PUT", f"/t/full/{number}?retain", body=b"x" * 3000).status == 200:
        number += 1
    event(broker, "store-failed")
    assert "deleted: " in said(broker, "retained", "delete", "full/#", "--yes")

    def is_over():
        broker.http("PUT", "/t/small?retain", body=b"x")
        return "store-recovered" in said(broker, "events", "--kind", "store-recovered")

    wait_until(is_over, "the store takes values")
    story = broker.control_json("events", "--kind", "store-failed,store-recovered")
    assert [(one["event"], one.get("reason")) for one in story] == [
        ("store-failed", "the store is full"), ("store-recovered", None)]
    assert "ready" in said(broker, "status")


def test_a_new_certificate_is_not_used(start_broker, tmp_path):
    """The operator has copied a certificate, and clients still see the old one."""
    authority = Authority(tmp_path / "authority")
    identity, other = authority.sign("server"), authority.sign("other")
    port = free_port()
    broker = start_broker(configuration(port, identity), port=port, configured_listen=True)
    identity.certificate.write_bytes(other.certificate.read_bytes())
    refused = event(broker, "certificate")["refused"]
    assert str(identity.key) in refused and "certificate" in refused
    assert re.search("certificate +[0-9.]+ days", said(broker, "check", "--warning", "certificate=100000d,commit=off,disk=off,canary=off"))
    identity.key.write_bytes(other.key.read_bytes())
    wait_until(lambda: "loaded" in broker.control_json("events", "--kind", "certificate")[-1], "it is taken over")


def test_a_token_of_the_login_server_is_refused(start_broker):
    """All clients have been refused since this morning: the login server does not serve its keys."""
    broker = start_broker("""
        access:
          anonymous: { publish: [], subscribe: [] }
          jwt: [ { issuer: login, audience: broker, keys: "http://127.0.0.1:%d/keys" } ]
        """ % free_port())
    lost = event(broker, "keys")
    assert lost["issuer"] == "login" and "refused" in lost
    head, body = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (
        b'{"alg":"ES256","kid":"new"}', b'{"iss":"login","aud":"broker","sub":"alice","exp":9999999999}'))
    checked = broker.control("token", "check", "-", input=f"{head}.{body}.{'A' * 86}".encode())
    assert checked.returncode == 1 and "keys" in (checked.stdout + checked.stderr).decode()


def test_an_added_user_is_unknown(start_broker, tmp_path):
    """The file was edited by hand, and the broker keeps the previous users."""
    harness = Harness(start_broker, tmp_path)
    with open(harness.file.path, "a") as file:
        file.write('{"user": "bob"\n')
    refused = event(harness.broker, "users")["refused"]
    place = re.search(r"access\.jsonl:\d+", refused)[0]
    assert place in said(harness.broker, "users", "list")
    # The previous users are still accepted.
    assert harness.broker.http("GET", "/t/news/a", headers=bearer(harness.device)).status == 404


def test_all_clients_were_disconnected(broker):
    """All clients left with 1012: did the broker crash, or was it shut down?"""
    watch = [subprocess.Popen([BROKERCTL, "--socket", str(broker.admin_socket), verb, "--follow", *options],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
             for verb, options in (("events", ["--kind", "drain,left"]), ("audit", []))]
    session = broker.session()
    wait_until(lambda: "admin.audit" in said(broker, "audit"), "both are following")
    broker.control("drain", "--yes")
    broker.asked_to_end = True
    assert session.websocket.receive_close()[0] == 1012
    session.websocket.send_frame(CLOSE, b"\x03\xf4")
    happened, done = (process.communicate(timeout=60)[0] for process in watch)
    assert re.search(r" drain clients=1 by=\"uid \d+, pid \d+\"$", happened, re.MULTILINE), happened
    assert "admin.drain" in done
    assert "restart" in said(broker, "explain", "1012")
    assert broker.wait_for_exit() == 0
    # After the end no broker answers, and the log of the service says "stopped" and not why.
    assert broker.control("status").returncode == 2
    broker.start()
    assert broker.control_json("status")["uptimeSeconds"] < 60


def test_a_banned_device_is_refused(start_broker, tmp_path):
    """A device says that it is disconnected at once, each time."""
    harness = Harness(start_broker, tmp_path, more="log: { audit: ./audit.log }")
    harness.broker.control("bans", "add", "user", "device7", "--for", "1h", "--note", "sends too much")
    assert harness.broker.http("GET", "/t/news/a", headers=bearer(harness.device)).status == 403
    refused = event(harness.broker, "refused", by="ban")
    assert refused["target"] == "user device7"
    (ban,) = harness.broker.control_json("bans")
    assert (ban["name"], ban["note"]) == ("device7", "sends too much")
    wait_until(lambda: "ban.add" in said(harness.broker, "audit"), "the audit log says who has banned it")
    assert "4410" in said(harness.broker, "explain", "4410")
