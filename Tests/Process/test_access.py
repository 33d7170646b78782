"""access.md §4, §5, §6: what clients may do, and how they authenticate."""

import base64
import http.client
import json
import os
import pwd
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from access_file import AccessFile, password_hash
# The fixture is found by its name.
from access_harness import Harness, basic, bearer, harness, wrong  # noqa: F401
from broker_process import free_port
from command_line import BROKERD
from deadlines import ANSWER_DEADLINE, wait_until
from json_session import JSONSession
from raw_websocket import RawWebSocket, RefusedHandshake, read_head
from unix_http import unix_request


# Ways


def test_a_token_and_a_password_over_http(harness):
    post = lambda topic, headers: harness.broker.http("POST", f"/t/{topic}", body="x", headers=headers).status
    assert post("sensors/device7/t", bearer(harness.device)) == 200
    assert post("sensors/device8/t", bearer(harness.device)) == 403
    assert post("sensors/device7/t", bearer(wrong(harness.device))) == 401
    assert post("sensors/device7/t", {}) == 401
    read = lambda topic, headers: harness.broker.http("GET", f"/t/{topic}", headers=headers).status
    assert read("sensors/device7/t", basic("alice", "correct horse")) == 404
    assert read("sensors/device7/t", basic("alice", "wrong horse")) == 401
    assert read("sensors/device7/t", basic("nobody", "correct horse")) == 401
    assert read("sensors/secret/t", basic("alice", "correct horse")) == 403


def test_a_401_does_not_reveal_which_users_exist(harness):
    answers = [
        harness.broker.http("GET", "/t/sensors/a", headers=headers)
        for headers in (basic("alice", "no"), basic("nobody", "no"), bearer(wrong(harness.device)))
    ]
    assert {answer.body for answer in answers} == {answers[0].body}
    answers.append(harness.broker.http("GET", "/t/sensors/a"))
    assert [(answer.status, answer.error_code, answer.headers["WWW-Authenticate"]) for answer in answers] == [
        (401, "unauthenticated", 'Bearer realm="broker", error="invalid_token"')] * 4


@pytest.mark.parametrize("scheme", ["Digest a=b", "Bearer", "Basic !!!!", "Basic " + base64.b64encode(b"no colon").decode()])
def test_malformed_credentials_are_refused(harness, scheme):
    assert harness.broker.http("GET", "/t/news/a", headers={"Authorization": scheme}).status == 401


@pytest.mark.parametrize(
    "path, subprotocol",
    [("/ws", "broker.v1.json"), ("/t/sensors/device7/t", "broker.topic.v1"), ("/s/sensors/device7/%23", "broker.subscription.v1")])
def test_a_subprotocol_carries_a_token(harness, path, subprotocol):
    socket = harness.broker.websocket(path, subprotocols=[f"bearer.{harness.device}", subprotocol])
    assert socket.headers["sec-websocket-protocol"] == subprotocol
    with pytest.raises(RefusedHandshake) as refused:
        harness.broker.websocket(path, subprotocols=[f"bearer.{harness.device}"])
    assert refused.value.status == 400 and subprotocol.encode() in refused.value.body
    with pytest.raises(RefusedHandshake) as refused:
        harness.broker.websocket(path, subprotocols=[f"bearer.{wrong(harness.device)}", subprotocol])
    assert refused.value.status == 401


def test_a_page_learns_of_a_refusal_from_the_close(harness):
    origin = {"Origin": f"http://127.0.0.1:{harness.broker.port}"}
    for token, code in ((wrong(harness.device), 4401), (harness.editor, 4403)):
        socket = harness.broker.websocket(
            "/t/sensors/device7/t", subprotocols=[f"bearer.{token}", "broker.topic.v1"], headers=origin)
        assert socket.headers["sec-websocket-protocol"] == "broker.topic.v1"
        assert socket.receive_close()[0] == code


@pytest.mark.parametrize(
    "path, subprotocol",
    [("/ws", "broker.v1.json"), ("/t/sensors/device7/t", "broker.topic.v1"), ("/s/sensors/device7/%23", "broker.subscription.v1")])
