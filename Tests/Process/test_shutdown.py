"""Contract §5: SIGTERM and SIGINT drain, then exit 0."""

import re
import signal
import socket
import time

import pytest

from deadlines import wait_until
from raw_websocket import ConnectionEnded, read_head

RETRY = re.compile(r"^retry=([0-9]+)$")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_every_client_gets_1012_with_a_retry_time(broker, number):
    sockets = [broker.websocket(path) for path in ["/ws", "/t/a", "/s/a"] * 10]
    broker.send_signal(number)
    retries = []
    for websocket in sockets:
        code, reason = websocket.receive_close()
        assert code == 1012 and RETRY.match(reason), (code, reason)
        retries.append(int(RETRY.match(reason)[1]))
    for websocket in sockets:
        websocket.send_frame(8, b"\x03\xf4")  # our CLOSE, 1012: the handshake is complete
    assert broker.wait_for_exit() == 0
    assert len(set(retries)) > 10, f"a time of its own for each client, not {sorted(set(retries))}"


def test_a_session_is_told_before_the_close(broker):
    session = broker.session()
    broker.send_signal(signal.SIGTERM)
    retry = session.expect("restart")["retry"]
    assert session.websocket.receive_close() == (1012, f"retry={retry}")
    session.websocket.send_frame(8, b"\x03\xf4")
    assert broker.wait_for_exit() == 0


def retries_of(broker, count):
    sockets = [broker.websocket("/t/a") for _ in range(count)]
    broker.send_signal(signal.SIGTERM)
    retries = [int(RETRY.match(websocket.receive_close()[1])[1]) for websocket in sockets]
    for websocket in sockets:
        websocket.send_frame(8, b"\x03\xf4")
    assert broker.wait_for_exit() == 0
    return retries


def test_few_clients_reconnect_soon(broker):
    """Soon after the restart, within the 0.2 s over which even a few clients are spread."""
    retries = retries_of(broker, 20)
    assert min(retries) >= 200 and max(retries) - min(retries) <= 200


def test_many_clients_reconnect_at_the_configured_rate(start_broker):
    broker = start_broker("drain: { reconnects_per_second: 5000 }\n")
    broker.config_file.write_text("drain: { reconnects_per_second: 2 }\n")
    printed = len(broker.lines)
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line("settings reloaded", since=printed)
    retries = retries_of(broker, 40)
    spread = max(retries) - min(retries)
    assert 10_000 < spread <= 20_000, spread  # 40 at 2 a second


def test_readiness_fails_before_clients_are_closed(start_broker):
    """A load balancer that probes regularly notices it while clients are still served."""
    broker = start_broker("drain: { notice: 1m }\n")
    assert broker.http("GET", "/health/ready").status == 200
    broker.send_signal(signal.SIGTERM)
    wait_until(lambda: broker.http("GET", "/health/ready").status == 503, "readiness fails")
    assert broker.http("GET", "/t/none").status == 404
    broker.kill()


def test_the_notice_period_ends_and_may_be_zero(start_broker):
    for notice in ("10ms", "0"):
        broker = start_broker(f"drain: {{ notice: {notice} }}\n")
        assert broker.http("GET", "/health/ready").status == 200
        broker.send_signal(signal.SIGTERM)
        assert broker.wait_for_exit() == 0


def test_retry_spread_sets_the_reconnect_period(broker):
    sockets = [broker.websocket("/t/a") for _ in range(40)]
    assert broker.control("drain", "--retry-spread", "10m", "--yes").stdout == b"the broker is shutting down\n"
    broker.asked_to_end = True
    retries = [int(RETRY.match(websocket.receive_close()[1])[1]) for websocket in sockets]
    for websocket in sockets:
        websocket.send_frame(8, b"\x03\xf4")
    assert broker.wait_for_exit() == 0
    # Chances are 1 in 10^12 that all of 40 are within half of the time.
    assert max(retries) - min(retries) > 300_000 and max(retries) <= 610_000, sorted(retries)


@pytest.mark.parametrize("spread", ["soon", "-1s", "25h", "5"])
def test_an_invalid_retry_spread_is_a_usage_error(broker, spread):
    done = broker.control("drain", f"--retry-spread={spread}", "--yes")
    assert done.returncode == 64 and b"--retry-spread: expected a time such as 500ms" in done.stderr
    assert broker.http("GET", "/health/live").status == 200


