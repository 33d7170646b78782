"""Which names a broker answers to, and which pages: DNS rebinding fails, and a developer's page works."""

import json
import socket
import ssl

import pytest

from broker_process import free_port
from certificates import Authority
from deadlines import wait_until
from raw_websocket import ConnectionEnded, RefusedHandshake

LOOPBACK = ["localhost", "LOCALHOST", "localhost.", "app.localhost", "127.0.0.1", "127.8.9.10", "[::1]"]
STRANGERS = ["evil.test", "evil.test.", "127.0.0.1.evil.test", "localhost.evil.test", "xlocalhost", "10.1.2.3", "[fe80::1]", "0.0.0.0",
             "127.0.0", "127.0.0.256", "[::2]"]


def ask(broker, host, path="/t/a", method="GET", **headers):
    return broker.http(method, path, headers={"Host": host, **headers})


@pytest.fixture
def kept(broker):
    broker.publish("a", "secret", "retain")
    return broker


def test_loopback_names_are_accepted(kept):
    for host in LOOPBACK:
        for port in ["", ":8080", ":1"]:
            assert ask(kept, host + port).body == b"secret", host + port


@pytest.mark.parametrize("host", STRANGERS)
def test_other_names_are_answered_with_421(kept, host):
    """With and without Origin: after DNS rebinding a page sends none with a same-origin GET."""
    for headers in [{}, {"Origin": f"http://{host}:{kept.port}"}, {"Origin": "http://localhost"}]:
        for method, path in [("GET", "/t/a"), ("POST", "/t/a"), ("GET", "/s/%23?poll=1"), ("GET", "/"), ("GET", "/metrics"), ("GET", "/nothing"),
                             ("GET", "/health/live"), ("OPTIONS", "/t/a"), ("DELETE", "/t/a"), ("GET", "/ws")]:
            answer = ask(kept, f"{host}:{kept.port}", path, method, **headers)
            assert (answer.status, answer.error_code) == (421, "forbidden"), (method, path, answer)
            assert "Access-Control-Allow-Origin" not in answer.headers
        for path in ("/ws", "/t/a", "/s/a"):
            with pytest.raises(RefusedHandshake) as refused:
                kept.websocket(path, headers=headers, host=f"{host}:{kept.port}")
            assert refused.value.status == 421
    assert kept.metrics()['broker_refusals_total{reason="host"}'] == 39


def test_the_error_says_what_to_do(broker):
    answer = ask(broker, f"evil.test:{broker.port}")
    assert answer.json["error"]["message"] == "This broker does not answer to the name evil.test: add it to hosts."
    for _ in range(10):
        ask(broker, "evil.test")
    line = broker.wait_for_line("its host name is not listed in hosts")
    assert "evil.test" in line and "hosts" in line and "warning" in line
    # Once a name: the next line is about another one.
    ask(broker, "other.test")
    broker.wait_for_line("other.test")
    assert sum("evil.test" in line for line in broker.lines) == 2, "once for each way it was written"


def test_refused_names_do_not_flood_the_log(broker):
    for number in range(200):
        assert ask(broker, f"evil{number}.test").status == 421
    broker.wait_for_line("too many refusals to log each")
    assert sum("its host name is not listed in hosts" in line for line in broker.lines) == 100


def test_a_request_without_a_host_is_accepted(kept):
    with kept.connect() as plain:
        plain.sendall(b"GET /t/a HTTP/1.0\r\n\r\n")
        assert plain.makefile("rb").read().endswith(b"secret")


@pytest.mark.parametrize("hosts, allowed, refused", [
    ("any", ["evil.test", "10.1.2.3", "localhost"], []),
    ('[broker.example.com, "*.lan"]', ["broker.example.com", "BROKER.example.com:80", "tv.lan", "a.b.lan", "localhost", "127.0.0.1"],
     ["example.com", "x.broker.example.com", "lan", "tvlan", "evil.test"]),
    ("[]", ["localhost"], ["evil.test"]),
    ("auto", ["localhost"], ["evil.test"]),
])
def test_the_setting_hosts_allows_names(start_broker, hosts, allowed, refused):
    broker = start_broker(f"hosts: {hosts}\n")
    for host in allowed:
        assert ask(broker, host, "/health/live").status == 200, host
    for host in refused:
        assert ask(broker, host, "/health/live").status == 421, host


def test_hosts_and_origins_are_reloaded(start_broker):
    broker = start_broker("log: { level: info }\n")
    connection_host = {"Host": "broker.example.com", "Origin": "https://page.example"}
    assert broker.http("GET", "/t/a", headers=connection_host).status == 421
    broker.config_file.write_text("hosts: [broker.example.com]\n")
    broker.send_signal(1)
    wait_until(lambda: broker.http("GET", "/t/a", headers=connection_host).status == 403, "the host to be known")
    broker.config_file.write_text("hosts: [broker.example.com]\norigins: ['https://page.example']\n")
    broker.send_signal(1)
    wait_until(lambda: broker.http("GET", "/t/a", headers=connection_host).status == 404, "the origin to be known")
    broker.config_file.write_text("")
    broker.send_signal(1)
    wait_until(lambda: broker.http("GET", "/t/a", headers=connection_host).status == 421, "both to be gone")


