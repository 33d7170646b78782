"""Admission: limits on connections apply as soon as a connection is accepted, and there is always room for the administrator."""

import os
import re
import resource
import signal
import socket

import pytest

from deadlines import wait_until
from raw_websocket import read_head

REFUSED_OPEN = 16


def descriptors(broker):
    return len(os.listdir(f"/proc/{broker.process.pid}/fd"))


def knock(broker, count):
    """`count` silent connections, admitted or not; `None` for one that was reset at once."""
    connections = []
    for _ in range(count):
        try:
            connections.append(broker.connect())
        except ConnectionResetError:
            connections.append(None)
    return connections


def is_reset(plain):
    """Whether the broker has ended a connection that has said nothing; waits until it is known."""
    try:
        return plain is None or plain.recv(1) == b""
    except ConnectionResetError:
        return True


def test_silent_connections_count_towards_the_limit(start_broker):
    broker = start_broker("reactors: { count: 1 }\nlimits: { connections: 20 }\n")
    before = descriptors(broker)
    connections = knock(broker, 100)
    for plain in connections[20 + REFUSED_OPEN:]:
        assert is_reset(plain)
    # A few come with the first work, whatever it is.
    assert descriptors(broker) - before <= 20 + REFUSED_OPEN + 8


def test_admitted_clients_stay_connected(start_broker):
    broker = start_broker("reactors: { count: 1 }\nlimits: { connections: 3 }\n")
    session = broker.session()
    connections = knock(broker, 50)
    assert is_reset(connections[-1])
    assert session.request(op="ping")["op"] == "pong"


def ask(plain, path):
    plain.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    status, headers, _ = read_head(plain)
    return status, headers


def is_admitted(broker):
    try:
        return ask(broker.connect(), "/t/none")[0] == 404
    except ConnectionError:
        return False


def test_a_refused_client_gets_a_retry_after(start_broker):
    broker = start_broker("limits: { connections: 1 }\n")
    broker.session()
    status, headers = ask(broker.connect(), "/t/a")
    assert (status, headers["retry-after"], headers["connection"]) == (503, "5", "close")


def test_an_address_over_its_limit_gets_a_retry_after(start_broker):
    broker = start_broker("limits: { connections_per_address: 1 }\n")
    broker.session()
    status, headers = ask(broker.connect(), "/t/a")
    assert (status, headers["retry-after"]) == (429, "5")


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_a_full_broker_is_healthy(start_broker, path):
    broker = start_broker("limits: { connections: 1 }\n")
    broker.session()
    assert ask(broker.connect(), path)[0] == 200


def test_closed_connections_make_room(start_broker):
    broker = start_broker("reactors: { count: 1 }\nlimits: { connections: 2 }\n")
    for plain in filter(None, knock(broker, 40)):
        plain.close()
    wait_until(lambda: is_admitted(broker), "a place")


def test_the_admin_socket_works_when_descriptors_run_out(start_broker):
    broker = start_broker("reactors: { count: 1 }\n", limits={resource.RLIMIT_NOFILE: 200})
    connections = knock(broker, 300)
    assert is_reset(connections[-1])
    assert broker.control("status").returncode == 0
    assert descriptors(broker) <= 200 - 16


def test_local_probes_are_answered_when_descriptors_run_out(start_broker):
    broker = start_broker("reactors: { count: 1 }\n", limits={resource.RLIMIT_NOFILE: 200})
    connections = [broker.connect()]
    while ask(connections[-1], "/t/none")[0] == 404:
        connections.append(broker.connect())
    assert ask(broker.connect(), "/t/none")[0] == 503
    assert [ask(broker.connect(), f"/health/{path}")[0] for path in ("live", "ready")] == [200, 200]
    assert broker.control("status").returncode == 0


def test_the_store_works_when_descriptors_run_out(start_broker, tmp_path):
    broker = start_broker("reactors: { count: 1 }\n", limits={resource.RLIMIT_NOFILE: 200})
    broker.publish("kept", "value", "retain")
    connections = knock(broker, 300)
    assert is_reset(connections[-1])
    done = broker.control("backup", str(tmp_path / "copy"))
    assert done.returncode == 0, done


def test_a_reload_works_when_descriptors_run_out(start_broker):
    broker = start_broker("reactors: { count: 1 }\n", limits={resource.RLIMIT_NOFILE: 200})
    connections = knock(broker, 300)
    assert is_reset(connections[-1])
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line("settings reloaded")


@pytest.mark.parametrize(("config", "reason"), [
    ("limits: { connections: 5 }\n", "connections"),
    ("limits: { connections_per_address: 5 }\n", "address"),
])
def test_refusals_are_logged_with_their_number(start_broker, config, reason):
    broker = start_broker("reactors: { count: 1 }\n" + config)
    knock(broker, 45)
    counts = []

    def all_are_told():
        lines = [line for line in broker.lines if "connections were refused" in line and f"limit={reason}" in line]
        counts[:] = [int(re.search(r"count=(\d+)", line)[1]) for line in lines]
        return sum(counts) == 40

    wait_until(all_are_told, "every refusal in the log")
    assert len(counts) <= 5, "a line for many"


def test_refusals_are_counted_by_their_reason(start_broker):
    broker = start_broker("reactors: { count: 1 }\nlimits: { connections: 5 }\n")
    connections = knock(broker, 45)
    assert is_reset(connections[-1])
    for plain in filter(None, connections):
        plain.close()
    wait_until(lambda: is_admitted(broker), "a place")
    assert broker.metrics()['broker_connections_refused_total{reason="connections"}'] >= 40


def test_too_few_descriptors_are_a_warning(start_broker):
    broker = start_broker("limits: { connections: 200 }\n", limits={resource.RLIMIT_NOFILE: 231})
    line = broker.wait_for_line("fewer file descriptors than limits.connections needs")
    assert "warning" in line


def test_enough_descriptors_are_no_warning(start_broker):
    broker = start_broker("limits: { connections: 200 }\n", limits={resource.RLIMIT_NOFILE: 232})
    assert not any("fewer file descriptors" in line for line in broker.lines)


def test_limits_per_address_do_not_apply_to_unix_sockets(start_broker, tmp_path):
    path = tmp_path / "socket"
    start_broker(f"listen:\n  - address: unix:{path}\nlimits: {{ connections_per_address: 1 }}\n",
                 configured_listen=True)
    connections = []
    for _ in range(3):
        plain = socket.socket(socket.AF_UNIX)
        plain.connect(str(path))
        connections.append(plain)
    for plain in connections:
        assert ask(plain, "/health/live")[0] == 200
        assert ask(plain, "/t/none")[0] == 404


@pytest.mark.parametrize("verb", ["status", "clients", "topics"])
def test_brokerctl_times_out_if_the_broker_does_not_answer(broker, verb):
    broker.send_signal(signal.SIGSTOP)
    try:
        done = broker.control(verb, timeout=60)
    finally:
        broker.send_signal(signal.SIGCONT)
    assert done.returncode == 2 and b"no answer in time" in done.stderr
