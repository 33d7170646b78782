"""One client sends as much as it can: the broker's memory is bounded, and the client beside it is served."""

import re
import socket
import threading
import zlib
from pathlib import Path

import pytest

from deadlines import ANSWER_DEADLINE
from raw_websocket import CLOSE, TEXT, encode_frame
from secure_broker import authority, client_context, configuration, identity, shared  # noqa: F401

ONE_REACTOR = "reactors: { count: 1 }\n"
MIB = 1 << 20


class Memory:
    """The resident memory of a broker: how much more than at first it has ever been."""

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
    """Sends while another thread reads; returns what `count_answers` makes of all that came until the broker closed."""
    received = bytearray()

    def read():
        while part := connection.recv(MIB):
            received.extend(part)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    connection.sendall(bytes_)
    reader.join(60)
    assert not reader.is_alive()
    return count_answers(received)


def pipelined(count):
    """So many requests of 1 KiB, which have to be answered one after the other."""
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
    assert memory.growth() < 48 * MIB, "a frame, its rest and half of limits.pending each, not 22 MB each"
    assert broker.metrics()["broker_frames_over_turns_total"] == len(floods)


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