def test_a_page_that_offers_only_a_token_is_told_what_to_offer(harness, path, subprotocol):
    origin = {"Origin": f"http://127.0.0.1:{harness.broker.port}"}
    socket = harness.broker.websocket(path, subprotocols=[f"bearer.{harness.device}"], headers=origin)
    assert "sec-websocket-protocol" not in socket.headers
    assert socket.receive_close() == (
        4400, f"Offer the subprotocol {subprotocol} in addition to bearer.TOKEN, because the broker never selects a token.")


def test_only_a_short_lived_token_is_accepted_in_a_url(harness):
    short = harness.token("device7", lifetime=600)
    long = harness.token("device7", lifetime=7200)
    harness.rewrite()
    get = lambda token: harness.broker.http("GET", f"/t/sensors/device7/t?token={token}").status
    assert [get(short), get(long), get(harness.device), get(wrong(short))] == [404, 401, 401, 401]


@pytest.mark.parametrize("setting, statuses", [("any", [404, 404]), ("none", [401, 401])])
def test_the_setting_query_tokens(start_broker, tmp_path, setting, statuses):
    harness = Harness(start_broker, tmp_path, f"query_tokens: {setting}")
    short = harness.token("device7", lifetime=600)
    harness.rewrite()
    get = lambda token: harness.broker.http("GET", f"/t/sensors/device7/t?token={token}").status
    assert [get(short), get(harness.device)] == statuses


def test_a_cookie_is_accepted_from_same_site_pages_only(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, "cookie: { name: session }")
    cookie = {"Cookie": f"a=b; session={harness.editor}; c=d"}
    own = f"http://127.0.0.1:{harness.broker.port}"
    post = lambda headers: harness.broker.http("POST", "/t/news/a", body="x", headers=cookie | headers).status
    assert post({"Origin": own}) == 200
    assert post({}) == 401
    assert post({"Origin": "http://127.0.0.1:1"}) == 401, "another port of this machine is another site"
    assert post({"Sec-Fetch-Site": "same-origin"}) == 401, "a form has no such field, and an old browser neither"
    get = lambda headers: harness.broker.http("GET", "/t/news/a", headers=cookie | headers).status
    assert get({"Sec-Fetch-Site": "same-origin"}) == 404
    assert [get({"Sec-Fetch-Site": site}) for site in ("cross-site", "same-site", "none")] == [401] * 3
    assert get({}) == 401
    # Two of the name: another page of the site may have set one.
    assert get({"Sec-Fetch-Site": "same-origin", "Cookie": f"session={harness.editor}; session=x"}) == 401
    # A wrong field is not skipped in favour of the right cookie.
    assert get({"Sec-Fetch-Site": "same-origin", **bearer(wrong(harness.editor))}) == 401
    with pytest.raises(RefusedHandshake) as refused:
        harness.broker.websocket("/t/news/a", headers=cookie)
    assert refused.value.status == 401
    socket = harness.broker.websocket("/t/news/a", headers=cookie | {"Origin": own})
    socket.synchronise()


def test_a_local_peer_is_the_user_of_its_process(start_broker, tmp_path):
    path = tmp_path / "broker.sock"
    config = (f'listen: [{{ address: "unix:{path}" }}]\n'
              "access: { anonymous: { publish: [], subscribe: [] }, peers: true,\n"
              '          rules: [{ everyone: true, publish: ["from/{user}"] }] }\n')
    start_broker(config, configured_listen=True)
    name = pwd.getpwuid(os.getuid()).pw_name
    assert unix_request(path, "POST", f"/t/from/{name}", b"x") == 200
    assert unix_request(path, "POST", "/t/from/somebody", b"x") == 403


@pytest.mark.parametrize("believes", ["proxy_protocol: true", "forwarded: x-forwarded-for"])
def test_a_proxys_clients_are_not_the_proxys_user(start_broker, tmp_path, believes):
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


