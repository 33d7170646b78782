"""access.md §4: a person logs in at a page of the broker, and the page uses a cookie from then on."""

import json
import re

import pytest

from access_file import AccessFile, password_hash
# The fixture is found by its name.
from access_harness import Harness, Page, bearer, harness  # noqa: F401
from broker_process import free_port
from raw_websocket import RefusedHandshake


@pytest.fixture
def page(harness):
    page = Page(harness)
    assert page.log_in().status == 200
    return page


# In


def test_a_login_gives_a_cookie_and_names_the_user(harness):
    page = Page(harness)
    answer = page.log_in()
    assert answer.status == 200 and answer.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(
        r"__Host-broker=[A-Za-z0-9_-]{43}; Path=/; Secure; HttpOnly; SameSite=Strict", answer.headers["Set-Cookie"])
    assert answer.json == page.read("/session").json
    assert (answer.json["kind"], answer.json["user"], answer.json["roles"]) == ("session", "alice", ["dashboard"])
    assert answer.json["expires"] % 1000 == 0
    assert Page(harness).read("/session").json == {"kind": "anonymous"}
    assert harness.broker.http("GET", "/session", headers=bearer(harness.device)).json["user"] == "device7"


@pytest.mark.parametrize("origin", [None, "null", "http://127.0.0.1:1", "http://localhost:PORT", "https://evil.test"])
def test_a_foreign_page_cannot_log_in(harness, origin):
    """An attacker's form would log the visitor in as the attacker."""
    headers = {"Origin": origin.replace("PORT", str(harness.broker.port))} if origin else {}
    answer = harness.broker.http(
        "POST", "/session", body='{"user":"alice","password":"correct horse"}',
        headers=headers | {"Content-Type": "text/plain"})
    assert answer.status == 403 and "Set-Cookie" not in answer.headers


def test_every_failed_login_gets_the_same_answer(harness):
    page = Page(harness)
    answers = [page.log_in(*person) for person in [("alice", "guess"), ("nobody", "guess"), ("device7", "")]]
    assert [answer.status for answer in answers] == [401] * 3
    assert len({answer.body for answer in answers}) == 1
    assert harness.broker.metrics()['broker_auth_total{kind="password",result="failed"}'] == 3


@pytest.mark.parametrize("body, headers, status", [
    ("user=alice&password=correct+horse", {}, 400), ('{"user":"alice"}', {}, 400), ('{"user":"alice","password":1}', {}, 400),
    ('{"user":"alice","user":"ed","password":"correct horse"}', {}, 400), ("", {}, 400),
    ('{"user":"alice","password":"' + "x" * 4096 + '"}', {}, 413),
    (None, {"Authorization": "Bearer x"}, 400)])
def test_login_credentials_are_accepted_only_in_the_body(harness, body, headers, status):
    answer = Page(harness).log_in(body=body, headers=headers)
    assert answer.status == status and b"correct" not in answer.body


def test_passwords_need_tls_beyond_loopback(start_broker, tmp_path):
    port = free_port()
    file = AccessFile(tmp_path / "data" / "access.jsonl")
    file.user("alice", "correct horse")
    file.write()
    broker = start_broker(
        f"listen: [{{ address: '0.0.0.0:{port}' }}]\naccess: {{ anonymous: {{ publish: [], subscribe: [] }} }}\n",
        directory=tmp_path, port=port, configured_listen=True)
    answer = broker.http(
        "POST", "/session", body='{"user":"alice","password":"correct horse"}', headers={"Origin": broker.url()})
    assert answer.status == 403 and "use https" in answer.json["error"]["message"]


def test_guesses_are_blocked_but_sessions_are_not(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, limits="authentication_failures: 3/m")
    page = Page(harness)
    assert page.log_in().status == 200
    for _ in range(4):
        assert Page(harness).log_in(password="guess").status == 401
    late = Page(harness).log_in(password="another guess")
    assert late.status == 429 and int(late.headers["Retry-After"]) >= 1
    assert page.read("/session").json["user"] == "alice"


# By the cookie


def test_the_cookie_is_accepted_from_same_origin_pages_only(harness, page):
    harness.broker.publish("news/a", '"x"', headers=bearer(harness.editor))
    cookie, own = page.cookie, page.own
    read = lambda headers: harness.broker.http("GET", "/s/news/a?poll&since=0", headers=cookie | headers).status
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}):
        assert harness.broker.http("GET", "/t/news/a", headers=cookie | headers).status == 401
    assert harness.broker.http("GET", "/t/news/a", headers=cookie | {"Sec-Fetch-Site": "same-origin"}).status == 404
    assert harness.broker.http("GET", "/t/news/a", headers=cookie | own).status == 404
    # A request that changes something needs the Origin, which a form cannot set.
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://127.0.0.1:1"}):
        assert harness.broker.http("DELETE", "/session", headers=cookie | headers).status == 401
    assert harness.broker.http("DELETE", "/session", headers=cookie | {"Origin": "https://evil.test"}).status == 403
    for headers in ({}, {"Sec-Fetch-Site": "same-origin"}):
        with pytest.raises(RefusedHandshake) as refused:
            harness.broker.websocket("/s/news/a", headers=cookie | headers)
        assert refused.value.status == 401
    page.session().subscribe("news/#")


