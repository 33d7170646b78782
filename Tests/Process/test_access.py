"""access.md §4, §5, §6, §8: who may do what, by which way, and what becomes of it when that changes."""

import base64
import http.client
import json
import os
import pwd
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from access_file import AccessFile, password_hash
from broker_process import free_port
from command_line import BROKERD
from deadlines import ANSWER_DEADLINE, wait_until
from raw_websocket import RefusedHandshake, read_head
from unix_http import unix_request

RULES = """
access:
  anonymous: { publish: [], subscribe: [] }
  %s
  rules:
    - { everyone: true, subscribe: ["news/#"] }
    - { role: sensor, publish: ["sensors/{user}/#"], subscribe: ["sensors/{user}/#", "config/#"] }
    - { role: dashboard, subscribe: ["sensors/#"], deny: ["sensors/secret/#"] }
    - { role: editor, publish: ["news/#"], retain: ["news/state/#"] }
"""


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class House:
    """A broker with users; everything that it writes is searched for secrets in the end."""

    def __init__(self, start_broker, tmp_path, extra="", limits=""):
        self.directory = tmp_path / "house"
        self.file = AccessFile(self.directory / "data" / "access.jsonl")
        self.secrets = []
        self.file.user("alice", "correct horse", ["dashboard"])
        self.file.user("device7", roles=["sensor"])
        self.file.user("ed", roles=["editor"])
        self.device = self.token("device7")
        self.editor = self.token("ed")
        self.alice = self.token("alice")
        self.file.write()
        self.broker = start_broker(
            f"limits: {{ {limits} }}\n" + RULES % extra, directory=self.directory, arguments=["--log-level", "debug"])
        self.secrets.append("correct horse")

    def token(self, user, lifetime=None, **members):
        token, _ = self.file.token(user, lifetime, **members)
        self.secrets.append(token.rsplit("_", 1)[1])
        return token

    def entry(self, token):
        return next(entry for entry in self.file.entries if entry.get("token") == token.split("_")[1])

    def rewrite(self):
        since = len(self.broker.lines)
        self.file.write()
        self.broker.wait_for_line("loaded the changed file", since=since)

    def written(self):
        metrics = self.broker.http("GET", "/metrics").body.decode()
        return "\n".join(self.broker.lines) + metrics


@pytest.fixture
def house(start_broker, tmp_path):
    house = House(start_broker, tmp_path)
    yield house
    written = house.written()
    assert not [secret for secret in house.secrets if secret in written]


def wrong(token):
    """The same with another secret."""
    return token[:-1] + ("A" if token[-1] != "A" else "B")


# Ways


def test_a_token_and_a_password_over_http(house):
    post = lambda topic, headers: house.broker.http("POST", f"/t/{topic}", body="x", headers=headers).status
    assert post("sensors/device7/t", bearer(house.device)) == 200
    assert post("sensors/device8/t", bearer(house.device)) == 403
    assert post("sensors/device7/t", bearer(wrong(house.device))) == 401
    assert post("sensors/device7/t", {}) == 401
    read = lambda topic, headers: house.broker.http("GET", f"/t/{topic}", headers=headers).status
    assert read("sensors/device7/t", basic("alice", "correct horse")) == 404
    assert read("sensors/device7/t", basic("alice", "wrong horse")) == 401
    assert read("sensors/device7/t", basic("nobody", "correct horse")) == 401
    assert read("sensors/secret/t", basic("alice", "correct horse")) == 403


def test_an_answer_says_what_is_asked_for_and_not_who_exists(house):
    answers = [
        house.broker.http("GET", "/t/sensors/a", headers=headers)
        for headers in (basic("alice", "no"), basic("nobody", "no"), bearer(wrong(house.device)))
    ]
    assert {answer.body for answer in answers} == {answers[0].body}
    assert all(answer.headers["WWW-Authenticate"].startswith('Bearer realm="broker"') for answer in answers)


@pytest.mark.parametrize("scheme", ["Digest a=b", "Bearer", "Basic !!!!", "Basic " + base64.b64encode(b"no colon").decode()])
def test_what_cannot_be_read_is_refused(house, scheme):
    assert house.broker.http("GET", "/t/news/a", headers={"Authorization": scheme}).status == 401


