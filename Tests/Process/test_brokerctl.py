"""Contract §7: brokerctl over the admin socket."""

import json
import subprocess
import threading

import pytest

from command_line import BROKERCTL, run_control
from deadlines import wait_until
from raw_websocket import ConnectionEnded


def values(text):
    """The JSON values in what was printed: one, or one a line; arrays are unpacked."""
    try:
        parsed = json.loads(text)
        return parsed if isinstance(parsed, list) else [parsed]
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def succeed(done):
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stderr == b""
    return done.stdout.decode()


# Looking


def test_status(broker):
    broker.session()
    assert succeed(broker.control("status")).strip()
    assert isinstance(broker.control_json("status"), dict)


def test_clients(broker):
    assert broker.control_json("clients") == []
    session, topic, subscription = broker.session(), broker.topic_socket("a"), broker.subscription_socket("b/#")
    session.subscribe(["x", "y/+"])
    topic.synchronise()
    assert subscription.status == 101
    clients = broker.control_json("clients")
    assert len(clients) == 3
    for client in clients:
        assert {"id", "user", "address", "protocol", "connectedAt", "subscriptions", "pendingBytes",
                "roundTripMilliseconds"} <= set(client)
        assert client["address"].startswith("127.0.0.1")
    assert len({client["id"] for client in clients}) == 3
    mine = [client for client in clients if str(client["id"]) == str(session.welcome["client"])]
    assert len(mine) == 1, "the welcome's client is the id here"
    listed = broker.control_json("clients", "list")
    assert {client["id"] for client in listed} == {client["id"] for client in clients}
    table = succeed(broker.control("clients"))
    assert str(session.welcome["client"]) in table and "127.0.0.1" in table


def test_clients_show(broker):
    session = broker.session()
    session.subscribe("shown/+")
    identifier = str(session.welcome["client"])
    assert "shown/+" in json.dumps(broker.control_json("clients", "show", identifier))
    assert "shown/+" in succeed(broker.control("clients", "show", identifier))
    assert broker.control("clients", "show", "nobody").returncode == 1


def test_clients_kick(broker):
    session, other = broker.session(), broker.session()
    succeed(broker.control("clients", "kick", str(session.welcome["client"])))
    with pytest.raises(ConnectionEnded) as ended:
        session.receive()
    assert ended.value.close_frame[0] == 4410
    # It does not answer with a CLOSE of its own; the broker waits for that only so long.
    session.websocket.wait_for_end(15)
    other.synchronise()
    wait_until(lambda: len(broker.control_json("clients")) == 1, "the kicked client to be gone")
    done = broker.control("clients", "kick", str(session.welcome["client"]))
    assert done.returncode == 1 and done.stderr and not done.stdout


def test_topics_and_subscriptions(broker):
    session = broker.session()
    session.subscribe(["a/#", "b"])
    broker.publish("a/1", "x", "retain")
    broker.publish("b", "y", "retain")
    assert "a/1" in json.dumps(broker.control_json("topics"))
    listed = json.dumps(broker.control_json("topics", "a/#"))
    assert "a/1" in listed and '"b"' not in listed
    subscriptions = broker.control_json("subscriptions")
    assert isinstance(subscriptions, list)
    text = json.dumps(subscriptions)
    assert '"a/#"' in text and '"b"' in text
    assert '"b"' not in json.dumps(broker.control_json("subscriptions", "a/#"))
    assert "a/#" in succeed(broker.control("subscriptions"))


# Retained values


def test_retained(broker):
    succeed(broker.control("retained", "set", "kept/1", "hello"))
    assert broker.retained("kept/1").body == b"hello"
    assert succeed(broker.control("retained", "get", "kept/1")).rstrip("\n") == "hello"
    broker.publish("kept/2", "other", "retain")
    listed = broker.control_json("retained", "list", "kept/+")
    assert sorted(item["topic"] for item in listed) == ["kept/1", "kept/2"]
    assert len(broker.control_json("retained", "list")) == 2
    assert "kept/2" in succeed(broker.control("retained", "list"))
    shown = broker.control_json("retained", "get", "kept/2")
    assert shown["topic"] == "kept/2" and shown["data"] == "other"
    succeed(broker.control("retained", "delete", "kept/1"))
    assert broker.retained("kept/1").status == 404
    assert broker.control("retained", "get", "kept/1").returncode == 1
    assert broker.control("retained", "delete", "kept/1").returncode == 1


def test_retained_delete_by_filter(broker):
    for number in range(5):
        broker.publish(f"many/{number}", "x", "retain")
    broker.publish("other", "x", "retain")
    succeed(broker.control("retained", "delete", "many/#"))
    assert [item["topic"] for item in broker.control_json("retained", "list")] == ["other"]


def test_retained_bytes_come_out_as_they_are(broker):
    payload = bytes(range(256))
    broker.publish("bytes", payload, "retain", {"Content-Type": "application/octet-stream"})
    assert broker.control("retained", "get", "bytes").stdout == payload


