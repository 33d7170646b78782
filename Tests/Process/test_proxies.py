"""docs/proxies.md: the promises of its snippets, through each of the proxies."""

import http.client
import json
import socket
import subprocess

import pytest

import proxies
from certificates import Authority
from chromium import Chromium
from deadlines import ANSWER_DEADLINE, wait_until
from http_answer import Answer, Follower
from json_session import JSONSession
from raw_websocket import BINARY, ConnectionEnded, RawWebSocket, RefusedHandshake

NAME = "broker.example.com"
CONFIG = f"hosts: [{NAME}]\n"


@pytest.fixture
def served(start_broker):
    return start_broker(CONFIG)


@pytest.fixture(params=proxies.ALL, ids=lambda kind: kind.name)
def proxy(request, served, tmp_path):
    with request.param(tmp_path / "proxy", served.port) as running:
        yield running


def place(proxy):
    return f"{NAME}:{proxy.port}"


def ask(proxy, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=ANSWER_DEADLINE)
    try:
        connection.request(method, path, body=body, headers={"Host": place(proxy), **headers})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def follow(proxy, path, accept):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=ANSWER_DEADLINE)
    connection.request("GET", path, headers={"Host": place(proxy), "Accept": accept})
    return Follower(connection, connection.getresponse())


def websocket(proxy, path, origin=None, host=None):
    plain = socket.create_connection(("127.0.0.1", proxy.port), ANSWER_DEADLINE)
    headers = {"Origin": f"http://{place(proxy)}" if origin is None else origin or None}
    try:
        return RawWebSocket(plain, host or place(proxy), path, (), headers)
    except Exception:
        plain.close()
        raise


def test_topics_pass_unchanged(served, proxy):
    subscriber = served.session()
    subscriber.subscribe("#")
    for path, topic in [("/t/a%2Fb", "a/b"), ("/t/a//b", "a//b"), ("/t/caf%C3%A9/%20x", "café/ x"), ("/t/a%3Fb", "a?b"), ("/t/a%25b", "a%b"),
                        ("/t/a/..b/.c", "a/..b/.c")]:
        assert ask(proxy, "PUT", path + "?retain", "value").status == 200, path
        subscriber.expect("message", topic=topic, data="value")
        assert ask(proxy, "GET", path).body == b"value", path
    answer = ask(proxy, "GET", "/s/%23?poll=1")
    assert answer.status == 200 and len(answer.body.splitlines()) == 6


def test_a_body_of_the_limit_passes(served, proxy):
    body = bytes(range(256)) * 4096
    assert len(body) == 1 << 20 and ask(proxy, "PUT", "/t/large?retain", body).status == 200
    assert ask(proxy, "GET", "/t/large").body == body
    assert ask(proxy, "PUT", "/t/large?retain", body + b"x").status == 413


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_followers_get_each_message_at_once(served, proxy, accept):
    follower = follow(proxy, "/s/live/%23", accept)
    assert follower.status == 200
    receive = (lambda: json.loads(follower.event()["data"])) if "event" in accept else follower.json
    assert receive()["op"] == "live"
    # Each is awaited before the next is sent: a proxy that buffers would never deliver.
    for number in range(20):
        seq = served.publish("live/x", str(number))["seq"]
        assert receive()["seq"] == seq
    follower.close()

    def is_forgotten():
        # Apache notices it with the next message.
        served.publish("live/x", "anybody?")
        return served.metrics()["broker_clients"] == 0

    wait_until(is_forgotten, "the follower to be forgotten")


def test_pages_open_websockets(served, proxy):
    session = JSONSession(websocket(proxy, "/ws"))
    session.subscribe("both/#")
    topic = websocket(proxy, "/t/both/ways")
    for number in range(20):
        topic.send_binary(bytes([number]))
        assert topic.receive_message() == (BINARY, bytes([number]))
        session.expect("message", topic="both/ways")
    topic.close()
    wait_until(lambda: served.metrics()["broker_clients"] == 1, "the topic socket to be forgotten")
    session.websocket.close()


def test_foreign_pages_are_told_why_they_are_refused(served, proxy):
    refused = websocket(proxy, "/ws", origin="https://evil.example")
    with pytest.raises(ConnectionEnded) as ended:
        refused.receive_message()
    code, reason = ended.value.close_frame
    assert code == 4403 and "https://evil.example" in reason and place(proxy) in reason
    answer = ask(proxy, "POST", "/t/a", "x", Origin="https://evil.example")
    assert answer.status == 403 and place(proxy) in answer.json["error"]["message"]
    refused.close()


