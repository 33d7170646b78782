"""access.md §7, §8: credentials that end, and what happens to clients when users, tokens and rules change."""

import json
import os
import signal
import threading

from access_file import AccessFile
# The fixture is found by its name.
from access_harness import RULES, Harness, basic, bearer, harness  # noqa: F401
from deadlines import ANSWER_DEADLINE


# Expiry


def test_a_changed_expiry_applies_to_open_connections(harness):
    token = harness.token("device7", lifetime=3600)
    harness.rewrite()
    session = harness.broker.session(headers=bearer(token))
    harness.entry(token)["expires"] -= 3598
    harness.rewrite()
    assert session.websocket.receive_close() == (4401, "expired")


def test_an_expiring_token_ends_its_connection(harness):
    token = harness.token("device7", lifetime=12)
    harness.rewrite()
    expires = harness.entry(token)["expires"] * 1000
    session = harness.broker.session(headers=bearer(token))
    assert session.welcome["expires"] == expires
    refreshed = harness.broker.session()
    assert refreshed.request(op="authenticate", token=token)["expires"] == expires
    topic = harness.broker.websocket("/t/sensors/device7/t", headers=bearer(token))
    events = harness.broker.follow("news/#", headers=bearer(token) | {"Accept": "text/event-stream"})
    assert refreshed.request(op="authenticate", token=harness.device)["op"] == "ok"
    assert session.expect("expiring")["in"] >= 0
    for socket in (session.websocket, topic):
        close = socket.receive_close()
        assert close == (4401, "expired")
    while (event := events.event()) and event.get("event") != "error":
        pass
    assert json.loads(event["data"])["error"]["code"] == "unauthenticated" and events.event() is None
    assert refreshed.request(op="publish", topic="sensors/device7/t", data=1)["op"] == "ok"
    assert harness.broker.http("GET", "/t/news/a", headers=bearer(token)).status == 401


# Change


def test_revoked_credentials_end_connections_at_once(harness):
    device, editor, alice = (
        harness.broker.session(headers=bearer(token)) for token in (harness.device, harness.editor, harness.alice))
    password = harness.broker.session(headers=basic("alice", "correct horse"))
    follower = harness.broker.follow("news/#", headers=bearer(harness.editor) | {"Accept": "text/event-stream"})
    harness.file.entries.remove(harness.entry(harness.device))
    next(entry for entry in harness.file.entries if entry.get("user") == "ed")["disabled"] = True
    alice_entry = next(entry for entry in harness.file.entries if entry.get("user") == "alice" and "token" not in entry)
    alice_entry["password"] = AccessFile(None).user("alice", "another")["password"]
    harness.rewrite()
    for session in (device, editor, password):
        close = session.websocket.receive_close()
        assert close == (4401, "revoked")
    while (event := follower.event()) and event.get("event") != "error":
        pass
    assert json.loads(event["data"])["error"]["code"] == "unauthenticated"
    assert alice.request(op="ping")["op"] == "pong", "her token does not go by the password"
    assert harness.broker.http("POST", "/t/news/a", body="x", headers=bearer(harness.editor)).status == 401


def test_a_missing_file_of_users_disconnects_nobody(harness):
    """A mistake, or an editor that replaces the file; a reload does not change that."""
    session = harness.broker.session(headers=bearer(harness.device))
    harness.file.path.unlink()
    harness.broker.wait_for_line("keeping the previous users.*there is no such file")
    harness.broker.send_signal(signal.SIGHUP)
    harness.broker.wait_for_line("keeping the old ones.*there is no such file")
    assert session.request(op="ping")["op"] == "pong"
    assert harness.broker.http("POST", "/t/news/a", body="x", headers=bearer(harness.editor)).status == 200
    # A change must not create the file again with nobody else in it.
    refused = harness.broker.control("users", "add", "eve", "--no-password")
    assert refused.returncode != 0 and b"there is no such file any more" in refused.stderr
    assert not harness.file.path.exists()
    harness.file.entries.clear()
    harness.rewrite()
    assert session.websocket.receive_close() == (4401, "revoked")


def test_removing_a_role_ends_its_subscriptions(harness):
    session = harness.broker.session(headers=bearer(harness.alice))
    session.subscribe("sensors/device7/#")
    session.subscribe("news/#")
    socket = harness.broker.websocket("/s/sensors/device7/%23", headers=bearer(harness.alice))
    next(entry for entry in harness.file.entries if entry.get("user") == "alice")["roles"] = []
    harness.rewrite()
    assert session.expect("revoked")["filter"] == "sensors/device7/#"
    assert socket.receive_close()[0] == 4403
    assert harness.broker.http("POST", "/t/news/a", body='"hello"', headers=bearer(harness.editor)).status == 200
    session.expect("message", topic="news/a")


