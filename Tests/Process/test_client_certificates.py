"""access.md §6, §8, §13: clients that certificates identify, over real handshakes, and what ends them."""

import datetime
import http.client
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from access_file import AccessFile
from broker_process import free_port
from command_line import run_brokerd
from certificates import Identity
from deadlines import ANSWER_DEADLINE, wait_until
from fragile_disk import FragileDisk
from json_session import JSONSession
from raw_websocket import RawWebSocket
# The fixtures are found by their names.
from secure_broker import authority, client_context, connect, identity, read_all  # noqa: F401

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def now():
    return datetime.datetime.utcnow()


def replace(path, bytes_):
    fresh = path.with_suffix(".new")
    fresh.write_bytes(bytes_)
    fresh.rename(path)


class Devices:
    """An authority of client certificates, which revokes some of them."""

    def __init__(self, directory, name="devices"):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.sign_certificate(
            self.name, self.key.public_key(), [], now() + datetime.timedelta(days=1), is_authority=True)
        self.file = directory / "devices.pem"
        self.file.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        self.crl = directory / "devices.crl"
        self.revoke()

    def sign_certificate(self, subject, key, names, until, is_authority=False, since=None):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(since or now() - datetime.timedelta(days=1)).not_valid_after(until)
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def make(self, name, names=(), units=(), lifetime=86_400, since=None):
        """A client's identity; `names` are of its subjectAltName."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, name)]
            + [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units])
        certificate = self.sign_certificate(
            subject, key.public_key(), list(names), now() + datetime.timedelta(seconds=lifetime), since=since)
        made = Identity(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        made.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        made.x509 = certificate
        return made

    def revoke(self, *identities):
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(now() - datetime.timedelta(hours=1)).next_update(
            now() + datetime.timedelta(days=1))
        for one in identities:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(one.x509.serial_number)
                .revocation_date(now()).build())
        replace(self.crl, builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))


@pytest.fixture
def devices(tmp_path):
    return Devices(tmp_path / "devices")


@pytest.fixture
def start(start_broker, tmp_path, identity, devices):
    """A broker that identifies clients by certificates; `more` is part of its `tls`, `certificates` of its `access`."""
    def start(certificates="user: san-dns", more="", users=None, rest="", **options):
        directory = tmp_path / "broker"
        directory.mkdir(exist_ok=True)
        if users:
            users(AccessFile(directory / "data" / "access.jsonl"))
        port = free_port()
        return start_broker(
            f"listen:\n  - address: 127.0.0.1:{port}\n    tls: {{ certificate: {identity.certificate}, "
            f"key: {identity.key}, client_ca: {devices.file}{more} }}\n"
            "access:\n  anonymous: { publish: [], subscribe: [] }\n"
            f"  certificates: {{ {certificates} }}\n"
            '  rules:\n    - { everyone: true, publish: ["from/{user}"], subscribe: ["news/#"] }\n'
            '    - { role: sensor, publish: ["sensors/#"] }\nlog: { audit: stdout }\n' + rest,
            directory=directory, port=port, configured_listen=True, **options)
    return start


def status(broker, context, path, method="POST"):
    with connect(broker, context) as secured:
        secured.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
                        "Connection: close\r\n\r\nx".encode())
        return int(read_all(secured).split()[1])


def session(broker, context):
    secured = connect(broker, context)
    return JSONSession(RawWebSocket(secured, f"localhost:{broker.port}", "/ws"))


def is_refused(broker, context):
    """Whether the handshake, or with TLS 1.3 what follows it, ends by an alert."""
    try:
        status(broker, context, "/t/x")
    except (ssl.SSLError, ConnectionError):
        return True
    return False


# Names


@pytest.mark.parametrize("kind, user", [
    ("cn", "by-cn"), ("san-dns", "dns.example"), ("san-email", "mail@example.com"), ("san-uri", "urn:dev:7"),
    ("fingerprint", "tied")])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_authenticates_its_user(start, authority, devices, kind, user, version):
    device = devices.make("by-cn", [
        x509.DNSName("dns.example"), x509.RFC822Name("mail@example.com"), x509.UniformResourceIdentifier("urn:dev:7"),
    ], units=["sensor"])
    def tie(file):
        file.user("tied", certificate="sha256:" + device.x509.fingerprint(hashes.SHA256()).hex())
        file.write()
    broker = start(f"user: {kind}, roles: ou", users=tie if kind == "fingerprint" else None)
    context = client_context(authority, device, maximum_version=version)
    assert status(broker, context, f"/t/from/{user}") == 200
    assert status(broker, context, "/t/from/another") == 403
    assert status(broker, context, "/t/sensors/a") == 200
    other = client_context(authority, devices.make("other", [x509.DNSName("other.example")]))
    assert status(broker, other, f"/t/from/{user}") != 200
    assert status(broker, other, "/t/sensors/a") != 200


@pytest.mark.parametrize("names", [
    ["+"], ["#"], ["a/b"], ["$SYS"], ["one.example", "two.example"], [], ["x" * 129]])
def test_an_invalid_name_authenticates_nobody(start, authority, devices, names):
    broker = start()
    made = devices.make("device", [x509.DNSName(name) for name in names])
    context = client_context(authority, made)
    assert [status(broker, context, f"/t/from/{name}") for name in ("%2B", "device", "one.example")] == [401] * 3


@pytest.mark.parametrize("version", VERSIONS)
def test_invalid_certificates_are_refused(start, authority, devices, tmp_path, version):
    names = [x509.DNSName("dev.example")]
    revoked = devices.make("revoked", names)
    devices.revoke(revoked)
    broker = start(more=f", client_crl: {devices.crl}")
    wrong = {
        "none": None, "expired": devices.make("expired", names, lifetime=-60),
        "early": devices.make("early", names, since=now() + datetime.timedelta(hours=1)),
        # The same name of the authority, and another key.
        "foreign": Devices(tmp_path / "foreign").make("foreign", names), "revoked": revoked,
        "its own": authority.sign("own"),
    }
    for what, one in wrong.items():
        assert is_refused(broker, client_context(authority, one, maximum_version=version)), what
    right = client_context(authority, devices.make("right", names), maximum_version=version)
    assert status(broker, right, "/t/from/dev.example") == 200


def test_client_auth_may_be_optional(start, authority, devices):
    broker = start(more=", client_auth: optional")
    assert status(broker, client_context(authority), "/t/from/dev.example") == 401
    assert status(broker, client_context(authority), "/health/live", "GET") == 200
    device = devices.make("device", [x509.DNSName("dev.example")])
    assert status(broker, client_context(authority, device), "/t/from/dev.example") == 200
    assert is_refused(broker, client_context(authority, authority.sign("stranger")))


# What ends them


class Handshake:
    """A handshake up to the server's answer, and the rest of it on request."""

    def __init__(self, broker, context):
        self.socket = socket.create_connection(("127.0.0.1", broker.port), timeout=ANSWER_DEADLINE)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.socket.sendall(self.outgoing.read())
        self.receive()

    def receive(self):
        part = self.socket.recv(65536)
        self.incoming.write(part) if part else self.incoming.write_eof()

    def finished(self, step):
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                self.receive()
            else:
                self.socket.sendall(self.outgoing.read())
                return result

    def request(self, path):
        """The status of a request; `None` if the connection ends instead."""
        with self.socket:
            try:
                self.finished(self.tls.do_handshake)
                head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx".encode()
                self.finished(lambda: self.tls.write(head))
                return int(self.finished(lambda: self.tls.read(65536)).split()[1])
            except (ssl.SSLError, ConnectionError):
                return None


