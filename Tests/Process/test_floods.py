"""One client sends as much as it can: the broker's memory is bounded, and another client is served meanwhile."""

import re
import select
import socket
import ssl
import threading
import time
import zlib
from pathlib import Path

import pytest

from deadlines import ANSWER_DEADLINE, wait_until
from raw_websocket import BINARY, CLOSE, TEXT, encode_frame
from secure_broker import authority, client_context, configuration, identity, shared  # noqa: F401

ONE_REACTOR = "reactors: { count: 1 }\n"
MIB = 1 << 20


class Memory:
    """The resident memory of a broker: its highest rise over the start."""

    def __init__(self, broker):
        self.path = Path(f"/proc/{broker.process.pid}/status")
        self.first = self._read("VmRSS")

    def _read(self, name):
        return int(re.search(rf"{name}:\s+(\d+) kB", self.path.read_text())[1]) * 1024

    def growth(self):
        return self._read("VmHWM") - self.first


class Neighbour(threading.Thread):
    """A client of the same reactor, which asks and is answered, all the time."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.session = broker.session()
        self.answers, self.failure, self.is_stopping = 0, None, False

    def run(self):
        try:
            while not self.is_stopping:
                assert self.session.request(op="ping")["op"] == "pong"
                self.answers += 1
        except BaseException as failure:
            self.failure = failure

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_stopping = True
        self.join(ANSWER_DEADLINE)
        assert self.failure is None and self.answers > 0


def pour(connection, bytes_, count_answers):
    """Sends and reads; returns what `count_answers` makes of all that came until the broker closed."""
    # One thread: an SSL object must not be read and written at once.
    received, left, end = bytearray(), memoryview(bytes_), time.monotonic() + 60
    connection.setblocking(False)
    waits = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
    poll = select.poll()
    while True:
        assert time.monotonic() < end, f"{len(left)} bytes are not taken, {len(received)} have come"
        poll.register(connection, select.POLLIN | (select.POLLOUT if left else 0))
        poll.poll(100)
        try:
            while left:
                left = left[connection.send(left[:1 << 16]):]
        except waits:
            pass
        try:
            while part := connection.recv(MIB):
                received.extend(part)
            break
        except waits:
            pass
    return count_answers(received)


def pipelined(count):
    """Requests of 1 KiB, which must be answered one after the other."""
    head = b"POST /t/flood HTTP/1.1\r\nHost: localhost\r\nX: %s\r\nContent-Length: 1\r\n" % (b"x" * 950)
    return (head + b"\r\nx") * (count - 1) + head + b"Connection: close\r\n\r\nx"


def test_pipelined_requests_wait_in_the_kernel(start_broker):
    broker = start_broker(ONE_REACTOR)
    memory, count = Memory(broker), 30_000
    with Neighbour(broker):
        plain = broker.connect(timeout=60)
        assert pour(plain, pipelined(count), lambda bytes_: bytes_.count(b"HTTP/1.1 200 ")) == count
    assert memory.growth() < 8 * MIB, "one reading of 64 KiB waits, not 30 MB"


def test_pipelined_requests_over_tls_wait_in_the_kernel(start_broker, authority, identity):  # noqa: F811
    from broker_process import free_port
    port = free_port()
    broker = start_broker(configuration(port, identity) + ONE_REACTOR, port=port, configured_listen=True)
    memory, count = Memory(broker), 30_000
    plain = client_context(authority).wrap_socket(
        socket.create_connection(("127.0.0.1", port), timeout=60), server_hostname="localhost",
        suppress_ragged_eofs=True)
    assert pour(plain, pipelined(count), lambda bytes_: bytes_.count(b"HTTP/1.1 200 ")) == count
    assert memory.growth() < 8 * MIB


def test_frames_whose_answers_are_larger_wait_in_the_kernel(start_broker):
    broker = start_broker(ONE_REACTOR + "limits: { pending: 8KiB }\n")
    count = 30_000
    websocket = broker.websocket("/ws")
    memory = Memory(broker)
    frame = encode_frame(TEXT, b'{"op":"%s"}' % (b"x" * 300))
    with Neighbour(broker):
        answers = pour(websocket.plain, frame * count + encode_frame(CLOSE),
                       lambda bytes_: bytes_.count(b'"op":"error"'))
    assert answers == count
    assert memory.growth() < 6 * MIB, "one reading of 64 KiB waits, not 9 MB"


def test_a_frame_of_many_commands_waits_for_its_reader(start_broker):
    broker = start_broker(ONE_REACTOR)
    floods = [broker.websocket("/ws", receive_buffer=1 << 16) for _ in range(10)]
    memory = Memory(broker)
    with Neighbour(broker) as neighbour:
        for websocket in floods:
            websocket.send_frame(TEXT, b"{}\n" * (MIB // 3))
        answered = neighbour.answers
        while neighbour.answers < answered + 100 and neighbour.is_alive():
            broker.session().close()
    wait_until(lambda: broker.metrics()["broker_frames_over_turns_total"] == len(floods), "every frame in several turns")
    assert memory.growth() < 48 * MIB, "a frame, its rest and half of limits.pending each, not 22 MB each"


def test_a_small_frame_of_many_commands_waits_for_its_reader(start_broker):
    broker = start_broker(ONE_REACTOR + "compression: { enabled: true }\n")
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    lines = compressor.compress(b"{}\n" * (MIB // 3)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    floods = [broker.websocket("/ws", headers=headers, receive_buffer=1 << 16) for _ in range(10)]
    memory = Memory(broker)
    with Neighbour(broker) as neighbour:
        for websocket in floods:
            websocket.send_frame(TEXT, lines[:-4], reserved=4)
        answered = neighbour.answers
        while neighbour.answers < answered + 100 and neighbour.is_alive():
            broker.session().close()
    assert memory.growth() < 48 * MIB


def test_a_frame_goes_on_when_its_answers_are_taken(broker):
    websocket = broker.websocket("/ws")
    count = 40_000
    frame = encode_frame(TEXT, b"\n".join(b'{"op":"ping","id":%d}' % number for number in range(count)))
    bytes_ = pour(websocket.plain, frame + encode_frame(CLOSE), bytes)
    assert [int(number) for number in re.findall(rb'"id":(\d+)', bytes_)] == list(range(count))


@pytest.mark.parametrize("operation", ["subscribe", "unsubscribe"])
def test_a_list_of_filters_is_at_most_as_long_as_a_client_may_have(broker, operation):
    session = broker.session()
    session.subscribe([f"f/{number}" for number in range(1000)], snapshot=False)
    with Neighbour(broker):
        answer = session.request(op=operation, filter=["f/999"] * 100_000)
    assert answer["code"] == "limit-exceeded"


# All clients together


def send_what_is_taken(plain, bytes_):
    """Sends until all is sent, or the broker ends it."""
    try:
        plain.sendall(bytes_)
    except OSError:
        pass


def begin_message(websocket, count):
    """A message of 1 MiB, of which only some bytes come."""
    send_what_is_taken(websocket.plain, encode_frame(BINARY, bytes(MIB))[:14 + count])


def test_unfinished_messages_are_held_to_the_limit(start_broker):
    broker = start_broker(ONE_REACTOR + "limits: { memory: 4MiB }\n")
    floods = [broker.topic_socket("a") for _ in range(40)]
    memory = Memory(broker)
    with Neighbour(broker):
        for websocket in floods:
            begin_message(websocket, MIB - 1)
    assert memory.growth() < 24 * MIB, "not 40 MiB and more"


def test_unread_messages_are_held_to_the_limit(start_broker):
    broker = start_broker(ONE_REACTOR + "limits: { memory: 8MiB, pending: 64MiB }\n")
    readers = [broker.topic_socket(f"flood/{number}", receive_buffer=4096) for number in range(8)]
    publishers = [broker.topic_socket(f"flood/{number}", "echo=false&snapshot=false") for number in range(8)]
    memory = Memory(broker)
    with Neighbour(broker):
        for _ in range(12):
            for publisher in publishers:
                send_what_is_taken(publisher.plain, encode_frame(BINARY, bytes(1_000_000)))
    assert len(readers) == 8 and memory.growth() < 40 * MIB, "not 96 MB less what the kernel takes"


def test_a_client_that_holds_the_most_is_told_and_counted(start_broker):
    broker = start_broker(ONE_REACTOR + "limits: { memory: 1MiB }\n")
    small, large = broker.topic_socket("a"), broker.topic_socket("a")
    begin_message(small, 100_000)
    begin_message(large, MIB - 1)
    assert large.receive_close()[0] == 4429
    broker.wait_for_line("clients held too much.* limit=limits.memory")
    assert broker.metrics()['broker_disconnects_total{reason="memory"}'] == 1


def test_above_four_fifths_of_the_limit_newcomers_are_refused(start_broker):
    broker = start_broker(ONE_REACTOR + "limits: { memory: 4608KiB }\n")
    floods = [broker.topic_socket("a") for _ in range(4)]
    for websocket in floods:
        begin_message(websocket, 1_000_000)

    def is_refused():
        answer = broker.http("GET", "/t/none")
        return answer.status == 503 and answer.headers["retry-after"] == "5"

    wait_until(is_refused, "a refusal")
    assert broker.control("status").returncode == 0
    for websocket in floods:
        websocket.close()
    wait_until(lambda: broker.http("GET", "/t/none").status == 404, "room")


def test_a_message_has_its_time_as_a_body_has(start_broker):
    broker = start_broker("limits: { handshake_timeout: 200ms, message: 1KiB }\n")
    websocket = broker.topic_socket("a")
    websocket.plain.sendall(encode_frame(BINARY, b"x" * 1000)[:500])
    assert websocket.receive_close() == (1008, "the message did not arrive in time")
    assert broker.metrics()['broker_disconnects_total{reason="unfinished"}'] == 1