# Publishing and subscribing


def test_pub(broker):
    subscriber = broker.topic_socket("told")
    subscriber.synchronise()
    succeed(broker.control("pub", "told", "hello"))
    assert subscriber.receive_text() == "hello"
    succeed(broker.control("pub", "told", "-", input=b"from standard input"))
    assert subscriber.receive_text() == "from standard input"
    succeed(broker.control("pub", "told", "kept", "-r"))
    assert subscriber.receive_text() == "kept"
    assert broker.retained("told").body == b"kept"


def test_sub(broker):
    broker.publish("heard/0", "retained", "retain")
    found = []

    def subscribe():
        found.append(broker.control("sub", "heard/#", "--count", "3", timeout=20))

    subscriber = threading.Thread(target=subscribe)
    subscriber.start()
    wait_until(lambda: "heard/#" in json.dumps(broker.control_json("subscriptions")), "the subscription")
    broker.publish("heard/1", "one")
    broker.publish("heard/2", "two")
    subscriber.join(20)
    printed = succeed(found[0])
    assert [word in printed for word in ("heard/0", "retained", "heard/1", "one", "heard/2", "two")] == [True] * 6
    assert printed.index("retained") < printed.index("one") < printed.index("two")


def test_sub_json(broker):
    for number in range(3):
        broker.publish(f"heard/{number}", str(number), "retain")
    done = broker.control("sub", "heard/#", "--count", "3", "--json")
    messages = values(succeed(done))
    assert sorted(message["data"] for message in messages) == ["0", "1", "2"]
    assert all(message["retained"] is True for message in messages)


def test_sub_prints_at_once_also_into_a_pipe(broker):
    child = subprocess.Popen(
        [BROKERCTL, "sub", "live", "--socket", str(broker.admin_socket)], stdout=subprocess.PIPE)
    try:
        wait_until(lambda: "live" in json.dumps(broker.control_json("subscriptions")), "the subscription")
        broker.publish("live", "now")
        assert b"now" in child.stdout.readline()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


# Exit statuses


@pytest.mark.parametrize(
    "arguments", [["pub", "a/+", "x"], ["pub", "$SYS/x", "x"], ["sub", "a/#/b"], ["retained", "get", "none"],
                  ["retained", "list", "a/#/b"], ["topics", "a/#/b"]])
def test_1_when_it_failed_with_the_reason_on_stderr(broker, arguments):
    done = broker.control(*arguments)
    assert done.returncode == 1 and done.stderr and not done.stdout


@pytest.mark.parametrize("verb",
    [["status"], ["clients"], ["topics"], ["pub", "a", "x"], ["sub", "a"], ["retained", "list"]])
def test_2_when_nobody_answers(tmp_path, verb):
    done = run_control(*verb, "--socket", str(tmp_path / "none.sock"))
    assert done.returncode == 2 and b"none.sock" in done.stderr and not done.stdout


@pytest.mark.parametrize(
    "arguments", [["dance"], ["status", "--nonsense"], ["pub"], ["clients", "kick"], ["retained", "get"],
                  ["sub", "a", "--count", "many"], ["users", "list"], ["drain"]])
def test_64_when_it_was_asked_wrongly(broker, arguments):
    done = broker.control(*arguments)
    assert done.returncode == 64 and done.stderr


def test_2_when_the_broker_goes_away(broker):
    child = subprocess.Popen(
        [BROKERCTL, "sub", "gone", "--socket", str(broker.admin_socket)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    try:
        wait_until(lambda: "gone" in json.dumps(broker.control_json("subscriptions")), "the subscription")
        broker.stop()
        _, errors = child.communicate(timeout=10)
    finally:
        child.kill()
        child.wait()
    assert child.returncode in (1, 2) and errors


def test_the_socket_may_stand_before_the_verb(broker):
    assert run_control("--socket", str(broker.admin_socket), "status").returncode == 0


# Without a broker


def test_config_check(tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("keepalive: { interval: 10s }\n")
    bad.write_text("keepalive: { intervall: 10s }\nlimits: { message: lots }\n")
    assert run_control("config", "check", str(good)).returncode == 0
    done = run_control("config", "check", str(bad))
    assert done.returncode == 1
    printed = (done.stdout + done.stderr).decode()
    assert f"{bad}:1:" in printed and f"{bad}:2:" in printed and "interval" in printed
    assert run_control("config", "check", str(tmp_path / "none.yaml")).returncode == 1


@pytest.mark.parametrize("verb", [[], ["status"], ["clients"], ["retained"], ["pub"], ["sub"], ["config", "check"], ["bench"]])
def test_help_has_an_example(verb):
    done = run_control(*verb, "--help")
    assert done.returncode == 0
    assert b"brokerctl" in done.stdout and b"xample" in done.stdout
