"""Contract §2, §6: https:// and wss:// where a listener has TLS; certificates that change."""

import asyncio
import http.client
import json
import re
import signal
import socket
import ssl
import subprocess

import aiohttp
import pytest
import websockets

from broker_process import free_port
from certificates import Authority
from command_line import run_brokerd, run_control
from deadlines import ANSWER_DEADLINE, wait_until
# The fixtures are found by their names.
from secure_broker import (  # noqa: F401
    authority, client_context, configuration, connect, identity, read_all, request, secure,
    shared, shown_certificate)


# Serving


def test_the_listening_line_says_https(secure):
    assert f"https://127.0.0.1:{secure.port}" in secure.listening_line


def test_curl_publishes_to_websockets(secure, authority):
    context = client_context(authority)

    async def go():
        async with websockets.connect(f"wss://localhost:{secure.port}/t/a", ssl=context) as socket_:
            done = await asyncio.to_thread(
                subprocess.run,
                ["curl", "-sS", "--cacert", str(authority.file), "-d", "hello", f"https://localhost:{secure.port}/t/a"],
                capture_output=True, timeout=ANSWER_DEADLINE)
            assert json.loads(done.stdout)["seq"], done
            assert await asyncio.wait_for(socket_.recv(), ANSWER_DEADLINE) == "hello"
            await socket_.send("back")
            assert await asyncio.wait_for(socket_.recv(), ANSWER_DEADLINE) == "back"

    asyncio.run(go())


def test_large_messages_pass_through_aiohttp(secure, authority):
    context = client_context(authority)
    payload = bytes(range(256)) * 4000

    async def go():
        async with aiohttp.ClientSession() as client:
            url = f"https://localhost:{secure.port}/t/large"
            async with client.ws_connect(url, ssl=context, max_msg_size=0) as socket_:
                async with client.post(url, data=payload, ssl=context) as answer:
                    assert answer.status == 200
                for _ in range(3):
                    await socket_.send_bytes(payload)
                for _ in range(4):
                    message = await asyncio.wait_for(socket_.receive(), ANSWER_DEADLINE)
                    assert message.data == payload

    asyncio.run(go())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_supports_both_versions_and_resumption(secure, authority, version):
    context = client_context(authority, minimum_version=version, maximum_version=version)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connect(secure, context) as first:
        assert first.selected_alpn_protocol() == "http/1.1"
        first.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert read_all(first).startswith(b"HTTP/1.1 200 ")
        ticket = first.session
        assert not first.session_reused
    with connect(secure, context, session=ticket) as second:
        assert second.session_reused
        second.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert second.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_old_versions_are_refused(secure, authority):
    context = client_context(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        connect(secure, context)
    assert request(secure, client_context(authority))[0] == 200


def test_clients_with_only_other_protocols_are_refused(secure, authority):
    context = client_context(authority)
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError):
        connect(secure, context)


def test_ends_with_close_notify(secure, authority):
    """Without it this read would be an error: the end could be an attacker's."""
    context = client_context(authority)
    with connect(secure, context) as connection:
        connection.suppress_ragged_eofs = False
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_a_close_notify_ends_a_websocket(secure, authority):
    context = client_context(authority)
    connection = connect(secure, context)
    connection.sendall(b"GET /t/a HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")
    connection.unwrap().close()
    wait_until(lambda: "No clients" in secure.control("clients").stdout.decode() or
               secure.control_json("clients") == [], "the client is gone")


def test_follows_over_https(secure, authority):
    context = client_context(authority)
    connection = http.client.HTTPSConnection("127.0.0.1", secure.port, context=context, timeout=ANSWER_DEADLINE)
    connection.request("GET", "/s/%23")
    answer = connection.getresponse()
    request(secure, context, "POST", "/t/follow", b"one")
    while json.loads(answer.readline()).get("topic") != "follow":
        pass
    connection.close()


