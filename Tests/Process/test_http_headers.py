"""Fields of every answer, including answers to requests that were not understood."""

import socket

import pytest

from command_line import run_control
from raw_websocket import read_head

PAGE = b"Host: localhost\r\nOrigin: http://localhost:3000\r\n"


def head_of(broker, request, half_close=False):
    """(status, headers) of the answer to a request, which may be incomplete."""
    with broker.connect() as plain:
        plain.sendall(request)
        if half_close:
            plain.shutdown(socket.SHUT_WR)
        status, headers, _ = read_head(plain)
        return status, headers


EARLY = {
    "unknown path": (404, b"GET /nothing HTTP/1.1\r\n" + PAGE + b"\r\n"),
    "method": (405, b"PATCH /t/a HTTP/1.1\r\n" + PAGE + b"\r\n"),
    "length": (413, b"POST /t/a HTTP/1.1\r\n" + PAGE + b"Content-Length: 99999\r\n\r\n"),
    "chunks": (413, b"POST /t/a HTTP/1.1\r\n" + PAGE + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n" + b"x" * 2000),
    "query": (400, b"GET /t/a?x=%FF HTTP/1.1\r\n" + PAGE + b"\r\n"),
    "long head": (431, b"GET /t/a HTTP/1.1\r\n" + PAGE + b"Cookie: " + b"a" * 20_000),
    "many fields": (431, b"GET /t/a HTTP/1.1\r\n" + PAGE + b"X: y\r\n" * 400 + b"\r\n"),
    "malformed": (400, b"GET /t/a HTTP/1.1\r\n" + PAGE + b"no colon\r\n\r\n"),
    "two lengths": (400, b"POST /t/a HTTP/1.1\r\n" + PAGE + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
    "version": (505, b"GET /t/a HTTP/2.0\r\n" + PAGE + b"\r\n"),
    "late body": (408, b"POST /t/a HTTP/1.1\r\n" + PAGE + b"Content-Length: 5\r\n\r\n"),
    "expectation": (417, b"POST /t/a HTTP/1.1\r\n" + PAGE + b"Expect: x\r\nContent-Length: 1\r\n\r\n"),
    "credentials": (401, b"GET /t/a HTTP/1.1\r\n" + PAGE + b"Authorization: Bearer x\r\n\r\n"),
    "topic": (400, b"GET /t/a+ HTTP/1.1\r\n" + PAGE + b"\r\n"),
    "no value": (404, b"GET /t/none HTTP/1.1\r\n" + PAGE + b"\r\n"),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    from broker_process import Broker
    broker = Broker(tmp_path_factory.mktemp("small"), "limits: { handshake_timeout: 5s, message: 1KiB }\n").start()
    yield broker
    broker.finish()


@pytest.mark.parametrize("name", EARLY)
def test_a_page_can_read_every_refusal(small, name):
    """Without these fields a page sees a network error in place of the status and its sentence."""
    expected, request = EARLY[name]
    status, headers = head_of(small, request)
    assert status == expected, headers
    assert headers["access-control-allow-origin"] == "http://localhost:3000"
    assert headers["vary"] == "Origin" and headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff" and headers["cross-origin-resource-policy"] == "same-origin"
    assert "Retry-After" in headers["access-control-expose-headers"]


@pytest.mark.parametrize("config, status", [("connections: 1", 503), ("connections_per_address: 1", 429)])
def test_a_page_can_read_that_a_limit_is_reached(start_broker, config, status):
    broker = start_broker(f"limits: {{ {config} }}\n")
    held = broker.topic_socket("held")
    found, headers = head_of(broker, b"GET /t/a HTTP/1.1\r\n" + PAGE + b"\r\n")
    assert found == status and headers["access-control-allow-origin"] == "http://localhost:3000"
    assert int(headers["retry-after"]) > 0
    held.synchronise()


def test_a_page_can_read_refusals_outside_the_prefix(start_broker):
    from broker_process import free_port
    port = free_port()
    broker = start_broker(f"listen: [{{ address: '127.0.0.1:{port}', path_prefix: /p }}]\n", port=port, configured_listen=True)
    status, headers = head_of(broker, b"GET /t/a HTTP/1.1\r\n" + PAGE + b"\r\n")
    assert status == 404 and headers["access-control-allow-origin"] == "http://localhost:3000"


@pytest.mark.parametrize("method, path, cached", [
    ("GET", "/t/kept", "no-cache"), ("HEAD", "/t/kept", "no-cache"), ("GET", "/t/none", "no-store"), ("GET", "/metrics", "no-store"),
    ("GET", "/health/ready", "no-store"), ("GET", "/s/kept?poll=1", "no-store"), ("GET", "/", "no-cache"), ("GET", "/page.js", "no-cache"),
    ("POST", "/t/a", None), ("DELETE", "/t/none", "no-store"), ("OPTIONS", "/t/a", None),
])
def test_cache_control_fits_each_resource(broker, method, path, cached):
    """A cache in between kept a 404, and the value that came afterwards was not seen."""
    broker.publish("kept", "value", "retain")
    answer = broker.http(method, path)
    assert answer.headers["Cache-Control"] == cached
    assert "Origin" in answer.headers.get_all("Vary") and answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    # Another origin must not get the cached answer for this one.
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_304_has_the_fields_for_its_page(broker):
    tag = f'"{broker.publish("kept", "value", "retain")["seq"]}"'
    answer = broker.http("GET", "/t/kept", headers={"If-None-Match": tag, "Origin": "http://localhost:1"})
    assert answer.status == 304 and answer.headers["Access-Control-Allow-Origin"] == "http://localhost:1"
    assert answer.headers["Vary"] == "Origin"


def test_a_401_says_how_to_authenticate(broker):
    answer = broker.http("GET", "/t/a", headers={"Authorization": "Bearer nonsense"})
    assert answer.status == 401 and answer.headers["WWW-Authenticate"] == 'Bearer realm="broker", error="invalid_token"'


def test_a_429_says_when_to_retry(start_broker):
    broker = start_broker("limits: { publish_rate: 1 }\n")
    with broker.connect() as plain:
        request = b"POST /t/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        rest = b""
        for _ in range(20):
            plain.sendall(request)
            status, headers, rest = read_head(plain, rest)
            while len(rest) < int(headers["content-length"]):
                rest += plain.recv(65536)
            rest = b""
            if status == 429:
                break
        assert status == 429 and headers["retry-after"] == "1"


def test_options_for_the_whole_server(broker):
    for prefix in (b"*", b"/t/a"):
        status, headers = head_of(broker, b"OPTIONS " + prefix + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status == 204 and {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} == set(headers["allow"].split(", "))


def test_an_absolute_target_overrides_host(broker):
    """RFC 9112 §3.2.2: Host is ignored, also when checking the names that the broker answers to."""
    for target, host, status in [(b"http://localhost/t/none", b"evil.test", 404), (b"http://evil.test/t/none", b"localhost", 421),
                                 (b"http://127.0.0.1:1/t/none", b"localhost", 404)]:
        assert head_of(broker, b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")[0] == status, target
    # And for the page's own host.
    for target, status in [(b"http://localhost/t/a", 200), (b"http://evil.test/t/a", 421)]:
        assert head_of(broker, b"POST " + target + b" HTTP/1.1\r\nHost: evil.test\r\nOrigin: http://localhost\r\nContent-Length: 0\r\n\r\n"
                       )[0] == status


def test_idle_connections_outlast_those_of_proxies(start_broker):
    """Equal times make a race: nginx, which gives up after 60 s, found connections that had just been closed."""
    broker = start_broker("limits: { idle_timeout: 300ms }\n")
    with broker.connect() as plain:
        plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert plain.makefile("rb").read().startswith(b"HTTP/1.1 200 "), "it ends by itself"
    done = run_control("config", "show", "--defaults")
    assert b"idle_timeout: 75s" in done.stdout