@pytest.mark.parametrize(
    "path, subprotocol",
    [("/ws", "broker.v1.json"), ("/t/sensors/device7/t", "broker.topic.v1"), ("/s/sensors/device7/%23", "broker.subscription.v1")])
def test_a_subprotocol_carries_a_token(house, path, subprotocol):
    socket = house.broker.websocket(path, subprotocols=[f"bearer.{house.device}", subprotocol])
    assert socket.headers["sec-websocket-protocol"] == subprotocol
    with pytest.raises(RefusedHandshake) as refused:
        house.broker.websocket(path, subprotocols=[f"bearer.{house.device}"])
    assert refused.value.status == 400 and subprotocol.encode() in refused.value.body
    with pytest.raises(RefusedHandshake) as refused:
        house.broker.websocket(path, subprotocols=[f"bearer.{wrong(house.device)}", subprotocol])
    assert refused.value.status == 401


def test_a_page_is_told_by_a_close(house):
    origin = {"Origin": f"http://127.0.0.1:{house.broker.port}"}
    for token, code in ((wrong(house.device), 4401), (house.editor, 4403)):
        socket = house.broker.websocket(
            "/t/sensors/device7/t", subprotocols=[f"bearer.{token}", "broker.topic.v1"], headers=origin)
        assert socket.headers["sec-websocket-protocol"] == "broker.topic.v1"
        assert socket.receive_close()[0] == code


def test_the_first_way_that_is_there_decides(house):
    """A wrong one is not passed over for the next."""
    right, other = house.device, wrong(house.device)
    get = lambda query, headers: house.broker.http("GET", f"/t/sensors/device7/t{query}", headers=headers).status
    short = house.token("device7", lifetime=600)
    house.rewrite()
    assert get(f"?token={other}", bearer(right)) == 404
    assert get(f"?token={short}", bearer(other)) == 401
    with pytest.raises(RefusedHandshake) as refused:
        house.broker.websocket(
            f"/t/sensors/device7/t?token={short}", subprotocols=[f"bearer.{other}", "broker.topic.v1"])
    assert refused.value.status == 401


def test_only_a_short_token_may_be_in_an_address(house):
    short = house.token("device7", lifetime=600)
    long = house.token("device7", lifetime=7200)
    house.rewrite()
    get = lambda token: house.broker.http("GET", f"/t/sensors/device7/t?token={token}").status
    assert [get(short), get(long), get(house.device), get(wrong(short))] == [404, 401, 401, 401]


@pytest.mark.parametrize("setting, statuses", [("any", [404, 404]), ("none", [401, 401])])
def test_query_tokens(start_broker, tmp_path, setting, statuses):
    house = House(start_broker, tmp_path, f"query_tokens: {setting}")
    short = house.token("device7", lifetime=600)
    house.rewrite()
    get = lambda token: house.broker.http("GET", f"/t/sensors/device7/t?token={token}").status
    assert [get(short), get(house.device)] == statuses


def test_a_cookie_counts_for_pages_of_this_site_only(start_broker, tmp_path):
    house = House(start_broker, tmp_path, "cookie: { name: session }")
    cookie = {"Cookie": f"a=b; session={house.editor}; c=d"}
    own = f"http://127.0.0.1:{house.broker.port}"
    post = lambda headers: house.broker.http("POST", "/t/news/a", body="x", headers=cookie | headers).status
    assert post({"Origin": own}) == 200
    assert post({}) == 401
    assert post({"Origin": "http://127.0.0.1:1"}) == 401, "another port of this machine is another site"
    assert post({"Sec-Fetch-Site": "same-origin"}) == 401, "a form has no such field, and an old browser neither"
    get = lambda headers: house.broker.http("GET", "/t/news/a", headers=cookie | headers).status
    assert get({"Sec-Fetch-Site": "same-origin"}) == 404
    assert [get({"Sec-Fetch-Site": site}) for site in ("cross-site", "same-site", "none")] == [401] * 3
    assert get({}) == 401
    # Two of the name: another page of the site may have set one.
    assert get({"Sec-Fetch-Site": "same-origin", "Cookie": f"session={house.editor}; session=x"}) == 401
    # A wrong field is not passed over for the right cookie.
    assert get({"Sec-Fetch-Site": "same-origin", **bearer(wrong(house.editor))}) == 401
    with pytest.raises(RefusedHandshake) as refused:
        house.broker.websocket("/t/news/a", headers=cookie)
    assert refused.value.status == 401
    socket = house.broker.websocket("/t/news/a", headers=cookie | {"Origin": own})
    socket.synchronise()


