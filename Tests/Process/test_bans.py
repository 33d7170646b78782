"""access.md §8: bans of users, tokens, addresses and networks."""

import json

import pytest

from access_harness import basic, bearer, harness  # noqa: F401  The fixture is found by its name.
from broker_process import free_port
from deadlines import wait_until
from raw_websocket import ConnectionEnded, RefusedHandshake
from test_client_address import configuration, is_reset, version_1

NAME = {"Host": "broker.example.com"}


def said(done, status=0):
    assert done.returncode == status, done
    return (done.stdout if status == 0 else done.stderr).decode()


def is_refused(broker):
    """Whether a connection is refused; the reset may come before `connect` returns."""
    try:
        return is_reset(broker.connect())
    except ConnectionResetError:
        return True


def test_a_banned_user_is_refused_everywhere_until_the_ban_ends(harness):
    broker = harness.broker
    session = broker.session(headers=bearer(harness.device))
    topic = broker.websocket("/t/sensors/device7/t", headers=bearer(harness.device))
    events = broker.follow("news/#", headers=bearer(harness.device) | {"Accept": "text/event-stream"})
    other, stranger = broker.session(headers=bearer(harness.editor)), broker.session()
    assert said(broker.control("bans", "add", "user", "device7", "--for", "1h", "--note", "sends too much")) == (
        "banned: user device7 (b1), disconnected: 3\n")
    assert session.websocket.receive_close() == topic.receive_close() == (4410, "temporarily banned")
    while events.line() is not None:
        pass
    answer = broker.http("GET", "/t/news/a", headers=bearer(harness.device))
    assert (answer.status, answer.json["error"]) == (403, {"code": "forbidden", "message": "You are temporarily banned."})
    with pytest.raises(RefusedHandshake) as refused:
        broker.session(headers=bearer(harness.device))
    assert refused.value.status == 403
    page = broker.websocket("/ws", ["broker.v1.json", f"bearer.{harness.device}"], headers={"Origin": broker.url()})
    assert page.receive_close() == (4403, "You are temporarily banned.")
    stranger.send(op="authenticate", id=1, token=harness.device)
    stranger.expect("error", id=1, code="forbidden")
    assert stranger.websocket.receive_close() == (4410, "banned")
    assert other.request(op="ping")["op"] == "pong"
    (ban,) = broker.control_json("bans")
    assert (ban["kind"], ban["name"], ban["note"], ban["expires"] - ban["added"]) == ("user", "device7", "sends too much", 3_600_000)
    assert "device7" in said(broker.control("bans"))
    assert said(broker.control("bans", "remove", "b1")) == "removed: user device7\n"
    assert broker.http("GET", "/t/news/a", headers=bearer(harness.device)).status == 404
    assert "There is no ban b1." in said(broker.control("bans", "remove", "b1"), 1)


def test_banning_a_token_does_not_affect_other_tokens(harness):
    second = harness.token("device7")
    harness.rewrite()
    harness.broker.control("bans", "add", "token", harness.device.split("_")[1])
    assert harness.broker.http("GET", "/t/news/a", headers=bearer(harness.device)).status == 403
    assert harness.broker.http("GET", "/t/news/a", headers=bearer(second)).status == 404


def test_a_banned_address_is_reset_but_not_the_admin_socket(broker):
    session = broker.session()
    assert "disconnected: 1" in said(broker.control("bans", "add", "address", "127.0.0.0/8"))
    assert session.websocket.receive_close() == (4410, "banned")
    assert is_refused(broker)
    (ban,) = broker.control_json("bans")
    assert ban["name"] == "127.0.0.0/8" and "expires" not in ban
    said(broker.control("bans", "remove", ban["id"]))
    assert broker.http("GET", "/t/a").status == 404
    metrics = broker.metrics()
    assert metrics['broker_banned_total{what="client"}'] == 1 and metrics['broker_bans'] == 0
    assert metrics['broker_connections_refused_total{reason="ban"}'] == 1


def test_banning_a_proxied_client_does_not_ban_the_proxy(start_broker):
    port = free_port()
    broker = start_broker(configuration(port, "forwarded: x-forwarded-for"), port=port, configured_listen=True)

    def client(address):
        return NAME | {"X-Forwarded-For": address}

    session = broker.session(headers={"X-Forwarded-For": "10.9.1.2"}, host=NAME["Host"])
    other = broker.session(headers={"X-Forwarded-For": "10.8.1.2"}, host=NAME["Host"])
    assert "disconnected: 1" in said(broker.control("bans", "add", "address", "10.9.0.0/16"))
    assert session.websocket.receive_close() == (4410, "banned")
    assert other.request(op="ping")["op"] == "pong"
    assert broker.http("GET", "/t/a", headers=client("10.9.255.255")).status == 403
    assert broker.http("GET", "/t/a", headers=client("10.10.0.0")).status == 404


