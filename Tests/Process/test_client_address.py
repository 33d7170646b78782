"""access.md §10: the client's address behind proxies, with the PROXY protocol and with HTTP fields, also with a real nginx and HAProxy."""

import http.client
import socket
import ssl
import struct

import pytest

import proxies
from access_file import AccessFile
from broker_process import free_port
from certificates import Authority
from deadlines import ANSWER_DEADLINE, wait_until
from raw_websocket import RawWebSocket, RefusedHandshake, read_head

NAME = "broker.example.com"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def configuration(port, more, trusted='["127.0.0.1"]', rest=""):
    # The clients of a proxy have only configured rights.
    access = "" if "access:" in rest else 'access: { anonymous: { publish: ["#"], subscribe: ["#"] } }\n'
    return f"listen: [{{ address: '127.0.0.1:{port}', {more} }}]\ntrusted_proxies: {trusted}\nhosts: [{NAME}]\n{access}{rest}"


@pytest.fixture
def start(start_broker):
    def start(more, **options):
        port = free_port()
        return start_broker(configuration(port, more, **options), port=port, configured_listen=True)
    return start


def version_2(source="192.0.2.7", port=5512, command=0x21, more=b""):
    body = socket.inet_aton(source) + socket.inet_aton("198.51.100.1") + struct.pack("!HH", port, 443) + more
    return SIGNATURE + bytes([command, 0x11]) + struct.pack("!H", len(body)) + body


def version_1(source="192.0.2.7", port=5512):
    return f"PROXY TCP4 {source} 198.51.100.1 {port} 443\r\n".encode()


def addresses(broker):
    return [row["address"] for row in broker.control_json("clients")]


def is_reset(plain):
    plain.settimeout(ANSWER_DEADLINE)
    try:
        return plain.recv(1000) == b"never"
    except ConnectionResetError:
        return True


# The PROXY protocol