def test_the_user_of_the_peer(start_broker, tmp_path):
    path = tmp_path / "broker.sock"
    config = (f'listen: [{{ address: "unix:{path}" }}]\n'
              "access: { anonymous: { publish: [], subscribe: [] }, peers: true,\n"
              '          rules: [{ everyone: true, publish: ["from/{user}"] }] }\n')
    start_broker(config, configured_listen=True)
    name = pwd.getpwuid(os.getuid()).pw_name
    assert unix_request(path, "POST", f"/t/from/{name}", b"x") == 200
    assert unix_request(path, "POST", "/t/from/somebody", b"x") == 403


@pytest.mark.parametrize("believes", ["proxy_protocol: true", "forwarded: x-forwarded-for"])
def test_the_user_of_a_proxy_is_none_of_its_clients(start_broker, tmp_path, believes):
    path = tmp_path / "broker.sock"
    name = pwd.getpwuid(os.getuid()).pw_name
    start_broker(f'listen: [{{ address: "unix:{path}", {believes} }}]\ntrusted_proxies: [unix]\n'
                 "access: { anonymous: { publish: [open], subscribe: [] }, peers: true,\n"
                 '          rules: [{ everyone: true, publish: ["from/{user}"] }] }\n', configured_listen=True)
    header = b"PROXY TCP4 192.0.2.7 198.51.100.1 5512 443\r\n" if "proxy" in believes else b""
    for topic, expected in [("open", 200), (f"from/{name}", 401)]:
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(ANSWER_DEADLINE)
            plain.connect(str(path))
            plain.sendall(header + f"POST /t/{topic} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.7\r\n"
                          "Content-Length: 0\r\n\r\n".encode())
            assert read_head(plain)[0] == expected, topic


# In band


def test_authenticating_in_band(house):
    session = house.broker.session()
    assert session.request(op="subscribe", filter="sensors/device7/#")["code"] == "unauthenticated"
    assert session.request(op="publish", topic="sensors/device7/t", data=1)["code"] == "unauthenticated"
    assert session.request(op="ping")["op"] == "pong"
    assert session.request(op="authenticate", token=wrong(house.device))["code"] == "unauthenticated"
    assert session.request(op="authenticate")["code"] == "bad-request"
    assert session.request(op="authenticate", token=house.device)["op"] == "ok"
    assert session.request(op="publish", topic="sensors/device7/t", data=1)["op"] == "ok"
    assert session.request(op="publish", topic="sensors/device8/t", data=1)["code"] == "forbidden"
    answer = session.request(op="authenticate", token=house.editor)
    assert answer["code"] == "forbidden"
    assert session.request(op="publish", topic="news/a", data=1)["code"] == "forbidden", "it is device7 still"


def test_what_follows_a_password_waits_for_it(house):
    """In the same frame, and in the next."""
    session = house.broker.session()
    first = {"op": "authenticate", "id": 1, "user": "alice", "password": "correct horse"}
    session.websocket.send_text(json.dumps(first) + "\n" + json.dumps({"op": "subscribe", "id": 2, "filter": "news/#"}))
    session.send(op="subscribe", id=3, filter="sensors/device7/#", snapshot=False)
    received = [session.receive() for _ in range(4)]
    assert [one["id"] for one in received if one["op"] == "ok"] == [1, 2, 3]
    assert [one["filter"] for one in received if one["op"] == "live"] == ["news/#"]