def test_a_unix_listener_accepts_any_name(start_broker, tmp_path):
    """A proxy in front of it has checked names, or has only one."""
    port = free_port()
    path = tmp_path / "broker.sock"
    broker = start_broker(
        f"listen: [{{ address: '127.0.0.1:{port}' }}, {{ address: 'unix:{path}' }}]\n", port=port, configured_listen=True)
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(str(path))
        plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: anything.example\r\nConnection: close\r\n\r\n")
        assert plain.makefile("rb").readline().startswith(b"HTTP/1.1 200 ")
    assert ask(broker, "anything.example", "/health/live").status == 421


def test_beyond_loopback_the_machines_own_names_are_accepted(start_broker):
    port = free_port()
    broker = start_broker(
        f"listen: [{{ address: '0.0.0.0:{port}' }}]\naccess: {{ anonymous_anywhere: true }}\n", port=port, configured_listen=True)
    for host in ["localhost", "127.0.0.1", socket.gethostname(), f"{socket.gethostname().upper()}:{port}"]:
        assert ask(broker, host, "/health/live").status == 200, host
    # 127.0.0.1 is where the connection has gone to; another address of loopback is not.
    for host in ["127.0.0.2", "10.1.2.3", "evil.test"]:
        assert ask(broker, host, "/health/live").status == 421, host
    with broker.connect() as plain:
        plain.sendall(b"GET /health/live HTTP/1.0\r\n\r\n")
        assert plain.makefile("rb").readline().startswith(b"HTTP/1.1 421 ")


# Pages


def websocket_end(broker, path="/ws", host=None, subprotocols=(), **headers):
    """The CLOSE, and everything else that came, of a WebSocket that is refused."""
    websocket = broker.websocket(path, headers=headers, host=host, subprotocols=subprotocols)
    with pytest.raises(ConnectionEnded) as ended:
        websocket.receive_message()
    return ended.value.close_frame


@pytest.mark.parametrize("origin, host", [
    ("http://localhost:5173", "127.0.0.1:{port}"), ("http://127.0.0.1:5173", "localhost:{port}"), ("http://localhost:{port}", "localhost:{port}"),
    ("http://app.localhost", "127.0.0.1:{port}"), ("http://[::1]:3000", "127.0.0.1:{port}"), ("https://localhost:5173", "localhost:{port}"),
])
def test_a_local_page_is_allowed(broker, origin, host):
    """A developer's page has its own port, and any name of this machine."""
    origin, host = origin.format(port=broker.port), host.format(port=broker.port)
    answer = ask(broker, host, "/t/a", "POST", Origin=origin)
    assert answer.status == 200 and answer.headers["Access-Control-Allow-Origin"] == origin
    assert "Access-Control-Allow-Credentials" not in answer.headers
    websocket = broker.websocket("/ws", headers={"Origin": origin}, host=host)
    assert json.loads(websocket.receive_text())["op"] == "welcome"


@pytest.mark.parametrize("origin, host, allowed", [
    ("https://chat.example.com", "chat.example.com", True),  # the proxy in front has ended TLS
    ("http://chat.example.com", "chat.example.com", True), ("http://chat.example.com", "chat.example.com:80", True),
    ("https://chat.example.com:8443", "chat.example.com:8443", True), ("https://chat.example.com", "chat.example.com:443", True),
    ("https://chat.example.com:8443", "chat.example.com", False), ("http://chat.example.com:3000", "chat.example.com", False),
    ("https://www.example.com", "chat.example.com", False), ("http://localhost:3000", "chat.example.com", False),
    ("ftp://chat.example.com", "chat.example.com", False), ("http://chat.example.com@evil.test", "chat.example.com", False),
    ("null", "chat.example.com", False), ("file://", "chat.example.com", False), ("", "chat.example.com", False),
    ("http://evil.test, http://chat.example.com", "chat.example.com", False),
])
def test_the_same_origin_means_host_and_port(start_broker, origin, host, allowed):
    broker = start_broker("hosts: [chat.example.com]\n")
    answer = ask(broker, host, "/t/a", "POST", Origin=origin)
    assert answer.status == (200 if allowed else 403), answer
    assert answer.headers["Access-Control-Allow-Origin"] == (origin if allowed else None)
    if not allowed:
        assert websocket_end(broker, host=host, Origin=origin)[0] == 4403


