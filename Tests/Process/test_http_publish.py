"""Contract §2: POST and PUT /t/TOPIC."""

import json
import re
import socket

import pytest

from broker_process import free_port
from raw_websocket import BINARY, TEXT, RefusedHandshake, read_head


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_publish_is_routed_and_answered(broker, method):
    subscriber = broker.topic_socket("http")
    subscriber.synchronise()
    answer = broker.http(method, "/t/http", body="hello")
    assert answer.status == 200 and answer.headers.get_content_type() == "application/json"
    assert set(answer.json) == {"seq", "stored"} and answer.json["stored"] is False
    assert subscriber.receive_message() == (TEXT, b"hello")


@pytest.mark.parametrize(
    "content_type, body, opcode",
    [
        (None, b"plain", TEXT),
        (None, b"\xff\xfe", BINARY),
        ("text/plain; charset=utf-8", "grüße".encode(), TEXT),
        ("text/html", b"<p>", TEXT),
        ("text/plain", b"\xff", BINARY),
        ("application/json", b'{"a":1}', TEXT),
        ("application/ld+json", b"[1]", TEXT),
        ("application/xml", b"<a/>", TEXT),
        ("application/octet-stream", b"plain", BINARY),
        ("image/png", b"\x89PNG", BINARY),
        ("TEXT/Plain", b"any case", TEXT),
    ])
def test_the_content_type_decides_text_or_binary(broker, content_type, body, opcode):
    subscriber = broker.topic_socket("kinds")
    subscriber.synchronise()
    broker.publish("kinds", body, headers={"Content-Type": content_type} if content_type else {})
    assert subscriber.receive_message() == (opcode, body)