def test_a_stranger_has_little_room_and_time(start_broker, tmp_path):
    house = House(start_broker, tmp_path, "authentication_timeout: 1s")
    stranger, known, talker = house.broker.session(), house.broker.session(), house.broker.session()
    assert known.request(op="authenticate", token=house.device)["op"] == "ok"
    talker.websocket.send_text(json.dumps({"op": "ping", "padding": "x" * (17 << 10)}))
    assert talker.websocket.receive_close()[0] == 1009
    assert stranger.websocket.receive_close()[0] == 4408
    assert known.request(op="publish", topic="sensors/device7/t", data="x" * (17 << 10))["op"] == "ok"


# Expiry


def test_a_token_that_is_given_another_end_ends_by_that(house):
    token = house.token("device7", lifetime=3600)
    house.rewrite()
    session = house.broker.session(headers=bearer(token))
    house.entry(token)["expires"] -= 3598
    house.rewrite()
    assert session.websocket.receive_close() == (4401, "expired")


def test_credentials_end_on_a_connection(house):
    token = house.token("device7", lifetime=4)
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


def test_nothing_denied_is_delivered_after_a_change(house):
    """While messages stream, a role goes; what was published after the change was known does not arrive."""
    session = house.broker.session(headers=bearer(house.alice))
    session.subscribe("sensors/device7/#")
    publisher = house.broker.session(headers=bearer(house.device))
    ended = threading.Event()

    def stream():
        number = 0
        while not ended.is_set():
            publisher.websocket.send_text("\n".join(
                json.dumps({"op": "publish", "topic": "sensors/device7/t", "data": number + step}) for step in range(50)))
            number += 50
            publisher.request(op="ping")

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        session.expect("message")
        next(entry for entry in house.file.entries if entry.get("user") == "alice")["roles"] = []
        house.rewrite()
        while (received := session.receive())["op"] == "message":
            pass
        assert received["op"] == "revoked"
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


# Attacks


@pytest.mark.parametrize("name", ["+", "#", "a/b", "$SYS", ""])
def test_a_name_that_would_be_a_wildcard_is_no_user(tmp_path, name):
    file = AccessFile(tmp_path / "house" / "data" / "access.jsonl")
    file.user(name, roles=["sensor"])
    file.write()
    done = subprocess.run([BROKERD, "--data-dir", str(file.path.parent), "--check"], capture_output=True, text=True)
    assert done.returncode == 1 and "access.jsonl:1: user: expected a name" in done.stderr


def test_every_door_asks_for_the_same_right(house):
    """Reading by each of the ways, of what alice is denied; and of a deny within a wildcard."""
    headers = basic("alice", "correct horse")
    assert house.broker.http("PUT", "/t/sensors/device7/t?retain", body="x", headers=bearer(house.device)).status == 200
    for method in ("GET", "HEAD"):
        assert house.broker.http(method, "/t/sensors/device7/t", headers=headers).status == 200
        assert house.broker.http(method, "/t/sensors/secret/t", headers=headers).status == 403
    for path in ("/s/sensors/secret/t", "/s/sensors/%23", "/s/sensors/%2B/t", "/s/%23", "/s/sensors/secret/t?since=0&poll",
                 "/s/%24SYS/%23"):
        assert house.broker.http("GET", path, headers=headers).status == 403
        with pytest.raises(RefusedHandshake) as refused:
            house.broker.websocket(path.replace("?since=0&poll", ""), headers=headers)
        assert refused.value.status == 403
    # Encoded, it is the same topic; a slash that is encoded is one.
    assert house.broker.http("GET", "/t/sensors%2Fsecret%2Ft", headers=headers).status == 403
    assert house.broker.http("GET", "/t/sensors/%73ecret/t", headers=headers).status == 403
    session = house.broker.session(headers=headers)
    answer = session.request(op="subscribe", filter="sensors/#")
    assert answer["code"] == "forbidden" and "sensors/secret/#" in answer["message"]
    # A condition would tell of the value.
    condition = {"If-Match": '"1"'} | bearer(house.editor)
    assert house.broker.http("PUT", "/t/sensors/device7/t?retain", body="x", headers=condition).status == 403
    assert house.broker.http("DELETE", "/t/sensors/device7/t", headers=headers).status == 403