def test_an_unlisted_name_is_answered_with_421(served, start_broker, tmp_path):
    unknown = start_broker()
    with proxies.HAProxy(tmp_path / "proxy", unknown.port) as proxy:
        # HAProxy sends nothing to a broker before it has found the broker ready.
        answer = wait_until(lambda: (found := ask(proxy, "GET", "/t/a")).status != 503 and found, "the broker to be found ready")
        assert answer.status == 421 and NAME in answer.json["error"]["message"]


def test_nginx_with_its_defaults_supports_http_1_0(served, tmp_path):
    with proxies.NginxDefault(tmp_path / "proxy", served.port) as proxy:
        assert ask(proxy, "PUT", "/t/old?retain", "value").status == 200
        assert ask(proxy, "GET", "/t/old").body == b"value"
        assert json.loads(ask(proxy, "GET", "/s/old?poll=1").body)["data"] == "value"
        follower = follow(proxy, "/s/old", "text/event-stream")
        assert json.loads(follower.event()["data"])["retained"] is True
        follower.close()
        with pytest.raises(RefusedHandshake) as refused:
            websocket(proxy, "/ws", origin="")
        assert refused.value.status == 426
        # With the proxy's own Host the page has another origin, and the answer says so.
        answer = ask(proxy, "POST", "/t/old", "x", Origin=f"http://{place(proxy)}")
        message = answer.json["error"]["message"]
        assert answer.status == 403 and f"127.0.0.1:{served.port}" in message and place(proxy) in message and "proxy" in message


def test_a_request_is_not_hidden_in_the_body_of_another(served, tmp_path):
    """nginx passes only GET; the content of a GET remains a body."""
    class Strict(proxies.Nginx):
        def snippet(self):
            return proxies.put(super().snippet(), ("location / {", "location / {\nlimit_except GET { deny all; }"))

    hidden = b"POST /t/hidden?retain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nEVIL"
    with Strict(tmp_path / "proxy", served.port) as proxy:
        assert ask(proxy, "POST", "/t/hidden", "x").status == 403
        for method, path in [("GET", "/s/a?poll=1"), ("HEAD", "/s/a"), ("GET", "/t/a"), ("GET", "/ws")]:
            ask(proxy, method, path, hidden)
            # On the other request's connection, if that was kept.
            assert ask(proxy, "GET", "/health/live").json["status"] == "ok"
    assert served.retained("hidden").status == 404


def test_many_event_sources_share_one_connection(served, tmp_path):
    """Over HTTP/1.1 a browser opens six, and the seventh waits."""
    mine = Authority(tmp_path / "certificates").sign("mine", f"DNS:{NAME},DNS:localhost")
    with proxies.NginxTLS(tmp_path / "proxy", served.port, mine.certificate, mine.key) as proxy:
        spoken = subprocess.run(
            ["curl", "--silent", "--http2", "--insecure", "--connect-to", f"{NAME}:443:127.0.0.1:{proxy.port}", "--write-out", "%{http_version}",
             f"https://{NAME}/health/live"], capture_output=True, timeout=60, check=True)
        assert spoken.stdout.endswith(b"2")
        browser = Chromium(tmp_path, f"--host-resolver-rules=MAP {NAME} 127.0.0.1", "--ignore-certificate-errors")
        try:
            browser.open(f"https://{place(proxy)}/health/live")
            browser.wait_for_text("ok")
            browser.evaluate(
                "document.body.textContent = ''; for (let number = 0; number < 12; number++) {"
                " const source = new EventSource('/s/many/%23');"
                " source.addEventListener('live', () => document.body.append(`live ${number};`));"
                " source.onmessage = event => document.body.append(`${number} got ${JSON.parse(event.data).data};`); } 0")
            browser.wait_for_text(*[f"live {number};" for number in range(12)])
            served.publish("many/x", "it")
            browser.wait_for_text(*[f"{number} got it;" for number in range(12)])
            # A page behind TLS, over a proxy that speaks plain HTTP to the broker, is of the same origin.
            browser.evaluate(
                "const socket = new WebSocket('wss://' + location.host + '/ws');"
                "socket.onmessage = event => document.body.append(event.data); 0")
            browser.wait_for_text('"op":"welcome"')
        finally:
            browser.close()