def test_a_session_authenticates_in_band(harness):
    session = harness.broker.session()
    assert session.request(op="subscribe", filter="sensors/device7/#")["code"] == "unauthenticated"
    assert session.request(op="publish", topic="sensors/device7/t", data=1)["code"] == "unauthenticated"
    assert session.request(op="ping")["op"] == "pong"
    assert session.request(op="authenticate", token=wrong(harness.device))["code"] == "unauthenticated"
    assert session.request(op="authenticate")["code"] == "bad-request"
    assert session.request(op="authenticate", token=harness.device)["op"] == "ok"
    assert session.request(op="publish", topic="sensors/device7/t", data=1)["op"] == "ok"
    assert session.request(op="publish", topic="sensors/device8/t", data=1)["code"] == "forbidden"
    answer = session.request(op="authenticate", token=harness.editor)
    assert answer["code"] == "forbidden"
    assert session.request(op="publish", topic="news/a", data=1)["code"] == "forbidden", "it is device7 still"


def test_commands_after_a_password_wait_for_its_check(harness):
    """Commands in the same frame, and in the next one."""
    session = harness.broker.session()
    first = {"op": "authenticate", "id": 1, "user": "alice", "password": "correct horse"}
    session.websocket.send_text(json.dumps(first) + "\n" + json.dumps({"op": "subscribe", "id": 2, "filter": "news/#"}))
    session.send(op="subscribe", id=3, filter="sensors/device7/#", snapshot=False)
    received = [session.receive() for _ in range(4)]
    assert [one["id"] for one in received if one["op"] == "ok"] == [1, 2, 3]
    assert [one["filter"] for one in received if one["op"] == "live"] == ["news/#"]


def test_an_unauthenticated_session_has_strict_limits(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, "authentication_timeout: 4s")
    stranger, known, talker = harness.broker.session(), harness.broker.session(), harness.broker.session()
    assert known.request(op="authenticate", token=harness.device)["op"] == "ok"
    talker.websocket.send_text(json.dumps({"op": "ping", "padding": "x" * (17 << 10)}))
    assert talker.websocket.receive_close()[0] == 1009
    assert stranger.websocket.receive_close()[0] == 4408
    assert known.request(op="publish", topic="sensors/device7/t", data="x" * (17 << 10))["op"] == "ok"


# Attacks


@pytest.mark.parametrize("name", ["+", "#", "a/b", "$SYS", ""])
def test_a_user_name_with_a_wildcard_is_rejected(tmp_path, name):
    file = AccessFile(tmp_path / "harness" / "data" / "access.jsonl")
    file.user(name, roles=["sensor"])
    file.write()
    done = subprocess.run([BROKERD, "--data-dir", str(file.path.parent), "--check"], capture_output=True, text=True)
    assert done.returncode == 1 and "access.jsonl:1: user: expected a name" in done.stderr


def test_every_endpoint_requires_the_same_right(harness):
    """Reads in each way what alice is denied, and what a deny within a wildcard covers."""
    headers = basic("alice", "correct horse")
    assert harness.broker.http("PUT", "/t/sensors/device7/t?retain", body="x", headers=bearer(harness.device)).status == 200
    for method in ("GET", "HEAD"):
        assert harness.broker.http(method, "/t/sensors/device7/t", headers=headers).status == 200
        assert harness.broker.http(method, "/t/sensors/secret/t", headers=headers).status == 403
    for path in ("/s/sensors/secret/t", "/s/sensors/%23", "/s/sensors/%2B/t", "/s/%23", "/s/sensors/secret/t?since=0&poll",
                 "/s/%24SYS/%23"):
        assert harness.broker.http("GET", path, headers=headers).status == 403
        with pytest.raises(RefusedHandshake) as refused:
            harness.broker.websocket(path.replace("?since=0&poll", ""), headers=headers)
        assert refused.value.status == 403
    # Encoded, it is the same topic; a slash that is encoded is one.
    assert harness.broker.http("GET", "/t/sensors%2Fsecret%2Ft", headers=headers).status == 403
    assert harness.broker.http("GET", "/t/sensors/%73ecret/t", headers=headers).status == 403
    session = harness.broker.session(headers=headers)
    answer = session.request(op="subscribe", filter="sensors/#")
    assert answer["code"] == "forbidden" and "sensors/secret/#" in answer["message"]
    # A condition would reveal the value.
    condition = {"If-Match": '"1"'} | bearer(harness.editor)
    assert harness.broker.http("PUT", "/t/sensors/device7/t?retain", body="x", headers=condition).status == 403
    assert harness.broker.http("DELETE", "/t/sensors/device7/t", headers=headers).status == 403


