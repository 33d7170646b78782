"""Contract §4: a dead peer is noticed and evicted; a living one stays."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from deadlines import ANSWER_DEADLINE, wait_until
from fragile_disk import FragileDisk
from raw_websocket import PING, PONG, TEXT, ConnectionEnded, encode_frame

INTERVAL, TIMEOUT = 1, 4
CONFIG = f"keepalive: {{ interval: {INTERVAL}s, timeout: {TIMEOUT}s }}\n"
# Less than by the default of 35 s, and much more than the contract's tolerance: the machine may be busy.
EVICTED_WITHIN = 30


@pytest.fixture
def broker(start_broker):
    return start_broker(CONFIG)


def live_for(websocket, seconds, answer):
    """Reads frames for `seconds`; `answer(opcode, payload)` says what to send back. Returns the opcodes that came."""
    end, opcodes = time.monotonic() + seconds, []
    while time.monotonic() < end:
        try:
            _, opcode, payload = websocket.receive_frame(0.2)
        except TimeoutError:
            opcode, payload = None, b""
        else:
            opcodes.append(opcode)
        if reply := answer(opcode, payload):
            websocket.send_bytes(reply)
    return opcodes


@pytest.mark.parametrize("path", ["/ws", "/t/quiet", "/s/quiet"])
def test_a_silent_peer_is_evicted(broker, path):
    before = broker.metrics()
    websocket = broker.websocket(path)
    start = time.monotonic()
    opcodes = []
    with pytest.raises(ConnectionEnded):
        while True:
            opcodes.append(websocket.receive_frame()[1])
    assert time.monotonic() - start <= EVICTED_WITHIN
    assert opcodes.count(PING) == 1
    name = 'broker_disconnects_total{reason="dead"}'
    assert broker.metrics()[name] == before[name] + 1


def test_a_peer_that_only_answers_pings_stays(broker):
    websocket = broker.websocket("/t/quiet")
    opcodes = live_for(
        websocket, INTERVAL + TIMEOUT + 1,
        lambda opcode, payload: encode_frame(PONG, payload) if opcode == PING else None)
    assert set(opcodes) == {PING} and len(opcodes) >= 3
    broker.publish("quiet", "still there")
    assert websocket.receive_message() == (TEXT, b"still there")


def test_any_byte_is_a_sign_of_life(broker):
    """A message that trickles in a byte at a time keeps the connection without a single PONG."""
    websocket = broker.topic_socket("trickle", "echo=false")
    rest = bytearray(encode_frame(TEXT, b"x" * 100))

    def trickle(opcode, payload):
        return bytes([rest.pop(0)])

    live_for(websocket, INTERVAL + TIMEOUT + 1, trickle)
    assert len(rest) > 1, "the whole message went out: this proved nothing"
    watcher = broker.session()
    watcher.subscribe("trickle")
    websocket.send_bytes(bytes(rest))
    assert watcher.expect("message")["data"] == "x" * 100


class Timed:
    """A broker whose clock is advanced by the test, so that a pause of the machine is not silence of a client."""

    # With an interval of an hour; nobody is silent for so long.
    STEP = 2000

    def __init__(self, start_broker, directory, config="keepalive: { interval: 1h, timeout: 1h }\n"):
        self.disk = FragileDisk(directory, directory / "broker0" / "data")
        self.broker = start_broker(config + "reactors: { count: 1 }\n", environment=self.disk.environment)
        self.time = 0

    def advance(self):
        self.time += self.STEP
        self.disk.faults.set(monotonic_offset=self.time)
        # What a turn reads that began before this would have its old time.
        self.turn()

    def turn(self):
        """Waits until its reactor has read everything, and has begun a turn since then."""
        for _ in range(2):
            assert self.broker.http("GET", "/health/live").status == 200

    def live(self, websocket, frame):
        """Lives for several intervals, and sends a frame in each half of them."""
        # Otherwise a frame waits for the acknowledgement of the one before.
        websocket.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(8):
            self.advance()
            websocket.send_bytes(frame)
            self.turn()

    def is_pinged(self, websocket):
        """Whether a PING comes after an interval of silence."""
        for _ in range(2):
            self.advance()
        return websocket.receive_frame()[1] == PING


@pytest.fixture
def timed(start_broker, tmp_path):
    return Timed(start_broker, tmp_path)


def test_a_busy_sender_is_not_pinged(timed):
    websocket = timed.broker.topic_socket("busy", "echo=false")
    timed.live(websocket, encode_frame(TEXT, b"x"))
    timed.broker.publish("busy", "heard")
    assert websocket.receive_frame()[1:] == (TEXT, b"heard")
    assert timed.is_pinged(websocket)


def test_a_message_is_not_late_because_it_was_not_read(start_broker, tmp_path):
    """Its time limit is more than an hour; for a part of that the broker did not read, as its own bytes were unsent."""
    config = "keepalive: { interval: 0 }\nlimits: { handshake_timeout: 1h, pending_age: unlimited }\n"
    timed = Timed(start_broker, tmp_path, config)
    websocket = timed.broker.topic_socket("slow", receive_buffer=4096)
    frame, published = encode_frame(TEXT, b"x" * 100), []

    def pending():
        return timed.broker.control_json("clients")[0]["pendingBytes"]

    def is_behind():
        published.append(b"%d " % len(published) * 30_000)
        timed.broker.publish("slow", published[-1])
        return pending() > 600_000

    websocket.send_bytes(frame[:50])
    timed.turn()
    wait_until(is_behind, "more than half of limits.pending")
    websocket.send_bytes(frame[50:60])
    timed.turn()
    timed.advance()
    assert [websocket.receive_message()[1] for _ in published] == published
    wait_until(lambda: pending() == 0, "the end of the pause")
    timed.advance()
    websocket.send_bytes(frame[60:])
    assert websocket.receive_message() == (TEXT, b"x" * 100)
    websocket.send_bytes(frame[:50])
    timed.turn()
    timed.advance()
    timed.advance()
    assert websocket.receive_close() == (1008, "the message did not arrive in time")


def test_a_stopped_process_is_evicted_with_its_subscriptions(broker):
    """SIGSTOP: the kernel continues to acknowledge for the process, so only PING can tell."""
    program = (
        "import asyncio, websockets\n"
        "async def main():\n"
        f"    async with websockets.connect('{broker.websocket_url('/t/stopped')}') as socket:\n"
        "        print('ready', flush=True)\n"
        "        async for message in socket: pass\n"
        "asyncio.run(main())\n")
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert child.stdout.readline() == b"ready\n"

        def is_subscribed():
            return any("stopped" in str(item) for item in broker.control_json("subscriptions"))

        wait_until(is_subscribed, "the subscription")
        os.kill(child.pid, signal.SIGSTOP)
        start = time.monotonic()
        wait_until(lambda: not is_subscribed(), "the eviction")
        assert time.monotonic() - start <= EVICTED_WITHIN
        assert broker.control_json("clients") == []
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_the_round_trip_time_is_shown(broker):
    session = broker.session()
    assert session.welcome["keepalive"] == INTERVAL
    end = time.monotonic() + ANSWER_DEADLINE
    shown = None
    while shown is None and time.monotonic() < end:
        try:
            session.websocket.receive_message(0.3)  # answers PINGs while it waits
        except TimeoutError:
            pass
        (client,) = broker.control_json("clients")
        shown = client["roundTripMilliseconds"]
    assert shown is not None and 0 <= shown < 1000 * TIMEOUT


def test_an_unsolicited_pong_is_only_a_sign_of_life(timed):
    websocket = timed.broker.topic_socket("quiet")
    timed.live(websocket, encode_frame(PONG, b"unasked"))
    timed.broker.publish("quiet", "heard")
    assert websocket.receive_frame()[1:] == (TEXT, b"heard")
    assert timed.is_pinged(websocket)


def test_interval_0_turns_it_off(start_broker):
    broker = start_broker("keepalive: { interval: 0, timeout: 1s }\n")
    websocket = broker.websocket("/t/quiet")
    assert live_for(websocket, 3, lambda opcode, payload: None) == []
    broker.publish("quiet", "x")
    assert websocket.receive_text() == "x"