def ends(broker, change, going, staying):
    """Connections that are open during `change`: one is closed with a reason, the other stays."""
    sessions = [session(broker, context) for context in (going, staying)]
    kept = http.client.HTTPSConnection("localhost", broker.port, context=going, timeout=ANSWER_DEADLINE)
    kept.request("POST", "/t/from/going.example", body="x")
    answer = kept.getresponse()
    answer.read()
    assert answer.status == 200
    plain = kept.sock
    change()
    assert sessions[0].websocket.receive_close() == (4401, "revoked")
    plain.settimeout(ANSWER_DEADLINE)
    try:
        assert plain.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        pass
    assert sessions[1].request(op="ping")["op"] == "pong"
    broker.wait_for_line("certificate.revoked")
    assert is_refused(broker, going)
    assert status(broker, staying, "/t/from/staying.example") == 200


@pytest.fixture
def two(authority, devices):
    return [client_context(authority, devices.make(name, [x509.DNSName(f"{name}.example")]))
            for name in ("going", "staying")]


def test_revoking_a_certificate_ends_its_connections(start, authority, devices):
    broker = start(more=f", client_crl: {devices.crl}")
    going, staying = (devices.make(name, [x509.DNSName(f"{name}.example")]) for name in ("going", "staying"))
    ends(broker, lambda: devices.revoke(going), client_context(authority, going), client_context(authority, staying))


