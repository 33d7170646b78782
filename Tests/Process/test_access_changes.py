"""access.md §7, §8: credentials that end, and what becomes of clients when users, tokens and rules change."""

import json
import os
import signal
import threading

from access_file import AccessFile
# The fixture is found by its name.
from access_house import RULES, House, basic, bearer, house  # noqa: F401
from deadlines import ANSWER_DEADLINE


# Expiry


def test_a_token_that_is_given_another_end_ends_by_that(house):
    token = house.token("device7", lifetime=3600)
    house.rewrite()
    session = house.broker.session(headers=bearer(token))
    house.entry(token)["expires"] -= 3598
    house.rewrite()
    assert session.websocket.receive_close() == (4401, "expired")


def test_credentials_end_on_a_connection(house):
    token = house.token("device7", lifetime=12)
    house.rewrite()
    expires = house.entry(token)["expires"] * 1000
    session = house.broker.session(headers=bearer(token))
    assert session.welcome["expires"] == expires
    refreshed = house.broker.session()
    assert refreshed.request(op="authenticate", token=token)["expires"] == expires
    topic = house.broker.websocket("/t/sensors/device7/t", headers=bearer(token))
    events = house.broker.follow("news/#", headers=bearer(token) | {"Accept": "text/event-stream"})
    assert refreshed.request(op="authenticate", token=house.device)["op"] == "ok"
    assert session.expect("expiring")["in"] >= 0
    for socket in (session.websocket, topic):
        close = socket.receive_close()
        assert close == (4401, "expired")
    while (event := events.event()) and event.get("event") != "error":
        pass
    assert json.loads(event["data"])["error"]["code"] == "unauthenticated" and events.event() is None
    assert refreshed.request(op="publish", topic="sensors/device7/t", data=1)["op"] == "ok"
    assert house.broker.http("GET", "/t/news/a", headers=bearer(token)).status == 401


# Change


def test_what_is_taken_back_ends_at_once(house):
    device, editor, alice = (
        house.broker.session(headers=bearer(token)) for token in (house.device, house.editor, house.alice))
    password = house.broker.session(headers=basic("alice", "correct horse"))
    follower = house.broker.follow("news/#", headers=bearer(house.editor) | {"Accept": "text/event-stream"})
    house.file.entries.remove(house.entry(house.device))
    next(entry for entry in house.file.entries if entry.get("user") == "ed")["disabled"] = True
    alice_entry = next(entry for entry in house.file.entries if entry.get("user") == "alice" and "token" not in entry)
    alice_entry["password"] = AccessFile(None).user("alice", "another")["password"]
    house.rewrite()
    for session in (device, editor, password):
        close = session.websocket.receive_close()
        assert close == (4401, "revoked")
    while (event := follower.event()) and event.get("event") != "error":
        pass
    assert json.loads(event["data"])["error"]["code"] == "unauthenticated"
    assert alice.request(op="ping")["op"] == "pong", "her token does not go by the password"
    assert house.broker.http("POST", "/t/news/a", body="x", headers=bearer(house.editor)).status == 401


def test_a_role_that_is_taken_away_ends_its_subscriptions(house):
    session = house.broker.session(headers=bearer(house.alice))
    session.subscribe("sensors/device7/#")
    session.subscribe("news/#")
    socket = house.broker.websocket("/s/sensors/device7/%23", headers=bearer(house.alice))
    next(entry for entry in house.file.entries if entry.get("user") == "alice")["roles"] = []
    house.rewrite()
    assert session.expect("revoked")["filter"] == "sensors/device7/#"
    assert socket.receive_close()[0] == 4403
    assert house.broker.http("POST", "/t/news/a", body='"hello"', headers=bearer(house.editor)).status == 200
    session.expect("message", topic="news/a")


def test_a_rule_that_is_reloaded_holds(house):
    session = house.broker.session(headers=bearer(house.device))
    session.subscribe("config/#")
    house.broker.config_file.write_text(
        (RULES % "").replace('"config/#"]', '"other/#"]').replace('publish: ["sensors/{user}/#"]', "publish: []"))
    house.broker.send_signal(signal.SIGHUP)
    assert session.expect("revoked")["filter"] == "config/#"
    assert session.request(op="publish", topic="sensors/device7/t", data=1)["code"] == "forbidden"
    assert session.request(op="subscribe", filter="other/#", snapshot=False)["op"] == "ok"


def test_nothing_denied_is_delivered_after_a_change(start_broker, tmp_path):
    """In the middle of tens of thousands of messages, as fast as they go, a role is taken away: what was published after
    the answer to that does not arrive."""
    house = House(start_broker, tmp_path, limits="pending: 64MiB, pending_age: 10m, memory: unlimited")
    session = house.broker.session(headers=bearer(house.alice))
    session.subscribe("sensors/device7/#")
    publisher = house.broker.session(headers=bearer(house.device))
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
        assert house.broker.control("users", "role", "alice", "-dashboard").returncode == 0
        with counted:
            # Those that are under way now may have come before.
            known = taken + 50
        wait_for(known + 10_000)
        while (received := session.receive())["op"] == "message":
            last = received["data"]
        assert received["op"] == "revoked" and 10_000 <= last < known
        assert session.request(op="ping")["op"] == "pong" and not session.waiting
    finally:
        ended.set()
        thread.join()


def test_a_broken_file_changes_nothing(house):
    session = house.broker.session(headers=bearer(house.device))
    good = house.file.path.read_text()
    with open(house.file.path, "w") as file:
        file.write('{"user":"device7"}\n{"user":\n')
    line = house.broker.wait_for_line("keeping what it said before")
    assert "access.jsonl:2: " in line
    assert session.request(op="publish", topic="sensors/device7/t", data=1)["op"] == "ok"
    assert house.broker.http("POST", "/t/news/a", body="x", headers=bearer(house.editor)).status == 200
    since = len(house.broker.lines)
    with open(house.file.path, "w") as file:
        # Half-written, as by a tool that was interrupted.
        file.write(good[:-20])
    house.broker.wait_for_line("keeping what it said before", since=since)
    assert house.broker.http("POST", "/t/news/a", body="x", headers=bearer(house.editor)).status == 200
    with open(house.file.path, "w") as file:
        file.write(good)
    house.broker.wait_for_line("loaded the changed file")
    since = len(house.broker.lines)
    os.chmod(house.file.path, 0o644)
    with open(house.file.path, "a") as file:
        file.write('{"user":"extra"}\n')
    assert "chmod go-rwx" in house.broker.wait_for_line("keeping what it said before", since=since)


def test_a_storm_of_reloads_keeps_everybody(house):
    session = house.broker.session(headers=bearer(house.device))
    session.subscribe("config/#")
    for _ in range(100):
        house.broker.send_signal(signal.SIGHUP)
        house.file.write()
    house.broker.wait_for_line("settings read again")
    assert session.request(op="publish", topic="sensors/device7/t", data=1)["op"] == "ok"
    assert house.broker.http("POST", "/t/news/a", body="x", headers=bearer(house.editor)).status == 200
