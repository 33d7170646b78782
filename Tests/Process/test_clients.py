"""`brokerctl clients`: selected, sorted and limited by the broker; `kick` with a dry run and a reason."""

import json
import os
import pty
import re
import subprocess

import pytest

from admin_harness import AdminHarness
from command_line import BROKERCTL
from deadlines import wait_until
from raw_websocket import ConnectionEnded


def name(session):
    return str(session.welcome["client"])


def ids(broker, *arguments):
    return [client["id"] for client in broker.control_json("clients", *arguments)]


@pytest.fixture
def crowd(broker):
    """Three clients, with one, two and three subscriptions."""
    sessions = [broker.session() for _ in range(3)]
    for count, session in enumerate(sessions, 1):
        session.subscribe([f"a/{number}" for number in range(count)], slow="latest" if count == 3 else "close")
    return [name(session) for session in sessions]


def test_clients_are_sorted_and_limited(broker, crowd):
    few, some, many = crowd
    assert ids(broker, "--sort", "subscriptions") == [many, some, few]
    assert ids(broker, "--sort", "subscriptions", "--reverse") == [few, some, many]
    assert ids(broker, "--sort", "subscriptions", "--limit", "2") == [many, some]
    assert ids(broker, "--sort", "id") == sorted(crowd)
    assert len(ids(broker, "--limit", "1")) == 1
    assert broker.control("clients", "--limit", "1").returncode == 0


@pytest.mark.parametrize("conditions, expected", [
    (["subscriptions > 1"], [1, 2]), (["subscriptions>=2", "subscriptions != 3"], [1]), (["subscriptions <= 1"], [0]),
    (["subscriptions = 2"], [1]), (["policy = latest"], [2]), (["policy ~ lat"], [2]), (["policy != latest"], [0, 1]),
    (["user = bob"], []), (["user != bob"], [0, 1, 2]), (["address ~ 127.0.0.1:"], [0, 1, 2]), (["age < 1h"], [0, 1, 2]),
    (["pending < 1KiB"], [0, 1, 2]), (["behind=no"], [0, 1, 2]), (["tls != x"], [0, 1, 2]), (["received > 10"], [0, 1, 2]),
    (["waiting > 0ms"], []), (["id ~ "], [0, 1, 2])])
def test_conditions_filter_clients(broker, crowd, conditions, expected):
    options = [part for condition in conditions for part in ("--where", condition)]
    assert sorted(ids(broker, *options)) == sorted(crowd[index] for index in expected)


def test_a_client_that_does_not_read_comes_first(start_broker):
    broker = start_broker("limits: { pending: 64MiB, pending_age: 10m }\n")
    slow, quick = broker.session(), broker.session()
    slow.subscribe("big", slow="drop-oldest")
    quick.subscribe("small")
    for _ in range(40):
        broker.publish("big", "x" * 500_000)
    wait_until(lambda: ids(broker, "--where", "behind=yes") == [name(slow)], "the client to be behind")
    first, second = broker.control_json("clients", "--sort", "pending")
    assert (first["id"], first["policy"], second["id"]) == (name(slow), "drop-oldest", name(quick))
    assert first["pendingBytes"] > 64 << 10 and first["waitingMilliseconds"] >= 0 and "waitingMilliseconds" not in second
    assert ids(broker, "--where", "pending > 64KiB") == [name(slow)]


def test_a_client_is_shown_with_its_connection(start_broker, tmp_path):
    harness = AdminHarness(start_broker, tmp_path)
    harness.open(harness.bearer("chief"), "tls")
    secured, = harness.broker.control_json("clients", "--where", "tls ~ TLS")
    assert secured["tls"] in ("TLSv1.2", "TLSv1.3") and secured["listener"] == f"127.0.0.1:{harness.tls_port}"
    assert secured["receivedBytes"] > 100 and secured["sentBytes"] > 100 and secured["reactor"] >= 0
    local = harness.broker.control("clients", "show", secured["id"])
    assert re.search(r"^tls +TLSv1", local.stdout.decode(), re.MULTILINE)


def test_a_client_is_shown_with_its_agent_and_rates(broker):
    page = broker.session(headers={"Origin": broker.url().rstrip("/"), "User-Agent": "Mozilla/5.0 (test)"})
    script = broker.session(headers={"User-Agent": "sensor\u00fc/1".encode("utf-8").decode("latin-1")})
    follower = broker.follow("a", headers={"User-Agent": "curl/8"})
    for number in range(3):
        page.publish("a", number)
    page.request(op="publish", topic="$SYS/a", data=1)
    broker.publish("a", "by nobody of these")
    found = {client["id"]: client for client in broker.control_json("clients")}
    assert found[name(page)]["origin"] == broker.url().rstrip("/") and found[name(page)]["agent"] == "Mozilla/5.0 (test)"
    assert found[name(page)]["published"] == 3 and found[name(script)]["published"] == 0
    assert "origin" not in found[name(script)]
    assert ids(broker, "--where", "agent ~ Mozilla") == [name(page)] == ids(broker, "--where", "published > 2")
    assert ids(broker, "--sort", "published", "--limit", "1") == [name(page)]
    assert len(ids(broker, "--where", "agent = curl/8")) == 1
    table = broker.control("clients", "--columns", "id,agent,published", "--where", "agent ~ Moz").stdout.decode()
    assert re.search(rf"^{name(page)} +Mozilla/5.0 \(test\) +3$", table, re.MULTILINE)
    follower.close()