def test_shutdown_is_quick_without_clients(broker):
    start = time.monotonic()
    broker.stop()
    assert time.monotonic() - start < 20


def test_silent_clients_do_not_delay_shutdown(broker):
    for path in ["/ws", "/t/a", "/s/a"]:
        broker.websocket(path)
    broker.connect()
    half_a_request = broker.connect()
    half_a_request.sendall(b"POST /t/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
    broker.follow("a")
    broker.send_signal(signal.SIGTERM)
    assert broker.wait_for_exit(20) == 0


def test_a_client_that_reads_nothing_does_not_delay_shutdown(start_broker):
    broker = start_broker("limits: { pending: 16MiB }\n")
    broker.websocket("/t/flood", receive_buffer=4096)
    for _ in range(12):
        broker.publish("flood", b"x" * (1 << 19))
    broker.send_signal(signal.SIGTERM)
    assert broker.wait_for_exit(20) == 0


def test_followers_see_the_end_of_the_stream(broker):
    plain = broker.connect()
    plain.sendall(b"GET /s/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
    status, headers, received = read_head(plain)
    assert status == 200 and headers["transfer-encoding"] == "chunked"
    broker.publish("a", "last words")
    broker.send_signal(signal.SIGTERM)
    while more := plain.recv(65536):
        received += more
    assert b"last words" in received and received.endswith(b"\r\n0\r\n\r\n")
    assert broker.wait_for_exit() == 0


def test_stored_publishes_in_flight_are_acknowledged_and_kept(broker):
    session = broker.session()
    for number in range(300):
        session.send(op="publish", id=number, topic=f"drain/{number}", data=number, retain=True, ack="stored")
    session.expect("ok")
    broker.send_signal(signal.SIGTERM)
    acknowledged = []
    with pytest.raises(ConnectionEnded) as ended:
        while True:
            answer = session.receive()
            if answer["op"] == "ok":
                acknowledged.append(answer["id"])
    assert ended.value.close_frame[0] == 1012
    assert broker.wait_for_exit() == 0
    broker.start()
    for number in acknowledged:
        assert broker.retained(f"drain/{number}").body == str(number).encode()
    # Nothing was accepted and then forgotten: messages that are stored without an acknowledgement came after the last one.
    stored = [number for number in range(300) if broker.retained(f"drain/{number}").status == 200]
    assert stored == list(range(len(stored)))


def test_no_new_connections_are_accepted(broker):
    waiting = broker.websocket("/ws")
    broker.send_signal(signal.SIGTERM)
    waiting.receive_close()
    with pytest.raises((OSError, ConnectionEnded)):
        plain = socket.create_connection(("127.0.0.1", broker.port), timeout=60)
        plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if plain.recv(100).startswith(b"HTTP/1.1 503"):
            raise ConnectionRefusedError  # said in words
    waiting.close()
    assert broker.wait_for_exit() == 0


def test_a_second_signal_has_no_effect(broker):
    broker.websocket("/ws")
    broker.send_signal(signal.SIGTERM)
    broker.send_signal(signal.SIGTERM)
    assert broker.wait_for_exit() == 0


def test_no_socket_is_left_and_the_broker_restarts_at_once(broker):
    broker.stop()
    assert not broker.admin_socket.exists()
    for _ in range(3):
        broker.start()
        assert broker.http("GET", "/health/ready").status == 200
        broker.stop()


def test_an_admin_socket_left_by_kill_does_not_stop_the_next_start(broker):
    broker.kill()
    broker.start()
    assert broker.control("status").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE])
def test_commands_of_other_brokers_do_not_stop_it(broker, number):
    broker.send_signal(number)
    assert broker.http("GET", "/health/live").status == 200
    broker.stop()


def test_a_hangup_does_not_stop_the_broker(broker):
    session = broker.session()
    session.subscribe("a")
    broker.send_signal(signal.SIGHUP)
    session.synchronise()
    broker.publish("a", "still here")
    session.expect("message", data="still here")


def test_brokerctl_drains(broker):
    websocket = broker.websocket("/t/a")
    done = broker.control("drain", "--json")
    assert (done.returncode, done.stdout) == (0, b"{}\n"), done.stderr
    code, reason = websocket.receive_close()
    assert code == 1012 and RETRY.match(reason), (code, reason)
    websocket.send_frame(8, b"\x03\xf4")
    assert broker.wait_for_exit() == 0