def test_a_shutdown_closes_with_1012(secure, authority):
    async def go():
        async with websockets.connect(f"wss://localhost:{secure.port}/t/a", ssl=client_context(authority)) as socket_:
            secure.send_signal(signal.SIGTERM)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(socket_.recv(), ANSWER_DEADLINE)
            assert closed.value.rcvd.code == 1012

    asyncio.run(go())
    assert secure.wait_for_exit() == 0


def test_a_slow_reader_is_closed_and_the_others_are_not(secure, authority):
    context = client_context(authority)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(ANSWER_DEADLINE)
    plain.connect(("127.0.0.1", secure.port))
    slow = context.wrap_socket(plain, server_hostname="localhost")
    slow.sendall(b"GET /t/flood HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
    head = slow.recv(65536)
    assert head.startswith(b"HTTP/1.1 101 ")
    payload = b"x" * 200_000
    others = http.client.HTTPSConnection("localhost", secure.port, context=context, timeout=ANSWER_DEADLINE)

    def ask(method, path, body=None):
        others.request(method, path, body)
        answer = others.getresponse()
        text = answer.read()
        assert answer.status == 200
        return text

    # Not longer: a reader that takes nothing for five seconds after its CLOSE gets no more.
    sent = 0
    while b'\nbroker_disconnects_total{reason="slow"} 1\n' not in ask("GET", "/metrics"):
        assert sent < 200, "it is not closed"
        ask("POST", "/t/flood", payload)
        sent += 1
    others.close()
    # Whole frames, then the CLOSE, then the end of TLS, without any dropped bytes in between.
    slow.suppress_ragged_eofs = False
    taken = head.partition(b"\r\n\r\n")[2]
    while not (len(taken) > 4 and b"\x03\xf5" in taken[-125:]):
        part = slow.recv(65536)
        assert part, "the end without a CLOSE"
        taken += part
    count = 0
    while taken[0] == 0x81:
        assert taken[:10] == b"\x81\x7f" + len(payload).to_bytes(8, "big")
        assert taken[10:10 + len(payload)] == payload
        taken = taken[10 + len(payload):]
        count += 1
    assert taken[0] == 0x88 and taken[2:4] == b"\x03\xf5" and 0 < count < sent
    slow.close()


# Refused clients


def test_plain_http_on_the_tls_port_is_explained(secure):
    with secure.connect() as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = read_all(plain)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"https://" in answer


@pytest.mark.parametrize("bytes_", [b"\x00" * 500, b"\x16\x03\x01\xff\xff" + b"\x01" * 9, b"\x16\x03\x01\x00\x05hello",
                                    b"\xff" * 70000, b"get / http/1.1\r\n\r\n"])
def test_garbage_on_the_tls_port_ends_the_connection(secure, authority, bytes_):
    with secure.connect() as plain:
        try:
            plain.sendall(bytes_)
            plain.shutdown(socket.SHUT_WR)
            assert len(read_all(plain)) < 100
        except OSError:
            pass
    assert request(secure, client_context(authority))[0] == 200


def test_an_incomplete_handshake_times_out(start_broker, authority, identity):
    port = free_port()
    broker = start_broker(configuration(port, identity) + "limits: { handshake_timeout: 2s }\n", port=port,
                          configured_listen=True)
    for beginning in [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]:
        with broker.connect() as plain:
            plain.sendall(beginning)
            assert read_all(plain) == b""


def test_client_certificates_are_required_if_configured(start_broker, authority, identity):
    port = free_port()
    broker = start_broker(configuration(port, identity, client_ca=authority.file), port=port, configured_listen=True)
    assert request(broker, client_context(authority, authority.sign("client")))[0] == 200
    stranger = Authority(authority.directory / "other").sign("stranger")
    for identity_ in [None, stranger]:
        for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
            context = client_context(authority, identity_, maximum_version=version)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                request(broker, context)
    assert "broker_tls_handshakes_waiting 0\n" in request(
        broker, client_context(authority, authority.sign("waits")), path="/metrics")[1].decode()
    failed = 'broker_tls_handshakes_total{outcome="failed"}'
    _, text = request(broker, client_context(authority, authority.sign("client")), path="/metrics")
    assert re.search(re.escape(failed) + r" (\d+)", text.decode())[1] == "4"


# Certificates that change


def follow_while(secure, authority, change):
    """A subscriber that was connected before `change` gets what is published after it."""
    context = client_context(authority)

    async def go():
        async with websockets.connect(f"wss://localhost:{secure.port}/t/stays", ssl=context) as socket_:
            await asyncio.to_thread(change)
            assert request(secure, context, "POST", "/t/stays", b"after")[0] == 200
            assert await asyncio.wait_for(socket_.recv(), ANSWER_DEADLINE) == "after"
            await socket_.send("I, too")
            assert await asyncio.wait_for(socket_.recv(), ANSWER_DEADLINE) == "I, too"

    asyncio.run(go())


@pytest.mark.parametrize("by_signal", [True, False])
def test_a_new_certificate_is_used_without_dropping_clients(secure, authority, identity, by_signal):
    old = shown_certificate(secure)

    def change():
        authority.sign("new").copy_to(identity)
        if by_signal:
            secure.send_signal(signal.SIGHUP)
        wait_until(lambda: shown_certificate(secure) != old, "the new certificate")

    follow_while(secure, authority, change)


@pytest.mark.parametrize("by_signal", [True, False])
def test_a_broken_certificate_is_refused_and_the_old_one_stays(secure, authority, identity, by_signal):
    old = shown_certificate(secure)
    printed = len(secure.lines)

    def change():
        identity.certificate.write_text("this is no certificate\n")
        if by_signal:
            secure.send_signal(signal.SIGHUP)
        secure.wait_for_line(r"keeping the old ones? .*listen\[0\]\.tls\.certificate", since=printed)
        assert shown_certificate(secure) == old

    follow_while(secure, authority, change)
    authority.sign("new").copy_to(identity)
    wait_until(lambda: shown_certificate(secure) != old, "the new certificate")


@pytest.mark.parametrize("by_signal", [True, False])
def test_the_audit_log_records_certificates(start_broker, authority, identity, by_signal):
    port = free_port()
    broker = start_broker(configuration(port, identity) + "log: { audit: stdout }\n", port=port, configured_listen=True)

    def change(write, event):
        since = len(broker.lines)
        write()
        if by_signal:
            broker.send_signal(signal.SIGHUP)
        return json.loads(broker.wait_for_line(event, since=since))["target"]

    good = identity.certificate.read_text()
    refused = change(lambda: identity.certificate.write_text("none\n"), '"certificate.refused"')
    assert refused.startswith("listen[0].tls.certificate: ")
    assert change(lambda: identity.certificate.write_text(good), '"certificate.loaded"') == str(identity.certificate)


@pytest.mark.parametrize("file, role", [("none.pem", "certificate"), ("broken.pem", "certificate"), ("key", "key"),
                                        ("other", "key"), ("client", "client_ca")])
def test_check_and_start_report_broken_files(tmp_path, shared, file, role):
    good, other = shared.sign("good"), shared.sign("other")
    (tmp_path / "broken.pem").write_text("no certificate\n")
    certificate, key, client_ca = good.certificate, good.key, shared.file
    if role == "certificate":
        certificate = tmp_path / file
    elif file == "key":
        key = tmp_path / "none.key"
    elif file == "other":
        key = other.key
    else:
        client_ca = tmp_path / "broken.pem"
    text = (f"listen:\n  - address: 127.0.0.1:{free_port()}\n"
            f"    tls: {{ certificate: {certificate}, key: {key}, client_ca: {client_ca} }}\n")
    (tmp_path / "broker.yaml").write_text(text)
    for done in [run_brokerd("--check", "--config", "broker.yaml", cwd=tmp_path),
                 run_brokerd("--config", "broker.yaml", "--data-dir", "data", cwd=tmp_path)]:
        assert done.returncode == 1 and f"listen[0].tls.{role}: " in done.stdout, done
    assert not (tmp_path / "data").exists()
    done = run_control("config", "check", str(tmp_path / "broker.yaml"))
    assert done.returncode == 1 and f"listen[0].tls.{role}: ".encode() in done.stderr, done