def test_publishing_is_not_setting_values(house):
    headers = bearer(house.editor)
    assert house.broker.http("POST", "/t/news/a", body="x", headers=headers).status == 200
    assert house.broker.http("PUT", "/t/news/a?retain", body="x", headers=headers).status == 403
    assert house.broker.http("PUT", "/t/news/state/a?retain", body="x", headers=headers).status == 200
    assert house.broker.http("DELETE", "/t/news/state/a", headers=headers).status == 204


def test_a_flood_of_passwords_stops_nobody(start_broker, tmp_path):
    """Beyond 64 that wait there is 503; those with a token go on, and a right password gets in afterwards."""
    house = House(start_broker, tmp_path, "password_checks: 1", limits="handshake_timeout: 60s")
    house.file.entries[0]["password"] = password_hash("correct horse", logarithm=15)
    house.rewrite()

    def attempt(number):
        return house.broker.http("GET", "/t/news/a", headers=basic("alice", f"guess {number}"), timeout=60).status

    with ThreadPoolExecutor(100) as pool:
        flood = [pool.submit(attempt, number) for number in range(100)]
        for _ in range(20):
            assert house.broker.http("POST", "/t/news/a", body="x", headers=bearer(house.editor)).status == 200
        statuses = [one.result() for one in flood]
    assert set(statuses) == {401, 503}
    answer = house.broker.http("GET", "/t/news/a", headers=basic("alice", "correct horse"))
    assert answer.status == 404


def test_a_right_password_is_computed_once(house):
    for _ in range(20):
        assert house.broker.http("GET", "/t/news/a", headers=basic("alice", "correct horse")).status == 404
    metrics = house.broker.http("GET", "/metrics").body.decode()
    assert 'broker_password_checks_total{outcome="computed"} 1\n' in metrics
    assert 'broker_auth_total{kind="password",result="ok"} 20\n' in metrics


# Several clients by one connection, and one client by several


def test_an_address_is_that_of_the_request_on_a_kept_connection(start_broker, tmp_path):
    """A proxy sends the requests of many clients by one connection, also where all show the same token."""
    port = free_port()
    file = AccessFile(tmp_path / "data" / "access.jsonl")
    file.user("gate", "correct horse", roles=["inside"])
    token, _ = file.token("gate")
    file.write()
    start_broker(
        f"listen: [{{ address: '127.0.0.1:{port}', forwarded: x-forwarded-for }}]\ntrusted_proxies: [127.0.0.1]\n"
        "access: { rules: [{ role: inside, address: [10.9.0.0/16], publish: ['in/#'] }] }\n",
        directory=tmp_path, port=port, configured_listen=True)
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_DEADLINE)

    def publish(address):
        kept.request("POST", "/t/in/x", body="1", headers=bearer(token) | {"X-Forwarded-For": address})
        answer = kept.getresponse()
        answer.read()
        return answer.status

    assert [publish(address) for address in ("10.9.0.5", "203.0.113.9", "10.9.0.6")] == [200, 403, 200]
    # The proxy has TLS where there are others on the way.
    kept.request("GET", "/t/in/x", headers=basic("gate", "correct horse") | {"X-Forwarded-For": "203.0.113.9"})
    assert kept.getresponse().status == 403, "by its rights"
    kept.close()


def test_connections_of_a_user_are_counted_by_every_way(start_broker, tmp_path):
    house = House(start_broker, tmp_path, limits="per_user: { connections: 1 }")
    kept = http.client.HTTPConnection("127.0.0.1", house.broker.port, timeout=ANSWER_DEADLINE)
    for _ in range(3):
        kept.request("POST", "/t/sensors/device7/t", body="1", headers=bearer(house.device))
        answer = kept.getresponse()
        answer.read()
        assert answer.status == 200
    late = house.broker.session()
    assert late.request(op="authenticate", token=house.device)["code"] == "limit-exceeded"
    kept.close()
    wait_until(lambda: late.request(op="authenticate", token=house.device)["op"] == "ok", "the place to be free again")
    assert late.request(op="authenticate", token=house.device)["op"] == "ok"