HEADERS = {
    "line": (version_1(), "192.0.2.7:5512"), "line, 6": (b"PROXY TCP6 2001:db8::1 ::1 5512 443\r\n", "[2001:db8::1]:5512"),
    "binary": (version_2(), "192.0.2.7:5512"), "binary, TLVs": (version_2(more=b"\x03\0\x04abcd"), "192.0.2.7:5512"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_client_has_the_address_given_by_its_proxy(start, name):
    broker = start("proxy_protocol: true")
    header, expected = HEADERS[name]
    with broker.connect() as plain:
        plain.sendall(header)
        RawWebSocket(plain, f"127.0.0.1:{broker.port}", "/ws", (), {})
        assert addresses(broker) == [expected]


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", version_2(command=0x20)], ids=["unknown", "local"])
def test_a_proxys_own_connection_keeps_its_address(start, header):
    broker = start("proxy_protocol: true")
    with broker.connect() as plain:
        own = plain.getsockname()[1]
        plain.sendall(header)
        RawWebSocket(plain, f"127.0.0.1:{broker.port}", "/ws", (), {})
        assert addresses(broker) == [f"127.0.0.1:{own}"]


def test_a_header_and_a_request_may_be_split_anywhere(start):
    broker = start("proxy_protocol: true")
    request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for header in [version_1(), version_2(more=b"\x03\0\x04abcd")]:
        for pieces in [[bytes([byte]) for byte in header + request], [header + request], [header[:13], header[13:] + request[:5], request[5:]]]:
            with broker.connect() as plain:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for piece in pieces:
                    plain.sendall(piece)
                assert read_head(plain)[0] == 200


@pytest.mark.parametrize("start_with", [b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 evil 1.2.3.4 1 2\r\n", SIGNATURE + b"\x21\x11\x08\x00", b"\x16\x03\x01"],
                         ids=["no header", "no address", "2 KiB", "TLS"])
def test_a_malformed_header_is_reset(start, start_with):
    broker = start("proxy_protocol: true")
    with broker.connect() as plain:
        plain.sendall(start_with)
        assert is_reset(plain)


def test_a_header_has_the_timeout_of_a_handshake(start):
    broker = start("proxy_protocol: true", rest="limits: { handshake_timeout: 2s }\n")
    with broker.connect() as plain:
        plain.sendall(version_2()[:20])
        assert is_reset(plain)


def test_untrusted_addresses_are_reset(start):
    broker = start("proxy_protocol: true", trusted='["10.0.0.0/8"]')
    # The reset may come before connect has returned.
    with pytest.raises(ConnectionResetError), broker.connect() as plain:
        plain.settimeout(ANSWER_DEADLINE)
        plain.recv(1000)


def test_limits_per_address_use_the_forwarded_address(start):
    broker = start("proxy_protocol: true", rest="limits: { connections_per_address: 1 }\n")
    request = b"GET /t/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
    first, second, other = broker.connect(), broker.connect(), broker.connect()
    for plain, source, expected in [(first, "192.0.2.1", 404), (second, "192.0.2.1", 429), (other, "192.0.2.2", 404)]:
        plain.sendall(version_1(source) + request)
        assert read_head(plain)[0] == expected, source
    for plain in [first, second, other]:
        plain.close()


def test_a_header_comes_before_tls(start, tmp_path):
    authority = Authority(tmp_path / "authority")
    identity = authority.sign("server")
    broker = start(f"proxy_protocol: true, tls: {{ certificate: {identity.certificate}, key: {identity.key} }}")
    context = ssl.create_default_context(cafile=str(authority.file))
    for header in [version_1(), version_2()]:
        with broker.connect() as plain:
            plain.sendall(header)
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                RawWebSocket(secure, f"localhost:{broker.port}", "/ws", (), {})
                assert addresses(broker) == ["192.0.2.7:5512"]
        wait_until(lambda: addresses(broker) == [], "the client to be gone")


# Fields of HTTP


def ask(port, path, source="127.0.0.1", method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_DEADLINE, source_address=(source, 0))
    try:
        connection.request(method, path, headers={"Host": NAME, **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def websocket(port, source="127.0.0.1", host=NAME, **headers):
    plain = socket.create_connection(("127.0.0.1", port), ANSWER_DEADLINE, source_address=(source, 0))
    return RawWebSocket(plain, host, "/ws", (), headers)


FIELDS = [
    ("x-forwarded-for", {"X-Forwarded-For": "6.6.6.6, 192.0.2.7"}, "192.0.2.7:0"),
    ("x-forwarded-for", {"X-Forwarded-For": "1.2.3.4, evil, 10.0.0.1"}, "10.0.0.1:0"),
    ("x-forwarded-for", {"X-Forwarded-For": "192.0.2.7:99, 10.0.0.1"}, "192.0.2.7:99"),
    ("forwarded", {"Forwarded": 'for=6.6.6.6, for="[2001:db8::1]:99", for=10.0.0.1'}, "[2001:db8::1]:99"),
]


@pytest.mark.parametrize("kind, fields, expected", FIELDS)
def test_the_rightmost_untrusted_address_is_the_client(start, kind, fields, expected):
    broker = start(f"forwarded: {kind}", trusted='["127.0.0.1", "10.0.0.0/8"]')
    client = websocket(broker.port, **fields)
    assert addresses(broker) == [expected]
    client.close()


@pytest.mark.parametrize("more, trusted", [("forwarded: x-forwarded-for", '["10.0.0.1"]'), ("forwarded: none", '["127.0.0.1"]'),
                                           ("forwarded: forwarded", '["127.0.0.1"]')], ids=["a stranger", "not asked for", "another field"])
def test_forwarding_fields_are_ignored_unless_configured(start, more, trusted):
    broker = start(more, trusted=trusted)
    client = websocket(broker.port, **{"X-Forwarded-For": "192.0.2.7"})
    assert addresses(broker)[0].startswith("127.0.0.1:")
    client.close()


def test_a_forwarded_host_is_ignored(start):
    broker = start("forwarded: x-forwarded-for")
    assert ask(broker.port, "/t/a", Host="evil.test", **{"X-Forwarded-Host": NAME}) == 421


def test_a_forwarded_scheme_counts_for_the_same_origin(start):
    broker = start("forwarded: x-forwarded-for")
    for page, scheme, expected in [("https", "https", 404), ("http", "https", 403), ("http", "http", 404), ("https", "http", 403)]:
        assert ask(broker.port, "/t/a", Origin=f"{page}://{NAME}", **{"X-Forwarded-Proto": scheme}) == expected, (page, scheme)


def test_a_login_cookie_follows_the_forwarded_scheme(start, tmp_path):
    """The cookie is for TLS only, and a page that came by plain HTTP would not get it back."""
    file = AccessFile(tmp_path / "data" / "access.jsonl")
    file.user("alice", "correct horse")
    file.write()
    broker = start("forwarded: x-forwarded-for", rest=f"access: {{ users: {file.path} }}\n")

    def log_in(page, scheme):
        headers = {"Host": NAME, "Origin": f"{page}://{NAME}", "X-Forwarded-Proto": scheme, "X-Forwarded-For": "192.0.2.7"}
        return broker.http("POST", "/session", body='{"user":"alice","password":"correct horse"}', headers=headers)

    assert [log_in(*pair).status for pair in [("http", "https"), ("https", "http")]] == [403, 403]
    answer = log_in("https", "https")
    assert answer.status == 200 and "; Secure; HttpOnly; SameSite=Strict" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("more, header", [("forwarded: x-forwarded-for", b""), ("forwarded: forwarded", b""),
                                          ("proxy_protocol: true", version_1())])
def test_proxied_clients_get_no_loopback_rights(start, more, header):
    broker = start(more, rest="access: { peers: false }\n")
    for method, topic in [("GET", "a"), ("POST", "a")]:
        with broker.connect() as plain:
            plain.sendall(header + f"{method} /t/{topic} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.7\r\n"
                          "Forwarded: for=192.0.2.7\r\nContent-Length: 0\r\n\r\n".encode())
            assert read_head(plain)[0] == 401, method


def test_a_clients_quote_cannot_hide_the_proxys_field(start):
    broker = start("forwarded: x-forwarded-for")
    client = websocket(broker.port, **{"X-Forwarded-For": '", 203.0.113.9'})
    assert addresses(broker) == ["203.0.113.9:0"]
    client.close()


# Real proxies


class NginxWithAddress(proxies.Nginx):
    def snippet(self):
        return proxies.put(super().snippet(), ("proxy_set_header Host $http_host;", "proxy_set_header Host $http_host;\n"
                                               + proxies.snippet("nginx-address")))


class HAProxyTCP(proxies.HAProxy):
    def __init__(self, directory, broker_port, version):
        super().__init__(directory, broker_port)
        self.version = version

    def command(self):
        text = proxies.put(proxies.snippet("haproxy-address"), self.broker_address, ("bind :443", f"bind 127.0.0.1:{self.port}"))
        if self.version == 1:
            text = proxies.put(text, ("send-proxy-v2", "send-proxy"))
        return [self.program, "-db", "-f", self.write("haproxy.cfg", text)]


def test_works_behind_nginx(start, tmp_path):
    broker = start("forwarded: x-forwarded-for", rest="log: { audit: stdout }\naccess: { anonymous: { publish: [] } }\n")
    with NginxWithAddress(tmp_path / "proxy", broker.port) as proxy:
        place = f"{NAME}:{proxy.port}"
        client = websocket(proxy.port, "127.0.0.2", place, **{"X-Forwarded-For": "6.6.6.6", "Origin": f"http://{place}"})
        assert addresses(broker) == ["127.0.0.2:0"]
        client.close()
        assert ask(proxy.port, "/t/a", "127.0.0.3", "POST", **{"X-Forwarded-For": "6.6.6.6"}) == 401
        assert '"address":"127.0.0.3:0"' in broker.wait_for_line("publish.denied")
        # The page came by plain HTTP, as nginx says.
        assert ask(proxy.port, "/t/a", "127.0.0.3", Host=place, Origin=f"https://{place}") == 403


@pytest.mark.parametrize("kind", [proxies.Caddy, proxies.Apache], ids=lambda kind: kind.name)
def test_works_behind_caddy_and_apache_by_default(start, tmp_path, kind):
    """Caddy and Apache name their client by default."""
    broker = start("forwarded: x-forwarded-for")
    with kind(tmp_path / "proxy", broker.port) as proxy:
        place = f"{NAME}:{proxy.port}"
        client = websocket(proxy.port, "127.0.0.2", place, **{"X-Forwarded-For": "6.6.6.6", "Origin": f"http://{place}"})
        assert addresses(broker) == ["127.0.0.2:0"]
        client.close()


@pytest.mark.parametrize("version", [1, 2])
def test_works_behind_haproxy(start, tmp_path, version):
    authority = Authority(tmp_path / "authority")
    identity = authority.sign("server")
    broker = start(f"proxy_protocol: true, tls: {{ certificate: {identity.certificate}, key: {identity.key} }}")
    with HAProxyTCP(tmp_path / "proxy", broker.port, version) as proxy:
        plain = socket.create_connection(("127.0.0.1", proxy.port), ANSWER_DEADLINE, source_address=("127.0.0.2", 0))
        own = plain.getsockname()[1]
        with ssl.create_default_context(cafile=str(authority.file)).wrap_socket(plain, server_hostname="localhost") as secure:
            RawWebSocket(secure, f"localhost:{broker.port}", "/ws", (), {})
            assert addresses(broker) == [f"127.0.0.2:{own}"]


LIMITS = "limits: { per_address: { connections: 2, new_connections: unlimited }, authentication_failures: 3/m }\n"


def test_each_client_of_nginx_has_its_own_limits(start, tmp_path):
    """nginx itself has no limits, because it carries all clients."""
    broker = start("forwarded: x-forwarded-for", rest=LIMITS)
    with NginxWithAddress(tmp_path / "proxy", broker.port) as proxy:
        place = f"{NAME}:{proxy.port}"
        clients = [websocket(proxy.port, "127.0.0.2", place) for _ in range(2)]
        with pytest.raises(RefusedHandshake) as refused:
            websocket(proxy.port, "127.0.0.2", place, **{"X-Forwarded-For": "6.6.6.6"})
        assert refused.value.status == 429
        clients.append(websocket(proxy.port, "127.0.0.3", place))

        def guess(source):
            return ask(proxy.port, "/t/a", source, Authorization="Bearer guess", **{"X-Forwarded-For": "6.6.6.6"})

        assert [guess("127.0.0.4") for _ in range(5)] == [401] * 4 + [429]
        assert guess("127.0.0.5") == 401
        for client in clients:
            client.close()


@pytest.mark.parametrize("version", [1, 2])
def test_each_client_of_haproxy_has_its_own_limits(start, tmp_path, version):
    authority = Authority(tmp_path / "authority")
    identity = authority.sign("server")
    broker = start(f"proxy_protocol: true, tls: {{ certificate: {identity.certificate}, key: {identity.key} }}", rest=LIMITS)
    context = ssl.create_default_context(cafile=str(authority.file))
    with HAProxyTCP(tmp_path / "proxy", broker.port, version) as proxy:
        def connect(source):
            plain = socket.create_connection(("127.0.0.1", proxy.port), ANSWER_DEADLINE, source_address=(source, 0))
            secure = context.wrap_socket(plain, server_hostname="localhost")
            return RawWebSocket(secure, f"localhost:{broker.port}", "/ws", (), {})

        clients = [connect("127.0.0.2") for _ in range(2)]
        with pytest.raises(RefusedHandshake) as refused:
            connect("127.0.0.2")
        assert refused.value.status == 429
        clients.append(connect("127.0.0.3"))
        for client in clients:
            client.close()


def test_forwarding_without_trusted_proxies_is_an_error(start_broker, tmp_path):
    from command_line import run_brokerd
    (tmp_path / "broker.yaml").write_text("listen: [{ address: '127.0.0.1:0', proxy_protocol: true, forwarded: forwarded }]\n")
    done = run_brokerd("--config", "broker.yaml", "--check", cwd=tmp_path)
    assert done.returncode == 1
    assert "listen[0].proxy_protocol: expected with trusted_proxies only, which is empty" in done.stdout
    assert "listen[0].forwarded: expected with trusted_proxies only, which is empty" in done.stdout
    assert "listen[0].forwarded: expected without proxy_protocol" in done.stdout
