"""Contract §2, §6: TLS handshakes: certificates by name, forbidden requests, and many handshakes at once."""

import re
import signal
import ssl
import subprocess

import pytest

from broker_process import free_port
from deadlines import ANSWER_DEADLINE, wait_until
# The fixtures are found by their names.
from secure_broker import authority, client_context, connect, identity, read_all, request, secure  # noqa: F401


def shown_to(broker, authority, name):
    """The names of the certificate that a client asking for `name` gets."""
    context = client_context(authority, check_hostname=False)
    with connect(broker, context, host=name) as connection:
        return [value for _, value in connection.getpeercert()["subjectAltName"]]


@pytest.fixture
def several(start_broker, authority, identity):
    one, two = authority.sign("one", "DNS:one.example"), authority.sign("two", "DNS:two.example,DNS:*.two.example")
    port = free_port()
    text = (f"listen:\n  - address: 127.0.0.1:{port}\n"
            f"    tls:\n      certificate: {identity.certificate}\n      key: {identity.key}\n      certificates:\n"
            f"        - {{ certificate: {one.certificate}, key: {one.key} }}\n"
            f"        - {{ certificate: {two.certificate}, key: {two.key} }}\n")
    return start_broker(text, port=port, configured_listen=True), two


def test_several_certificates_are_chosen_by_name(several, authority):
    broker, two = several
    own = ["localhost", "127.0.0.1"]
    for name, expected in [("one.example", ["one.example"]), ("ONE.example", ["one.example"]),
                           ("two.example", ["two.example", "*.two.example"]),
                           ("a.two.example", ["two.example", "*.two.example"]), ("a.b.two.example", own),
                           ("localhost", own), ("other.example", own)]:
        assert shown_to(broker, authority, name) == expected, name
    # One of them changes, and is loaded like the first one.
    authority.sign("new", "DNS:two.example,DNS:new.example").copy_to(two)
    wait_until(lambda: shown_to(broker, authority, "new.example") == ["two.example", "new.example"], "the new one")
    assert shown_to(broker, authority, "one.example") == ["one.example"]
    # A broken one is refused by its place in the list, and the old ones stay.
    printed = len(broker.lines)
    two.certificate.write_text("this is no certificate\n")
    broker.wait_for_line(r"listen\[0\]\.tls\.certificates\[1\]\.certificate", since=printed)
    assert shown_to(broker, authority, "new.example") == ["two.example", "new.example"]


def s_client(broker, authority, *options, commands=b""):
    """The output of `openssl s_client`, and its exit status."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", "-servername", "localhost", "-CAfile",
         str(authority.file), "-verify_return_error", *options],
        input=commands, capture_output=True, timeout=ANSWER_DEADLINE)
    return (done.stdout + done.stderr).decode(errors="replace"), done.returncode


def test_openssl_connects(secure, authority):
    for version in ["-tls1_2", "-tls1_3"]:
        said, code = s_client(secure, authority, version, "-alpn", "h2,http/1.1", "-quiet", "-ign_eof",
                              commands=b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert code == 0 and "HTTP/1.1 200 OK" in said, said
    said, code = s_client(secure, authority, "-alpn", "h2,http/1.1")
    assert code == 0 and "ALPN protocol: http/1.1" in said and "Verify return code: 0 (ok)" in said, said
    assert "Compression: NONE" in said and "Early data was not sent" in said
    assert re.search("Server Temp Key: (X25519|ECDH)", said), said


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(secure, authority, version):
    said, code = s_client(secure, authority, version, "-cipher", "ALL:@SECLEVEL=0")
    assert code != 0 and "alert" in said, said


@pytest.mark.parametrize("cipher", ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "DHE-RSA-AES128-SHA"])
def test_weak_ciphers_are_refused(secure, authority, cipher):
    said, code = s_client(secure, authority, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
    assert code != 0 and "handshake failure" in said, said


def test_renegotiation_is_refused(secure, authority):
    """A client may ask for it; it costs a full handshake each time."""
    said, _ = s_client(secure, authority, "-tls1_2", commands=b"R\nR\n")
    assert "RENEGOTIATING" in said and "no renegotiation" in said, said
    assert request(secure, client_context(authority))[0] == 200


def test_openssl_resumes_sessions(secure, authority, tmp_path):
    for version in ["-tls1_2", "-tls1_3"]:
        session = tmp_path / f"session{version}"
        get = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        said, _ = s_client(secure, authority, version, "-ign_eof", "-sess_out", str(session), commands=get)
        assert "New, TLS" in said, said
        said, _ = s_client(secure, authority, version, "-ign_eof", "-sess_in", str(session), commands=get)
        assert "Reused, TLS" in said and "HTTP/1.1 200" in said, said


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
def test_openssl_requests_new_keys(secure, authority, suite):
    """RFC 8446 §4.6.3: `s_client` requests one at a line that is `K`, here between responses on one connection."""
    client = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{secure.port}", "-servername", "localhost", "-CAfile",
         str(authority.file), "-verify_return_error", "-ciphersuites", suite, "-tls1_3"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = b""

    def command(line, answer):
        nonlocal said
        count = said.count(answer)
        client.stdin.write(line)
        client.stdin.flush()
        while said.count(answer) == count:
            part = client.stdout.read1()
            assert part, said
            said += part

    try:
        for _ in range(3):
            command(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 200 OK")
            command(b"K\n", b"KEYUPDATE")
        command(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 200 OK")
        assert suite.encode() in said
    finally:
        client.kill()
        client.communicate()


def test_many_handshakes_do_not_delay_clients(secure, authority):
    """Recorded hellos, each of which costs a signature; connected clients are served meanwhile."""
    context = client_context(authority)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    hello = outgoing.read()
    watcher = connect(secure, context)
    crowd = [secure.connect() for _ in range(300)]
    for plain in crowd:
        plain.sendall(hello)
    watcher.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert b"broker_tls_handshakes_waiting" in read_all(watcher)
    # One third disconnects early, one third is answered, and one third times out.
    for number, plain in enumerate(crowd):
        if number % 3 == 0:
            plain.close()
        if number % 3 == 1:
            assert plain.recv(65536)[:1] == b"\x16"
    for plain in crowd[1::3]:
        plain.close()

    def waiting():
        _, text = request(secure, context, path="/metrics")
        return int(re.search(r"broker_tls_handshakes_waiting (\d+)", text.decode())[1])

    wait_until(lambda: waiting() == 0, "the handshakes' end")
    secure.send_signal(signal.SIGTERM)
    assert secure.wait_for_exit() == 0