def test_publishing_and_retaining_are_separate_rights(harness):
    headers = bearer(harness.editor)
    assert harness.broker.http("POST", "/t/news/a", body="x", headers=headers).status == 200
    assert harness.broker.http("PUT", "/t/news/a?retain", body="x", headers=headers).status == 403
    assert harness.broker.http("PUT", "/t/news/state/a?retain", body="x", headers=headers).status == 200
    assert harness.broker.http("DELETE", "/t/news/state/a", headers=headers).status == 204


def test_a_flood_of_passwords_does_not_lock_anyone_out(start_broker, tmp_path):
    """When 64 checks wait, further ones get 503. Clients with a token continue, and a right password is accepted afterwards."""
    harness = Harness(start_broker, tmp_path, "password_checks: 1", limits="handshake_timeout: 300s")
    harness.file.entries[0]["password"] = password_hash("correct horse", logarithm=14)
    harness.rewrite()

    def attempt(number):
        answer = harness.broker.http("GET", "/t/news/a", headers=basic(f"user{number}", "guess"), timeout=300)
        return answer.status, answer.headers.get("Retry-After")

    with ThreadPoolExecutor(100) as pool:
        flood = [pool.submit(attempt, number) for number in range(100)]
        for _ in range(20):
            assert harness.broker.http("POST", "/t/news/a", body="x", headers=bearer(harness.editor)).status == 200
            assert harness.broker.metrics()["broker_password_checks_waiting"] <= 64
        answers = [one.result() for one in flood]
    assert set(answers) == {(401, None), (503, "5")}
    metrics = harness.broker.metrics()
    assert metrics['broker_password_checks_total{outcome="computed"}'] == answers.count((401, None))
    assert metrics['broker_password_checks_total{outcome="refused"}'] == answers.count((503, "5"))
    assert metrics["broker_password_checks_waiting"] == 0
    answer = harness.broker.http("GET", "/t/news/a", headers=basic("alice", "correct horse"))
    assert answer.status == 404


def test_a_correct_password_is_hashed_once(harness):
    for _ in range(20):
        assert harness.broker.http("GET", "/t/news/a", headers=basic("alice", "correct horse")).status == 404
    metrics = harness.broker.http("GET", "/metrics").body.decode()
    assert 'broker_password_checks_total{outcome="computed"} 1\n' in metrics
    assert 'broker_auth_total{kind="password",result="ok"} 20\n' in metrics


# Several clients over one connection, and one client over several


def test_the_client_address_is_taken_from_each_request(start_broker, tmp_path):
    """A proxy sends the requests of many clients over one connection, even if all present the same token."""
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
    # The proxy uses TLS on the public network.
    kept.request("GET", "/t/in/x", headers=basic("gate", "correct horse") | {"X-Forwarded-For": "203.0.113.9"})
    assert kept.getresponse().status == 403, "by its rights"
    kept.close()


def test_the_connection_limit_of_a_user_covers_every_endpoint(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, limits="per_user: { connections: 1 }")
    kept = http.client.HTTPConnection("127.0.0.1", harness.broker.port, timeout=ANSWER_DEADLINE)
    for _ in range(3):
        kept.request("POST", "/t/sensors/device7/t", body="1", headers=bearer(harness.device))
        answer = kept.getresponse()
        answer.read()
        assert answer.status == 200
    late = harness.broker.session()
    assert late.request(op="authenticate", token=harness.device)["code"] == "limit-exceeded"
    kept.close()
    wait_until(lambda: late.request(op="authenticate", token=harness.device)["op"] == "ok", "the place to be free again")
    assert late.request(op="authenticate", token=harness.device)["op"] == "ok"


