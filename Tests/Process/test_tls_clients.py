"""Contract §7 over TLS: brokerctl with --url https://…; and what an idle TLS connection costs."""

import re

import pytest

from broker_process import free_port
from certificates import Authority
from command_line import run_control
# The fixtures are found by their names.
from secure_broker import authority, client_context, configuration, connect, identity, request, secure  # noqa: F401


def test_brokerctl_publishes_and_subscribes_over_https(secure, authority):
    url = f"https://localhost:{secure.port}"
    done = run_control("pub", "--url", url, "--ca-file", str(authority.file), "--retain", "ctl", "kept")
    assert done.returncode == 0, done
    done = run_control("sub", "--url", url.replace("https", "wss"), "--ca-file", str(authority.file), "ctl",
                       "--count", "1")
    assert (done.returncode, done.stdout) == (0, b"ctl kept\n"), done


def test_brokerctl_rejects_untrusted_servers(start_broker, authority, identity):
    port = free_port()
    start_broker(configuration(port, identity), port=port, configured_listen=True)
    other = Authority(authority.directory / "other")
    for arguments, words in [
        (["--url", f"https://localhost:{port}"], "certificate"),
        (["--url", f"https://localhost:{port}", "--ca-file", str(other.file)], "certificate"),
    ]:
        done = run_control("pub", *arguments, "a", "b")
        assert done.returncode == 2 and words in done.stderr.decode(), done
    done = run_control("pub", "--url", "http://localhost:1", "--ca-file", str(other.file), "a", "b")
    assert done.returncode == 64, done
    done = run_control("pub", "--url", f"https://localhost:{port}", "--ca-file", "none.pem", "a", "b")
    assert done.returncode == 64 and b"none.pem" in done.stderr, done


@pytest.mark.parametrize("hosts, days, words", [
    ("DNS:other.example", 2, "hostname mismatch"), ("DNS:localhost", -1, "expired")])
@pytest.mark.parametrize("verb, topic", [(["pub"], ["a", "b"]), (["bench", "pub"], [])])
def test_brokerctl_verifies_name_and_validity(start_broker, authority, hosts, days, words, verb, topic):
    port = free_port()
    wrong = authority.sign("wrong", hosts=hosts, days=days)
    start_broker(configuration(port, wrong), port=port, configured_listen=True)
    done = run_control(*verb, "--url", f"https://localhost:{port}", "--ca-file", str(authority.file), *topic)
    assert done.returncode == 2 and words in done.stderr.decode(), done


def test_brokerctl_presents_a_certificate(start_broker, authority, identity):
    port = free_port()
    broker = start_broker(configuration(port, identity, client_ca=authority.file), port=port, configured_listen=True)
    client = authority.sign("client")
    trust = ["--url", f"https://localhost:{port}", "--ca-file", str(authority.file)]
    own = ["--cert-file", str(client.certificate), "--key-file", str(client.key)]
    done = run_control("pub", *trust, *own, "--retain", "shown", "kept")
    assert done.returncode == 0, done
    assert broker.control("retained", "get", "shown").stdout == b"kept"
    done = run_control("bench", "fanout", *trust, *own, "--subscribers", "3", "--messages", "5")
    assert done.returncode == 0 and b"15 of 15" in done.stdout, done
    # A client without a certificate is still refused, and the message says why.
    done = run_control("pub", *trust, "a", "b")
    assert done.returncode == 2, done
    for options, words in [
        (["--cert-file", str(client.certificate)], "go together"), (["--key-file", str(client.key)], "go together"),
        (["--cert-file", "none.pem", "--key-file", str(client.key)], "--cert-file: none.pem"),
        (["--cert-file", str(client.certificate), "--key-file", "none.key"], "--key-file: none.key"),
        (["--cert-file", str(client.certificate), "--key-file", str(identity.key)], "--key-file: "),
        (["--insecure"], "--insecure and --ca-file cannot be combined")]:
        done = run_control("pub", *trust, *options, "a", "b")
        assert done.returncode == 64 and words in done.stderr.decode(), done


def test_insecure_disables_verification(secure):
    url = f"https://127.0.0.1:{secure.port}"
    for verb in [["pub", "a", "b"], ["bench", "fanout", "--subscribers", "2", "--messages", "2"]]:
        assert run_control(*verb, "--url", url).returncode == 2
        done = run_control(*verb, "--url", url, "--insecure")
        assert done.returncode == 0, done
    done = run_control("pub", "--url", "http://127.0.0.1:1", "--insecure", "a", "b")
    assert done.returncode == 64 and b"--insecure" in done.stderr, done


# Memory


def test_idle_connections_are_cheap(secure, authority):
    """Contract: no separate buffer while idle. The bound is generous; the figure is in docs/decisions/0008-tls.md."""
    context = client_context(authority)
    hello = (b"GET /t/idle HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")

    def resident():
        _, text = request(secure, context, path="/metrics")
        return int(re.search(r"^process_resident_memory_bytes (\d+)", text.decode(), re.MULTILINE)[1])

    def open_some(count):
        connections = []
        for _ in range(count):
            connection = connect(secure, context)
            connection.sendall(hello)
            assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")
            connections.append(connection)
        return connections

    connections = open_some(50)
    before = resident()
    connections += open_some(400)
    each = (resident() - before) / 400
    print(f"{each:.0f} bytes of memory for each idle TLS WebSocket")
    assert each < 32 * 1024
    for connection in connections:
        connection.close()
