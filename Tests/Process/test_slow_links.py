"""Contract §3.4, §4: a reader that is slow is slow, never dead; a peer that is gone is noticed although bytes wait for it."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from broker_process import free_port
from deadlines import wait_until
from json_session import JSONSession
from raw_websocket import CLOSE, PING, PONG, RawWebSocket
from secure_broker import authority, client_context, configuration, identity  # noqa: F401 (fixtures)

KEEPALIVE = "keepalive: { interval: 1s, timeout: 3s }\n"
DEAD = 'broker_disconnects_total{reason="dead"}'
RATE = 64 * 1024  # bytes a second, of the link


class SlowLink:
    """The reading side of a socket over a slow link: never more than RATE, never a pause."""

    def __init__(self, plain):
        self.plain, self.start, self.taken = plain, time.monotonic(), 0
        self.turn = threading.Event()

    def recv(self, _):
        self.turn.wait(max(0, self.taken / RATE - (time.monotonic() - self.start)))
        received = self.plain.recv(2048)
        self.taken += len(received)
        return received

    def __getattr__(self, name):
        return getattr(self.plain, name)


class Flood:
    """Publishes faster than the link until it is closed."""

    def __init__(self, session, topics):
        self.session, self.topics, self.stopped = session, topics, threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        block = "x" * 8192
        number = 0
        while not self.stopped.wait(0.02):
            number += 1
            self.session.send(op="publish", topic=f"flood/{number % self.topics}", data=block)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()


def connect_slowly(broker, path, context=None, link=SlowLink):
    plain = broker.connect(receive_buffer=8192)
    if context:
        plain = context.wrap_socket(plain, server_hostname="localhost")
    return RawWebSocket(link(plain), f"127.0.0.1:{broker.port}", path)


def read_on(websocket, enough):
    """Answers PINGs and reads until `enough` is true; returns how many seconds the link was read without a pause."""
    while time.monotonic() - websocket.plain.start < enough:
        _, opcode, payload = websocket.receive_frame()
        if opcode == PING:
            websocket.send_frame(PONG, payload)
        assert opcode != CLOSE, websocket.close_frame


@pytest.fixture(params=["plain", "tls"])
def start_on_link(request, start_broker):
    """Starts a broker; returns it, a function that connects slowly, and a session that publishes."""

    def start(config):
        if request.param == "plain":
            broker = start_broker(config)
            return broker, lambda path, **link: connect_slowly(broker, path, **link), broker.session()
        authority, identity = request.getfixturevalue("authority"), request.getfixturevalue("identity")
        port, plain_port = free_port(), free_port()
        listen = configuration(port, identity) + f"  - address: 127.0.0.1:{plain_port}\n"
        broker = start_broker(listen + config, port=port, configured_listen=True)
        context = client_context(authority)
        session = JSONSession(RawWebSocket(socket.create_connection(("127.0.0.1", plain_port)), "127.0.0.1", "/ws"))
        broker.opened.append(session.websocket)
        broker.port = plain_port  # for /metrics
        enter_port = port

        def enter_secure(path, **link):
            broker.port, kept = enter_port, broker.port
            try:
                return connect_slowly(broker, path, context, **link)
            finally:
                broker.port = kept

        return broker, enter_secure, session

    return start


@pytest.mark.parametrize("in_kernel", ["16KiB", "unlimited"])
@pytest.mark.parametrize("slow", ["drop-oldest", "latest"])
def test_a_client_that_keeps_reading_is_never_evicted(start_on_link, slow, in_kernel):
    """Even if the kernel holds so much that a PING is minutes late: acknowledged bytes are a sign of life."""
    limits = f"limits: {{ pending: 256KiB, unsent_in_kernel: {in_kernel} }}\n"
    broker, enter, publisher = start_on_link(KEEPALIVE + limits)
    reader = enter(f"/s/flood/%23?slow={slow}&snapshot=false")
    with Flood(publisher, topics=5):
        read_on(reader, 6)
    assert broker.metrics()[DEAD] == 0


def test_a_slow_client_can_read_why_it_is_closed(start_on_link):
    broker, enter, publisher = start_on_link(KEEPALIVE + "limits: { pending: 256KiB }\n")
    reader = enter("/s/flood/%23?snapshot=false")
    with Flood(publisher, topics=5):
        while reader.close_frame is None:
            reader.receive_frame()
    assert reader.close_frame[0] == 1013
    metrics = broker.metrics()
    assert (metrics['broker_disconnects_total{reason="slow"}'], metrics[DEAD]) == (1, 0)


@pytest.mark.parametrize("slow", ["drop-oldest", "latest"])
def test_a_slow_reader_gets_recent_messages(start_on_link, slow):
    """Nothing is read during a flood of 8 MiB: the limits bound what arrives before the newest message.

    They also bound its age: the time that so many bytes take on the reader's link.
    """
    _, enter, publisher = start_on_link("limits: { pending: 32KiB }\n")
    reader = enter(f"/s/flood/%23?slow={slow}&snapshot=false", link=lambda plain: plain)
    assert json.loads(reader.receive_text())["op"] == "live"
    for number in range(2048):
        publisher.publish(f"flood/{number % 5}", "x" * 4096)
    last = publisher.publish("flood/0", "last")
    count, received = 0, {}
    while received.get("seq") != last["seq"]:
        text = reader.receive_text()
        count, received = count + len(text), json.loads(text)
    # The bytes in the two kernels, 16 KiB and the reader's own, a begun message each, and the pending bytes.
    assert count < 160 * 1024


def test_brokerctl_clients_shows_pending_bytes(start_broker):
    broker = start_broker("limits: { pending: 256KiB }\n")
    reader = broker.subscription_socket("flood/#", "slow=drop-oldest&snapshot=false", receive_buffer=8192)
    assert json.loads(reader.receive_text())["op"] == "live"
    publisher = broker.session()
    for _ in range(100):
        publisher.publish("flood/0", "x" * 8192)
    (stuck,) = [client for client in broker.control_json("clients") if client["protocol"] == "subscription"]
    assert stuck["pendingBytes"] > 0 and 0 < stuck["kernelBytes"] < 128 * 1024


def test_unsent_in_kernel_is_reloaded(start_broker):
    broker = start_broker("limits: { unsent_in_kernel: unlimited, pending: 8MiB }\n")
    publisher = broker.session()

    def in_kernel():
        reader = broker.subscription_socket("flood/#", "snapshot=false", receive_buffer=8192)
        assert json.loads(reader.receive_text())["op"] == "live"
        for _ in range(150):
            publisher.publish("flood/0", "x" * 8192)
        (stuck,) = [client for client in broker.control_json("clients") if client["protocol"] == "subscription"]
        reader.close()
        wait_until(lambda: len(broker.control_json("clients")) < 2, "it to be gone")
        return stuck["kernelBytes"]

    assert in_kernel() > 256 * 1024
    broker.config_file.write_text("limits: { unsent_in_kernel: 16KiB, pending: 8MiB }\n")
    broker.send_signal(signal.SIGHUP)
    wait_until(lambda: in_kernel() < 128 * 1024, "the new limit")


VANISHING = """
import socket, sys
plain = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
plain.sendall(sys.argv[2].encode())
print(plain.recv(65536)[:12], flush=True)
while plain.recv(65536): pass
"""


@pytest.mark.parametrize("way", ["websocket", "events", "lines"])
def test_a_dead_peer_with_unsent_bytes_is_evicted(start_broker, way):
    """In a separate network whose only link is cut, so that nothing is acknowledged."""
    broker = start_broker(
        KEEPALIVE + "limits: { pending_age: unlimited }\n",
        wrapper=["unshare", "-Urn", "sh", "-c", 'ip link set lo up && exec "$0" "$@"'])

    def inside(*command):
        return ["nsenter", "-t", str(broker.process.pid), "-U", "--preserve-credentials", "-n", *command]

    upgrade = ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")
    fields = {"websocket": upgrade, "events": "Accept: text/event-stream\r\n", "lines": ""}[way]
    request = f"GET /s/gone?snapshot=false HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n"
    peer = subprocess.Popen(
        inside(sys.executable, "-c", VANISHING, str(broker.port), request), stdout=subprocess.PIPE)
    try:
        assert b"HTTP/1.1" in peer.stdout.readline()
        wait_until(lambda: broker.control_json("subscriptions"), "the subscription")
        subprocess.run(inside("ip", "link", "set", "lo", "down"), check=True)
        done = broker.control("pub", "gone", "nobody will see this")
        assert done.returncode == 0, done
        wait_until(lambda: not broker.control_json("subscriptions"), "the eviction")
    finally:
        peer.kill()
        peer.wait()
        peer.stdout.close()