def test_an_upgraded_connection_counts_once(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, limits="per_user: { connections: 2 }")
    plain = socket.create_connection(("127.0.0.1", harness.broker.port), ANSWER_DEADLINE)
    plain.sendall(b"POST /t/sensors/device7/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
                  b"Authorization: Bearer " + harness.device.encode() + b"\r\n\r\n1")
    status, fields, received = read_head(plain)
    assert status == 200
    while len(received) < int(fields["content-length"]):
        received += plain.recv(4096)
    first = JSONSession(RawWebSocket(
        plain, f"127.0.0.1:{harness.broker.port}", "/ws", (), bearer(harness.device)))
    first.subscribe("config/a")
    second = harness.broker.session(headers=bearer(harness.device))
    second.subscribe("config/a")
    with pytest.raises(RefusedHandshake) as refused:
        harness.broker.session(headers=bearer(harness.device))
    assert refused.value.status == 429


def test_limits_of_a_rule_apply_and_reload(start_broker, tmp_path):
    """The limits of a rule replace those of `per_user`, for all connections of the user, and take effect at a reload."""
    harness = Harness(start_broker, tmp_path, limits="per_user: { subscriptions: 100 }")
    text = harness.broker.config_file.read_text()
    def limit(limits):
        since = len(harness.broker.lines)
        role = '{ role: sensor, publish: ["sensors/{user}/#"]'
        assert role in text
        harness.broker.config_file.write_text(text.replace(role, f"{role}, limits: {{ {limits} }}"))
        harness.broker.send_signal(signal.SIGHUP)
        harness.broker.wait_for_line("settings reloaded", since=since)
    one, two = (harness.broker.session(headers=bearer(harness.device)) for _ in range(2))
    one.subscribe(["config/a", "config/b"])
    limit("subscriptions: 3, publish_rate: 2, connections: 2")
    two.subscribe("config/c")
    refused = two.request(op="subscribe", filter="config/d")
    assert refused["code"] == "limit-exceeded" and "limits.per_user.subscriptions" in refused["message"]
    answers = [one.request(op="publish", topic="sensors/device7/t", data=1) for _ in range(40)]
    assert "rate-limited" in [answer.get("code") for answer in answers]
    with pytest.raises(RefusedHandshake) as refused:
        harness.broker.session(headers=bearer(harness.device))
    assert refused.value.status == 429
    editor = harness.broker.session(headers=bearer(harness.editor))
    editor.subscribe(["news/a", "news/b", "news/c", "news/d"])
    answers = [editor.request(op="publish", topic="news/a", data=1) for _ in range(40)]
    assert {answer["op"] for answer in answers} == {"ok"}, "a user of another role"
    limit("subscriptions: 4, publish_rate: unlimited")
    two.subscribe("config/d")
    answers = [one.request(op="publish", topic="sensors/device7/t", data=1) for _ in range(40)]
    assert {answer["op"] for answer in answers} == {"ok"}
    harness.broker.session(headers=bearer(harness.device))


def test_the_subscription_limit_covers_all_connections_of_a_user(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, limits="per_user: { subscriptions: 3 }")
    one, other, another = (
        harness.broker.session(headers=bearer(token)) for token in (harness.device, harness.device, harness.editor))
    one.subscribe(["sensors/device7/a", "news/a"])
    other.subscribe("sensors/device7/b")
    refused = other.request(op="subscribe", filter="news/b")
    assert refused["code"] == "limit-exceeded" and "limits.per_user.subscriptions" in refused["message"]
    another.subscribe(["news/a", "news/b", "news/c"])
    one.request(op="unsubscribe", filter="news/a")
    other.subscribe("news/b")