def test_every_reactor_accepts_a_session(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, more="reactors: { count: 4 }")
    page = Page(harness)
    assert page.log_in().status == 200
    sessions = [page.session() for _ in range(16)]
    assert {session.request(op="subscribe", filter="news/#", snapshot=False)["op"] for session in sessions} == {"ok"}
    assert page.send("DELETE", "/session").status == 204
    assert {session.websocket.receive_close() for session in sessions} == {(4401, "revoked")}


# Out


def test_a_logout_ends_only_its_own_connections(harness, page):
    other = Page(harness)
    assert other.log_in().status == 200
    session, kept = page.session(), other.session()
    follower = harness.broker.follow("news/#", headers=page.own | page.cookie | {"Accept": "text/event-stream"})
    answer = page.send("DELETE", "/session")
    assert answer.status == 204 and answer.headers["Set-Cookie"].startswith("__Host-broker=; ")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert session.websocket.receive_close() == (4401, "revoked")
    while (event := follower.event()) and event.get("event") != "error":
        pass
    assert json.loads(event["data"])["error"]["code"] == "unauthenticated"
    assert kept.request(op="ping")["op"] == "pong" and other.read("/session").json["user"] == "alice"
    # Each page of the browser still has the cookie; the answer deletes it, and that is not a guess.
    over = page.read("/t/news/a")
    assert over.status == 401 and "Max-Age=0" in over.headers["Set-Cookie"]
    assert "log in again" in over.json["error"]["message"]
    socket = harness.broker.websocket("/s/news/a", headers=page.own | page.cookie)
    assert socket.receive_close() == (4401, "The session has ended: log in again.")
    assert "Max-Age=0" in socket.headers["set-cookie"]
    assert harness.broker.metrics()["broker_browser_sessions"] == 1


def alice(harness):
    return next(entry for entry in harness.file.entries if entry.get("user") == "alice" and "token" not in entry)


@pytest.mark.parametrize("change", ["removed", "disabled", "another password", "revoked"])
def test_a_session_ends_with_its_user_and_is_not_restored(harness, page, change):
    session = page.session()
    before = [dict(entry) for entry in harness.file.entries]
    match change:
        case "removed": harness.file.entries = [entry for entry in harness.file.entries if entry.get("user") != "alice"]
        case "disabled": alice(harness)["disabled"] = True
        case "another password": alice(harness)["password"] = password_hash("another")
        case "revoked": harness.file.entries.append({"revoked": {"user": "alice", "before": 9_999_999_999}})
    harness.rewrite()
    assert session.websocket.receive_close() == (4401, "revoked")
    harness.file.entries = before
    harness.rewrite()
    assert page.read("/session").status == 401
    assert Page(harness).log_in().status == 200


def test_a_ban_ends_sessions_and_refuses_logins(harness, page):
    session = page.session()
    assert harness.broker.control("bans", "add", "user", "alice", "--for", "1h").returncode == 0
    assert session.websocket.receive_close() == (4410, "temporarily banned")
    assert [page.read("/t/news/a").status, Page(harness).log_in().status] == [403, 403]


def test_removing_a_role_applies_at_once(harness, page):
    session = page.session()
    session.subscribe("sensors/device7/#")
    alice(harness)["roles"] = []
    harness.rewrite()
    assert session.expect("revoked")["filter"] == "sensors/device7/#"
    assert page.read("/session").json == page.read("/session").json | {"user": "alice"}
    assert "roles" not in page.read("/session").json


def test_a_session_expires(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, "sessions: { lifetime: 8s }")
    page = Page(harness)
    expires = page.log_in().json["expires"]
    session = page.session()
    assert session.welcome["expires"] == expires
    assert session.expect("expiring")["in"] >= 0
    assert session.websocket.receive_close() == (4401, "expired")
    assert page.read("/session").status == 401


def test_sessions_are_limited_per_user_and_in_total(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, "sessions: { per_user: 2, maximum: 3 }")
    harness.file.user("bob", "battery staple")
    harness.rewrite()
    harness.secrets.append("battery staple")
    first, second, third = (Page(harness) for _ in range(3))
    assert first.log_in().status == 200
    oldest = first.session()
    assert second.log_in().status == 200 and third.log_in().status == 200
    assert oldest.websocket.receive_close() == (4401, "revoked")
    assert [page.read("/session").status for page in (first, second, third)] == [401, 200, 200]
    bob = [Page(harness) for _ in range(2)]
    assert bob[0].log_in("bob", "battery staple").status == 200
    late = bob[1].log_in("bob", "battery staple")
    assert late.status == 503 and int(late.headers["Retry-After"]) >= 1
    metrics = harness.broker.metrics()
    assert (metrics["broker_browser_sessions"], metrics["broker_browser_sessions_refused_total"]) == (3, 1)
    assert third.send("DELETE", "/session").status == 204
    assert bob[1].log_in("bob", "battery staple").status == 200