def test_a_banned_client_named_by_a_proxy_header_is_reset(start_broker):
    port = free_port()
    broker = start_broker(configuration(port, "proxy_protocol: true"), port=port, configured_listen=True)
    said(broker.control("bans", "add", "address", "192.0.2.0/24"))
    banned, other = broker.connect(), broker.connect()
    banned.sendall(version_1("192.0.2.7"))
    assert is_reset(banned)
    other.sendall(version_1("198.51.100.7") + b"GET /t/a HTTP/1.1\r\nHost: broker.example.com\r\n\r\n")
    assert other.recv(1000).startswith(b"HTTP/1.1 404 ")


def test_a_kick_bans_the_user_or_else_the_address(start_broker):
    port = free_port()
    broker = start_broker(configuration(port, "forwarded: x-forwarded-for"), port=port, configured_listen=True)
    sessions = [
        broker.session(headers={"X-Forwarded-For": address}, host=NAME["Host"]) for address in ["10.9.1.2", "2001:db8:1:2:3::4", "10.9.1.3"]]
    for session in sessions[:2]:
        session.subscribe("a/b")
    assert said(broker.control("clients", "kick", "--filter", "a/#", "--ban", "10m")) == (
        "disconnected: 2\nbanned: address 10.9.1.2, address 2001:db8:1:2::/64\n")
    assert [session.websocket.receive_close()[0] for session in sessions[:2]] == [4410, 4410]
    assert broker.http("GET", "/t/a", headers=NAME | {"X-Forwarded-For": "2001:db8:1:2:ffff::1"}).status == 403
    assert sessions[2].request(op="ping")["op"] == "pong"
    assert said(broker.control("clients", "kick", "--user", "bob", "--ban", "ever")) == "disconnected: 0\nbanned: user bob\n"


def test_a_kick_never_bans_this_machine(broker):
    session = broker.session()
    assert said(broker.control("clients", "kick", session.welcome["client"], "--ban", "10m")) == (
        "disconnected: 1\nbanned: nobody\nnot banned: 1\n")
    assert session.websocket.receive_close()[0] == 4410
    assert broker.control_json("bans") == []


def test_a_ban_expires_and_is_audited(start_broker):
    broker = start_broker("log: { audit: ./audit.log }\n")
    said(broker.control("bans", "add", "address", "127.0.0.1", "--for", "1s", "--note", "noise"))
    assert is_refused(broker)

    def events():
        return [line for line in map(json.loads, (broker.directory / "audit.log").read_text().splitlines()) if line["event"].startswith("ban.")]

    wait_until(lambda: len(events()) == 3, "three events")
    added, refused, ended = sorted(events(), key=lambda line: ["ban.add", "ban.refused", "ban.end"].index(line["event"]))
    assert added["target"] == "address 127.0.0.1" and added["note"] == "noise" and added["actor"]["via"] == "socket"
    assert refused["address"].startswith("127.0.0.1:") and refused["result"] == ended["result"] == added["result"] == "b1"
    assert broker.control_json("bans") == []
    assert broker.http("GET", "/t/a").status == 404


def test_the_number_of_bans_is_limited(start_broker):
    broker = start_broker("limits: { bans: 2 }\n")
    said(broker.control("bans", "add", "user", "a"))
    said(broker.control("bans", "add", "user", "b"))
    assert "There are 2 bans already (limits.bans)." in said(broker.control("bans", "add", "user", "c"), 1)
    # Once more the same: its end is another.
    said(broker.control("bans", "add", "user", "a", "--for", "1h"))
    assert [(ban["name"], "expires" in ban) for ban in broker.control_json("bans")] == [("b", False), ("a", True)]
    assert broker.metrics()["broker_bans_refused_total"] == 1


@pytest.mark.parametrize("arguments, words", [
    (("bans", "add", "address", "10.0.0.1/8"), "expected an address or a network"),
    (("bans", "add", "user", ""), "expected 1 to 256 bytes"),
])
def test_refuses_invalid_bans(broker, arguments, words):
    assert words in said(broker.control(*arguments), 1)


@pytest.mark.parametrize("arguments, words", [
    (("bans", "add", "user", "a", "--for", "soon"), "--for"), (("clients", "kick", "--user", "a", "--ban", "0s"), "--ban"),
    (("clients", "kick", "--user", "a", "--note", "x"), "--note requires --ban"),
])
def test_invalid_arguments_are_usage_errors(broker, arguments, words):
    assert words in said(broker.control(*arguments), 64)