def test_brokerctl_sends_a_user_agent(broker):
    process = subprocess.Popen([BROKERCTL, "--socket", str(broker.admin_socket), "sub", "a"])
    try:
        wait_until(lambda: ids(broker, "--where", "agent ~ brokerctl/") != [], "the client's program")
    finally:
        process.kill()
        process.wait()


def test_bytes_are_counted(broker):
    session = broker.session()
    session.subscribe("a")
    before = broker.control_json("clients", "show", name(session))
    broker.publish("a", "x" * 100_000)
    session.expect("message", topic="a")

    def sent():
        return broker.control_json("clients", "show", name(session))["sentBytes"] - before["sentBytes"]

    wait_until(lambda: sent() > 100_000, "TCP to have acknowledged it")
    assert sent() < 110_000


def test_columns_can_be_chosen(broker, crowd):
    head, first, *_ = broker.control("clients", "--columns", "id,policy,subscriptions", "--sort", "subscriptions").stdout.decode().splitlines()
    assert head.split() == ["ID", "POLICY", "SUBSCRIPTIONS"] and first.split() == [crowd[2], "latest", "3"]
    every = broker.control("clients", "--columns", "all").stdout.decode().splitlines()[0]
    assert all(title in every for title in ("ID", "ROUND TRIP", "REACTOR", "WAITING"))


@pytest.mark.parametrize("arguments, advice", [
    (["--sort", "pendng"], 'did you mean "pending"?'), (["--where", "colour = red"], 'there is no field "colour"'),
    (["--where", "pending"], "expected FIELD"), (["--where", "pending > much"], "expected a number of bytes"),
    (["--where", "age > 5"], "expected a time"), (["--where", "rtt ~ 5ms"], "expected a time"),
    (["--where", "subscriptions > 0x1"], "expected a number"), (["--where", "user > bob"], "expected = != or ~"),
    (["--limit", "0"], "expected 1 or more"), (["--reverse"], "requires --sort"), (["--columns", "id,,user"], 'no field ""'),
    (["--where", "a"] * 9, "at most 8")])
def test_invalid_arguments_are_usage_errors(broker, arguments, advice):
    done = broker.control("clients", *arguments)
    assert done.returncode == 64 and advice in done.stderr.decode() and not done.stdout


@pytest.mark.parametrize("members", [
    {"sort": "none"}, {"where": ["pending > much"]}, {"where": ["user = a"] * 9}, {"limit": 0}])
def test_the_broker_refuses_invalid_members(start_broker, tmp_path, members):
    harness = AdminHarness(start_broker, tmp_path)
    assert harness.open(harness.bearer("reader")).error("clients", **members) == "bad-request"


def test_watching_repeats_the_list(broker, crowd):
    child = subprocess.Popen(
        [BROKERCTL, "--socket", str(broker.admin_socket), "clients", "--watch", "--sort", "id", "--json"],
        stdout=subprocess.PIPE)
    try:
        lists = [json.loads(child.stdout.readline()) for _ in range(2)]
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert [[client["id"] for client in list_] for list_ in lists] == [sorted(crowd)] * 2


def test_watching_on_a_terminal_redraws_from_the_top(broker, crowd):
    process, terminal = pty.fork()
    if process == 0:
        os.execv(BROKERCTL, [BROKERCTL, "--socket", str(broker.admin_socket), "clients", "--watch"])
    shown = b""
    while shown.count(b"\x1b[H\x1b[J") < 2:
        shown += os.read(terminal, 65536)
    os.kill(process, 15)
    os.close(terminal)
    os.waitpid(process, 0)
    assert shown.split(b"\x1b[H\x1b[J")[1].count(b"\r\n") == 4


def test_a_dry_run_disconnects_nobody(broker, crowd):
    assert broker.control_json("clients", "kick", "--filter", "a/#", "--dry-run") == {"kicked": 0, "matching": 3}
    shown = broker.control("clients", "kick", crowd[0], "--dry-run").stdout
    assert shown == b"would be disconnected: 1\n"
    assert broker.control("clients", "kick", "none", "--dry-run").returncode == 1
    assert broker.control_json("clients", "kick", "--user", "bob", "--dry-run", "--ban", "10m")["matching"] == 0
    assert broker.control_json("bans") == [] and len(ids(broker)) == 3


def test_a_reason_is_sent_in_the_close(broker):
    session = broker.session()
    assert broker.control_json("clients", "kick", name(session), "--reason", "moved to another harness é") == {"kicked": 1}
    with pytest.raises(ConnectionEnded) as ended:
        session.receive()
    assert ended.value.close_frame == (4410, "moved to another harness é")


@pytest.mark.parametrize("arguments, advice", [
    (["--reason", "x" * 124], "1 to 123 bytes"), (["--reason", "é" * 62], "1 to 123 bytes"), (["--reason", ""], "1 to 123 bytes"),
    (["--reason", "x", "--ban", "10m"], "cannot be combined")])
def test_invalid_reasons_are_usage_errors(broker, arguments, advice):
    done = broker.control("clients", "kick", "none", *arguments)
    assert done.returncode == 64 and advice in done.stderr.decode()
