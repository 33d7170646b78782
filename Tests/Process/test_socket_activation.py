"""Sockets that the broker is started with, as systemd passes them: `listen: [{address: systemd}]`."""

import http.client
import socket
import subprocess
import sys

import pytest

from broker_process import Broker
from command_line import BROKERD
from deadlines import START_DEADLINE

# What systemd does between fork and exec: it passes descriptors from 3 on, with their process, number and names.
GIVER = """
import fcntl, os, sys
count, names = int(sys.argv[1]), sys.argv[2]
high = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 100) for word in sys.argv[3:3 + count]]
for number, descriptor in enumerate(high):
    os.dup2(descriptor, 3 + number)
os.environ.update(LISTEN_PID=str(os.getpid() + PLUS), LISTEN_FDS=str(count), LISTEN_FDNAMES=names)
os.execv(sys.argv[3 + count], sys.argv[3 + count:])
"""


def giver(sockets, names, plus=0):
    """The prefix of a command that gets these sockets with these names."""
    descriptors = [str(one.fileno()) for one in sockets]
    return [sys.executable, "-c", GIVER.replace("PLUS", str(plus)), str(len(sockets)), ":".join(names), *descriptors]


def listening(address="127.0.0.1"):
    return socket.create_server((address, 0))


@pytest.fixture
def start_given(tmp_path, start_broker, request):
    """Starts a broker with these sockets."""
    def start(config, sockets, names):
        broker = Broker(
            tmp_path / "given", config, port=sockets[0].getsockname()[1], configured_listen=True,
            wrapper=giver(sockets, names))
        broker.pass_fds = tuple(one.fileno() for one in sockets)
        request.node.brokers.append(broker)
        return broker.start()

    return start


def get(connection, path="/health/live"):
    connection.request("GET", path, headers={"Host": "localhost"})
    return connection.getresponse().status


class PathConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def test_each_listener_gets_the_sockets_of_its_name(start_given, tmp_path):
    path = tmp_path / "broker.sock"
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(path))
    local.listen()
    web, rest = listening(), listening()
    broker = start_given(
        "listen:\n  - { address: systemd, path_prefix: /rest }\n  - address: systemd:web\n"
        "  - { address: systemd:local, path_prefix: /local }\n", [web, local, rest], ["web", "local", "brokerd.socket"])
    assert f"http://127.0.0.1:{broker.port}" in broker.listening_line
    assert f"unix:{path}" in broker.listening_line
    assert broker.http("GET", "/health/live").status == 200
    assert get(PathConnection(path), "/local/health/live") == 200
    assert get(PathConnection(path)) == 404
    assert get(http.client.HTTPConnection(*rest.getsockname()), "/rest/health/live") == 200
    follower = broker.topic_socket("a")
    follower.synchronise()
    broker.publish("a", "x")
    assert follower.receive_text() == "x"
    broker.stop()
    assert path.is_socket(), "it is whose that made it"


def test_connections_wait_while_the_broker_restarts(start_given):
    with listening() as web:
        broker = start_given("listen:\n  - address: systemd\n", [web], ["web"])
        broker.publish("a", "kept", "retain")
        broker.stop()
        early = http.client.HTTPConnection("127.0.0.1", broker.port, timeout=START_DEADLINE)
        early.request("GET", "/t/a")
        broker.start()
        assert early.getresponse().read() == b"kept"


def test_an_unused_socket_is_a_warning(start_given):
    with listening() as web, listening() as other:
        broker = start_given("listen:\n  - address: systemd:web\n", [web, other], ["web", "other"])
        broker.wait_for_line("no listener uses a socket that was passed.*other")


def refused(tmp_path, config, sockets, names, **options):
    """The error of a broker that does not start."""
    file = tmp_path / "broker.yaml"
    file.write_text(config)
    done = subprocess.run(
        [*giver(sockets, names, **options), BROKERD, "--config", file, "--data-dir", tmp_path / "data"],
        pass_fds=[one.fileno() for one in sockets], capture_output=True, text=True, timeout=START_DEADLINE)
    assert done.returncode == 1
    return done.stderr


def test_a_listener_without_a_socket_does_not_start(tmp_path):
    config = "listen:\n  - address: systemd:web\n"
    with listening() as other:
        assert "systemd:web: no socket is left of those that were passed: other" in refused(
            tmp_path, config, [other], ["other"])
        # Variables that were meant for another process.
        assert "systemd:web: no socket was passed to this process (LISTEN_FDS)" in refused(
            tmp_path, config, [other], ["web"], plus=1)


def test_a_socket_that_does_not_listen_is_refused(tmp_path):
    with socket.socket() as idle:
        idle.bind(("127.0.0.1", 0))
        assert "systemd:web: expected a stream socket that listens" in refused(
            tmp_path, "listen:\n  - address: systemd\n", [idle], ["web"])


def test_an_exposed_admin_socket_needs_tls(tmp_path):
    with listening("0.0.0.0") as web:
        config = "listen:\n  - { address: systemd, admin: true }\naccess: { anonymous: { publish: [] } }\n"
        assert "listen[0].admin: expected with tls, or on loopback, found 0.0.0.0:" in refused(
            tmp_path, config, [web], ["web"])


def test_an_exposed_socket_needs_explicit_rights(tmp_path):
    with listening("0.0.0.0") as web:
        port = web.getsockname()[1]
        assert f"refusing to listen on 0.0.0.0:{port}, beyond loopback, where nobody may do anything" in refused(
            tmp_path, "listen:\n  - address: systemd\n", [web], ["web"])