def test_a_plain_http_page_is_refused_over_tls(start_broker, tmp_path):
    """An attacker on the network path may have changed that page, which would then reach what TLS protects."""
    authority = Authority(tmp_path)
    mine = authority.sign("mine", "DNS:broker.example.com")
    port = free_port()
    broker = start_broker(
        f"listen: [{{ address: '127.0.0.1:{port}', tls: {{ certificate: {mine.certificate}, key: {mine.key} }} }}]\n", port=port,
        configured_listen=True)
    context = ssl.create_default_context(cafile=authority.file)

    def status(host, origin=None):
        with context.wrap_socket(broker.connect(), server_hostname="broker.example.com") as connection:
            field = f"Origin: {origin}\r\n" if origin else ""
            connection.sendall(f"GET /t/a HTTP/1.1\r\nHost: {host}\r\n{field}Connection: close\r\n\r\n".encode())
            return int(connection.makefile("rb").readline().split()[1])

    # A name in the certificate is a name of the broker.
    assert status("broker.example.com") == status("BROKER.example.com:443") == status("localhost") == 404
    assert status("evil.test") == status(socket.gethostname()) == 421
    assert status("broker.example.com", "https://broker.example.com") == 404
    assert status("broker.example.com", "http://broker.example.com") == 403


@pytest.mark.parametrize("path", ["/ws", "/t/a", "/s/a"])
@pytest.mark.parametrize("offered", [(), ("broker.v1.json",), ("bearer.abc", "x.y")])
def test_a_page_is_told_why_its_websocket_is_refused(broker, path, offered):
    """A page sees no answer but 101, so it gets that, and the reason in the CLOSE."""
    websocket = broker.websocket(path, headers={"Origin": "https://evil.example"}, subprotocols=offered)
    assert websocket.subprotocol == (offered[-1] if offered else None)
    # No message comes before it, and none is published.
    websocket.send_text(json.dumps({"op": "publish", "topic": "a", "data": 1, "retain": True}))
    assert websocket.receive_frame()[1] == 8
    assert websocket.close_frame == (
        4403, f"The origin https://evil.example may not connect to 127.0.0.1:{broker.port}: add it to origins.")
    assert broker.retained("a").status == 404


def test_a_refused_page_is_counted_and_logged_once(broker):
    for _ in range(5):
        assert websocket_end(broker, Origin="null")[0] == 4403
        assert broker.http("POST", "/t/a", headers={"Origin": "null"}).status == 403
    line = broker.wait_for_line("refused a page")
    assert "origin=null" in line and f"host=127.0.0.1:{broker.port}" in line
    websocket_end(broker, Origin="https://last.example")
    broker.wait_for_line("last.example")
    assert sum("refused a page" in line for line in broker.lines) == 2
    metrics = broker.metrics()
    assert metrics['broker_refusals_total{reason="origin"}'] == 11
    assert metrics['broker_upgrades_total{outcome="refused"}'] == 6
    assert metrics['broker_upgrades_total{outcome="accepted"}'] == 0
    wait_until(lambda: broker.metrics()["broker_websockets"] == 0, "them to be gone")


def test_the_refusal_names_both_hosts(broker):
    """The effect on pages of a proxy that puts its own name into Host."""
    answer = broker.http("POST", "/t/a", headers={"Origin": "https://chat.example.com"})
    message = answer.json["error"]["message"]
    assert "https://chat.example.com" in message and f"127.0.0.1:{broker.port}" in message and "proxy" in message


@pytest.mark.parametrize("listed, origin, credentials", [
    ("https://a.example", "https://a.example", "true"), ("null", "null", None), ("null", "file://", None), ("any", "null", None),
    ("https://*.example", "https://a.example", None),
])
def test_credentials_are_allowed_for_exactly_listed_origins(start_broker, listed, origin, credentials):
    broker = start_broker(f"origins: ['{listed}']\n")
    answer = broker.http("POST", "/t/a", headers={"Origin": origin})
    assert answer.status == 200 and answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Credentials"] == credentials


def test_two_origin_fields_are_rejected(broker):
    with broker.connect() as plain:
        plain.sendall(b"POST /t/a HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.test\r\n"
                      b"Content-Length: 1\r\nConnection: close\r\n\r\nx")
        assert plain.makefile("rb").readline().startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("path, config, code", [
    ("/t/$SYS/x", "access: { anonymous: { publish: [], subscribe: [a] } }", 4401), ("/s/b", "access: { anonymous: { subscribe: [a] } }", 4401),
    ("/ws?token=x", "", 4401), ("/s/a%2B", "", 4400), ("/t/a?retian", "", 4400),
])
def test_a_page_learns_of_other_refusals_from_the_close(start_broker, path, config, code):
    broker = start_broker(config + "\n")
    close_code, reason = websocket_end(broker, path, Origin=broker.url())
    assert close_code == code and reason
    with pytest.raises(RefusedHandshake) as refused:
        broker.websocket(path)
    assert refused.value.status == code - 4000