def test_a_reloaded_rule_applies(harness):
    session = harness.broker.session(headers=bearer(harness.device))
    session.subscribe("config/#")
    harness.broker.config_file.write_text(
        (RULES % "").replace('"config/#"]', '"other/#"]').replace('publish: ["sensors/{user}/#"]', "publish: []"))
    harness.broker.send_signal(signal.SIGHUP)
    assert session.expect("revoked")["filter"] == "config/#"
    assert session.request(op="publish", topic="sensors/device7/t", data=1)["code"] == "forbidden"
    assert session.request(op="subscribe", filter="other/#", snapshot=False)["op"] == "ok"


def test_nothing_denied_is_delivered_after_a_change(start_broker, tmp_path):
    """In the middle of tens of thousands of messages, as fast as possible, a role is removed: what was published after
    the answer to that does not arrive."""
    harness = Harness(start_broker, tmp_path, limits="pending: 64MiB, pending_age: 10m, memory: unlimited")
    session = harness.broker.session(headers=bearer(harness.alice))
    session.subscribe("sensors/device7/#")
    publisher = harness.broker.session(headers=bearer(harness.device))
    numbers, last = iter(range(0, 1 << 40, 50)), None
    counted = threading.Condition()
    taken = 0
    ended = threading.Event()

    def stream():
        nonlocal taken
        while not ended.is_set():
            first = next(numbers)
            publisher.websocket.send_text("\n".join(
                json.dumps({"op": "publish", "topic": "sensors/device7/t", "data": first + step}) for step in range(50)))
            publisher.request(op="ping")
            with counted:
                taken = first + 50
                counted.notify_all()

    def wait_for(count):
        with counted:
            assert counted.wait_for(lambda: taken >= count, 10 * ANSWER_DEADLINE)

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        wait_for(10_000)
        assert harness.broker.control("users", "role", "alice", "-dashboard").returncode == 0
        with counted:
            # Messages that are on their way now may have been sent before.
            known = taken + 50
        wait_for(known + 10_000)
        while (received := session.receive())["op"] == "message":
            last = received["data"]
        assert received["op"] == "revoked" and 10_000 <= last < known
        assert session.request(op="ping")["op"] == "pong" and not session.waiting
    finally:
        ended.set()
        thread.join()


def test_a_broken_file_changes_nothing(harness):
    session = harness.broker.session(headers=bearer(harness.device))
    good = harness.file.path.read_text()
    with open(harness.file.path, "w") as file:
        file.write('{"user":"device7"}\n{"user":\n')
    line = harness.broker.wait_for_line("keeping the previous users and tokens")
    assert "access.jsonl:2: " in line
    assert session.request(op="publish", topic="sensors/device7/t", data=1)["op"] == "ok"
    assert harness.broker.http("POST", "/t/news/a", body="x", headers=bearer(harness.editor)).status == 200
    since = len(harness.broker.lines)
    with open(harness.file.path, "w") as file:
        # Half-written, as by an interrupted tool.
        file.write(good[:-20])
    harness.broker.wait_for_line("keeping the previous users and tokens", since=since)
    assert harness.broker.http("POST", "/t/news/a", body="x", headers=bearer(harness.editor)).status == 200
    with open(harness.file.path, "w") as file:
        file.write(good)
    harness.broker.wait_for_line("loaded the changed file")
    since = len(harness.broker.lines)
    os.chmod(harness.file.path, 0o644)
    with open(harness.file.path, "a") as file:
        file.write('{"user":"extra"}\n')
    assert "chmod go-rwx" in harness.broker.wait_for_line("keeping the previous users and tokens", since=since)


def test_many_reloads_disconnect_nobody(harness):
    session = harness.broker.session(headers=bearer(harness.device))
    session.subscribe("config/#")
    for _ in range(100):
        harness.broker.send_signal(signal.SIGHUP)
        harness.file.write()
    harness.broker.wait_for_line("settings reloaded")
    assert session.request(op="publish", topic="sensors/device7/t", data=1)["op"] == "ok"
    assert harness.broker.http("POST", "/t/news/a", body="x", headers=bearer(harness.editor)).status == 200