@pytest.mark.parametrize("type_", ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLEncoded; charset=utf-8"])
def test_the_default_content_type_of_curl_is_ignored(broker, type_):
    """`curl -d 21.5` publishes a number, not a form."""
    session = broker.session()
    session.subscribe("typed")
    broker.publish("typed", "21.5", "retain", {"Content-Type": type_})
    assert "type" not in session.expect("message", topic="typed", data="21.5")
    assert broker.retained("typed").headers["Content-Type"] == "text/plain; charset=utf-8"
    broker.publish("typed", b"\xff", "retain", {"Content-Type": type_})
    assert broker.retained("typed").headers["Content-Type"] == "application/octet-stream"


def test_content_codings_are_refused(broker):
    for coding in ["gzip", "br", "identity, gzip", "x"]:
        answer = broker.http("POST", "/t/coded?retain", body=b"x", headers={"Content-Encoding": coding})
        assert (answer.status, answer.error_code) == (415, "bad-request") and answer.headers["Accept-Encoding"] == "identity", coding
    assert broker.retained("coded").status == 404
    broker.publish("coded", b"x", headers={"Content-Encoding": "identity"})


UNKNOWN_PARAMETERS = [
    ("POST", "/t/a?retian", 'did you mean "retain"?'), ("POST", "/t/a?retain&tll=5", 'did you mean "ttl"?'), ("PUT", "/t/a?since=1", "retain, ttl, ack"),
    ("POST", "/t/a?retain=1&retain=0", "retain: given twice"), ("GET", "/t/a?retain", "expected none"), ("DELETE", "/t/a?ack=stored", "expected none"),
    ("GET", "/s/a?snapshoot=false", 'did you mean "snapshot"?'), ("GET", "/s/a?pol=1", 'did you mean "poll"?'), ("GET", "/s/a?echo=false", "poll, since"),
    ("GET", "/s/a?poll=1&snapshot=false", "snapshot: "), ("GET", "/health/live?x", "expected none"), ("GET", "/metrics?name=x", "expected none"),
    ("GET", "/s/a?since=1&since=2", "since: given twice"),
]


def test_an_unknown_query_parameter_is_refused(broker):
    """A typing mistake must not look like a success."""
    for method, path, words in UNKNOWN_PARAMETERS:
        answer = broker.http(method, path, body=b"x" if method in ("POST", "PUT") else None)
        assert (answer.status, answer.error_code) == (400, "bad-request") and words in answer.json["error"]["message"], answer
    assert broker.retained("a").status == 404
    for path in ["/ws?x", "/t/a?poll=1", "/s/a?retain", "/t/a?ttl=0", "/t/a?ttl=soon", "/t/a?slow=latest"]:
        with pytest.raises(RefusedHandshake) as refused:
            broker.websocket(path)
        assert refused.value.status == 400, path


@pytest.mark.parametrize(
    "content_type, body, data",
    [
        ("application/json", b' {"a": [1, 2.50]} ', {"a": [1, 2.5]}),
        ("application/json; charset=utf-8", b"21.5", 21.5),
        ("application/vnd.own+json", b"null", None),
        ("application/json", b'"text"', "text"),
        ("application/json", b"{not json", "{not json"),
        ("text/plain", b'{"a":1}', '{"a":1}'),
        (None, b"21.5", "21.5"),
    ])
def test_json_subscribers_see_json_as_a_value(broker, content_type, body, data):
    session = broker.session()
    session.subscribe("shown")
    broker.publish("shown", body, headers={"Content-Type": content_type} if content_type else {})
    message = session.expect("message")
    assert message["data"] == data and type(message["data"]) is type(data)
    if content_type:
        assert message["type"] == content_type


@pytest.mark.parametrize(
    "query, stored", [("retain", True), ("retain&ack=stored", True), ("", False), ("ack=routed", False)])
def test_stored_says_whether_it_is_on_disk(broker, query, stored):
    assert broker.publish("ack", "value", query)["stored"] is stored


@pytest.mark.parametrize("query", ["retain", "retain=true", "retain=1"])
def test_every_spelling_of_retain_is_accepted(broker, query):
    broker.publish("said", "value", query)
    assert broker.retained("said").body == b"value"


def test_retain_false_is_not_retained(broker):
    broker.publish("said", "value", "retain=false")
    assert broker.retained("said").status == 404


@pytest.mark.parametrize(
    "path, status, code",
    [
        ("/t/a/+", 400, "bad-topic"),
        ("/t/a/%23", 400, "bad-topic"),
        ("/t/", 400, "bad-topic"),
        ("/t/a%00b", 400, "bad-topic"),
        ("/t/a%7Fb", 400, "bad-topic"),
        ("/t/" + "x" * 1025, 400, "bad-topic"),
        ("/t/" + "a/" * 32 + "a", 400, "bad-topic"),
        ("/t/$SYS/fake", 403, "forbidden"),
        ("/t/$SYS", 403, "forbidden"),
        ("/t/a?ttl=soon", 400, "bad-request"),
        ("/t/a?ttl=-1", 400, "bad-request"),
        ("/t/a?ttl=99999999999999999999", 400, "bad-request"),
        ("/t/a?ack=maybe", 400, "bad-request"),
        ("/t/a?retain=perhaps", 400, "bad-request"),
        ("/t/a?since=1", 400, "bad-request"),
    ])
def test_every_invalid_request_has_its_status_and_code(broker, path, status, code):
    answer = broker.http("POST", path, body="x")
    assert (answer.status, answer.error_code) == (status, code)


@pytest.mark.parametrize("size", [0, 1, 65536, 1 << 20])
def test_bodies_up_to_the_limit_are_accepted(broker, size):
    body = bytes(index % 251 for index in range(size))
    subscriber = broker.topic_socket("sizes")
    subscriber.synchronise()
    broker.publish("sizes", body, headers={"Content-Type": "application/octet-stream"})
    assert subscriber.receive_message() == (BINARY, body)


def test_a_body_beyond_the_limit_is_too_large(broker):
    with broker.connect() as plain:
        # The length alone is enough: the broker must not wait for the body.
        plain.sendall(b"POST /t/big HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n")
        status, headers, rest = read_head(plain)
        assert status == 413
        while len(rest) < int(headers["content-length"]):
            rest += plain.recv(65536)
        assert json.loads(rest)["error"]["code"] == "too-large"


def test_a_chunked_body_beyond_the_limit_is_too_large(broker):
    with broker.connect() as plain:
        plain.sendall(b"POST /t/big HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(17):
                plain.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        except OSError:
            pass  # it may stop reading as soon as it is too much
        assert read_head(plain)[0] == 413


def test_a_chunked_body_is_assembled(broker):
    subscriber = broker.topic_socket("chunks")
    subscriber.synchronise()
    with broker.connect() as plain:
        plain.sendall(b"POST /t/chunks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"4;ext=1\r\nWiki\r\n", b"5\r\nped", b"ia\r\n0\r\nTrailer: x\r\n", b"\r\n"):
            plain.sendall(piece)
        assert read_head(plain)[0] == 200
    assert subscriber.receive_message() == (TEXT, b"Wikipedia")


def test_expect_continue_is_answered(broker):
    with broker.connect() as plain:
        plain.sendall(b"POST /t/expect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        status, _, rest = read_head(plain)
        assert status == 100
        plain.sendall(b"hello")
        assert read_head(plain, rest)[0] == 200


def test_requests_on_one_connection_are_answered_in_order(broker):
    with broker.connect() as plain:
        request = b"POST /t/pipe HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n"
        plain.sendall(b"".join(request + bytes([65 + number]) for number in range(10)))
        received, sequence = b"", []
        for _ in range(10):
            status, headers, received = read_head(plain, received)
            assert status == 200
            length = int(headers["content-length"])
            while len(received) < length:
                received += plain.recv(65536)
            sequence.append(json.loads(received[:length])["seq"])
            received = received[length:]
    assert sequence == list(range(sequence[0], sequence[0] + 10))


def test_connection_close_is_honoured(broker):
    with broker.connect() as plain:
        plain.sendall(b"POST /t/last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")
        received = b""
        while more := plain.recv(65536):
            received += more
    assert received.startswith(b"HTTP/1.1 200")


def test_http_1_0_is_answered_and_closed(broker):
    with broker.connect() as plain:
        plain.sendall(b"POST /t/old HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
        received = b""
        while more := plain.recv(65536):
            received += more
    assert b" 200 " in received.split(b"\r\n")[0]


@pytest.mark.parametrize(
    "path, method, allowed",
    [("/t/a", "PATCH", {"GET", "HEAD", "POST", "PUT", "DELETE"}), ("/s/a", "POST", {"GET"}),
     ("/metrics", "POST", {"GET"}), ("/health/live", "DELETE", {"GET"}), ("/ws", "POST", {"GET"})])
def test_a_known_path_with_the_wrong_method_is_405_with_allow(broker, path, method, allowed):
    answer = broker.http(method, path, body="")
    assert answer.status == 405
    assert allowed <= {word.strip() for word in answer.headers["Allow"].split(",")}
    assert answer.error_code


@pytest.mark.parametrize("path", ["/nothing", "/tt/a", "/s", "/health", "/health/dead", "/ws/x", "//"])
def test_an_unknown_path_is_404(broker, path):
    answer = broker.http("GET", path)
    assert (answer.status, answer.error_code) == (404, "not-found")


def test_the_websocket_path_without_an_upgrade_says_so(broker):
    answer = broker.http("GET", "/ws")
    assert (answer.status, answer.error_code) == (426, "bad-request")


@pytest.mark.parametrize(
    "origin, allowed",
    [("{host}", True), ("http://127.0.0.1:1", True), ("https://evil.example", False), ("null", False)])
def test_an_origin_must_be_allowed(broker, origin, allowed):
    origin = origin.format(host=broker.url())
    answer = broker.http("POST", "/t/origin", body="x", headers={"Origin": origin})
    if allowed:
        assert answer.status == 200 and answer.headers["Access-Control-Allow-Origin"] == origin
    else:
        assert (answer.status, answer.error_code) == (403, "forbidden")
        assert answer.headers["Access-Control-Allow-Origin"] is None


def test_the_preflight_of_an_allowed_origin_succeeds(broker):
    headers = {
        "Origin": "http://127.0.0.1:1", "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type"}
    answer = broker.http("OPTIONS", "/t/a", headers=headers)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == headers["Origin"]
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert "content-type" in answer.headers["Access-Control-Allow-Headers"].lower()


def test_the_preflight_of_another_origin_is_forbidden(broker):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    answer = broker.http("OPTIONS", "/t/a", headers=headers)
    assert answer.status == 403 and answer.headers["Access-Control-Allow-Origin"] is None


def test_the_front_page_runs_only_its_own_script(broker):
    """Injected scripts do not run, text does not become markup, no other page can frame it, and its forms cannot be redirected."""
    answer = broker.http("GET", "/")
    assert answer.status == 200 and answer.headers.get_content_type() == "text/html"
    policy = dict(rule.strip().split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'" and policy["trusted-types"] == "'none'"
    text = answer.body.decode()
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
    assert [(name.strip(), inner) for name, inner in scripts] == [('type="module" src="page.js"', "")]
    assert "<style" not in text and not re.search(r"\son\w+=|\sstyle=", text)
    for name, type_ in [("page.js", "text/javascript"), ("page.css", "text/css")]:
        file = broker.http("GET", f"/{name}")
        assert file.status == 200 and file.headers.get_content_type() == type_ and len(file.body) > 500
        assert file.headers["X-Content-Type-Options"] == "nosniff"


def test_the_front_page_finds_its_files_below_a_prefix(start_broker):
    port = free_port()
    broker = start_broker(
        f"listen: [{{ address: '127.0.0.1:{port}', path_prefix: /broker }}]\n", port=port, configured_listen=True)
    answer = broker.http("GET", "/broker")
    assert answer.status == 308 and answer.headers["Location"] == "/broker/"
    assert b'src="page.js"' in broker.http("GET", "/broker/").body
    assert broker.http("GET", "/broker/page.js").status == 200


def test_ipv6_loopback_is_the_same_host(start_broker):
    probe = socket.socket(socket.AF_INET6)
    try:
        probe.bind(("::1", 0))
    except OSError:
        return  # this machine has no IPv6: nothing to ask
    finally:
        probe.close()
    port = free_port()
    broker = start_broker(arguments=["--listen", f"[::1]:{port}"])
    subscriber = broker.topic_socket("six")
    subscriber.synchronise()
    with socket.create_connection(("::1", port), timeout=60) as plain:
        plain.sendall(b"POST /t/six HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 2\r\n\r\nv6")
        assert read_head(plain)[0] == 200
    assert subscriber.receive_text() == "v6"