@pytest.mark.parametrize("version", VERSIONS)
def test_revoking_a_certificate_ends_handshakes_that_have_begun(start, authority, devices, version):
    """Such a handshake uses the old list, and the review of connections does not see it."""
    broker = start(more=f", client_crl: {devices.crl}")
    going, staying = (devices.make(name, [x509.DNSName(f"{name}.example")]) for name in ("going", "staying"))
    begun = [Handshake(broker, client_context(authority, one, maximum_version=version)) for one in (going, staying)]
    printed = len(broker.lines)
    devices.revoke(going)
    broker.wait_for_line("certificate.loaded", since=printed)
    assert begun[0].request("/t/from/going.example") is None
    assert begun[1].request("/t/from/staying.example") == 200


def test_removing_an_authority_ends_its_connections(start, authority, devices, tmp_path):
    other = Devices(tmp_path / "others", "others")
    both = devices.file.read_bytes() + other.file.read_bytes()
    only = other.file.read_bytes()
    devices.file.write_bytes(both)
    broker = start()
    going = devices.make("going", [x509.DNSName("going.example")])
    staying = other.make("staying", [x509.DNSName("staying.example")])
    ends(broker, lambda: replace(devices.file, only), client_context(authority, going),
         client_context(authority, staying))


def test_an_expired_certificate_ends_its_connections(start, authority, devices, identity):
    broker = start()
    staying = devices.make("staying", [x509.DNSName("staying.example")])
    going = devices.make("going", [x509.DNSName("going.example")], lifetime=12)
    def change():
        # It is checked each hour, and when a file changes.
        wait_until(lambda: now() > going.x509.not_valid_after + datetime.timedelta(seconds=1), "its time to be over", 60)
        authority.sign("newer").copy_to(identity)
    ends(broker, change, client_context(authority, going), client_context(authority, staying))


def test_certificates_are_checked_each_hour(start, authority, devices, tmp_path):
    """No file changes; the clocks advance by more than an hour, and one certificate expires."""
    disk = FragileDisk(tmp_path, tmp_path / "broker" / "data")
    broker = start(rest="keepalive: { interval: 1d }\n", environment=disk.environment)
    going = devices.make("going", [x509.DNSName("going.example")], lifetime=3000)
    staying = devices.make("staying", [x509.DNSName("staying.example")])
    def change():
        disk.faults.set(clock_offset=3700, monotonic_offset=3700)
    ends(broker, change, client_context(authority, going), client_context(authority, staying))


@pytest.mark.parametrize("version", VERSIONS)
def test_tls_sessions_with_client_certificates_are_not_resumed(start, authority, devices, version):
    """A resumed session would have a certificate that was not checked again."""
    broker = start()
    context = client_context(
        authority, devices.make("device", [x509.DNSName("dev.example")]), maximum_version=version)
    with connect(broker, context) as first:
        first.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        read_all(first)
        kept = first.session
    with connect(broker, context, session=kept) as second:
        second.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b" 200 " in read_all(second)
        assert not second.session_reused


def test_an_invalid_revocation_list_is_explained(tmp_path, devices, identity):
    def check(more):
        config = tmp_path / "broker.yaml"
        config.write_text(
            f"listen: [{{ address: 127.0.0.1:0, tls: {{ certificate: {identity.certificate}, key: {identity.key}, "
            f"{more} }} }}]\ndata_dir: {tmp_path / 'data'}\n")
        return run_brokerd("--check", "--config", str(config), cwd=tmp_path).stdout
    assert "listen[0].tls.client_crl: " in check(f"client_ca: {devices.file}, client_crl: {devices.file}")
    assert "listen[0].tls.client_crl: expected with client_ca only" in check(f"client_crl: {devices.crl}")
    assert "listen[0].tls.client_auth: expected with client_ca only" in check("client_auth: optional")
