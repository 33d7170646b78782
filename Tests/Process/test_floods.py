"""One client sends as much as it can: the broker's memory is bounded, and another client is served meanwhile."""

import json
import re
import select
import signal
import socket
import ssl
import threading
import time
import zlib
from pathlib import Path

import pytest

from deadlines import ANSWER_DEADLINE, wait_until
from floods import measure
from json_session import JSONSession
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


def processor_time(broker):
    """The processor time of the broker's threads so far, in nanoseconds."""
    tasks = Path(f"/proc/{broker.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


class Neighbour(threading.Thread):
    """A client on the same reactor that sends requests all the time."""

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
    """Sends and reads; returns the result of `count_answers` for everything received until the broker closed."""
    # One thread: an SSL object must not be read and written at once.
    received, left, end = bytearray(), memoryview(bytes_), time.monotonic() + 240
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


def test_a_pipelined_request_costs_the_same_however_many_follow(start_broker):
    broker = start_broker(ONE_REACTOR)

    def cost(count):
        begin = processor_time(broker)
        assert pour(broker.connect(), pipelined(count), lambda bytes_: bytes_.count(b"HTTP/1.1 200 ")) == count
        return processor_time(broker) - begin

    cost(1000)
    few, many = cost(5000), cost(20_000)
    assert many < 8 * few, "four times as much, not sixteen times"


def test_subscribing_again_costs_the_same_however_many_subscriptions_begin(start_broker):
    """Their retained values have not been read, so each waits for the one before it."""
    broker = start_broker(ONE_REACTOR)
    for number in range(8):
        broker.publish(f"large/{number}", b"x" * 900_000, "retain")

    def cost(waiting):
        session = JSONSession(broker.websocket("/ws", receive_buffer=1 << 16))
        filters = ["large/#"] + [f"f/{number}" for number in range(waiting)]
        commands = [{"op": "subscribe", "id": 0, "filter": filters}]
        commands += [{"op": "subscribe", "id": 1, "filter": f"f/{number % 10}"} for number in range(5000)]
        commands += [{"op": "ping", "id": 2}]
        begin = processor_time(broker)
        session.websocket.send_text("\n".join(json.dumps(command) for command in commands))
        answers = [session.receive()]
        while answers[-1]["op"] != "pong":
            answers.append(session.receive())
        assert len([one for one in answers if one["op"] == "ok"]) == 5001
        taken = processor_time(broker) - begin
        session.close()
        return taken

    cost(10)
    few, many = cost(10), cost(990)
    assert many < 6 * few, "not twenty times"


def test_an_ephemeral_value_beyond_the_limit_costs_the_same_however_many_there_are(start_broker):
    """Others may have removed some of the client's values, which is not looked up for each refusal."""

    def cost(values):
        broker = start_broker(ONE_REACTOR + f"limits: {{ ephemeral_values: {values}, ephemeral_bytes: 1MiB }}\n")
        session = broker.session()
        commands = [
            {"op": "publish", "topic": f"who/{number}", "data": 1, "ephemeral": True} for number in range(values + 40_000)]
        for command in commands[:values]:
            session.send(**command)
        assert session.request(op="ping")["op"] == "pong"
        begin = processor_time(broker)
        for start in range(values, len(commands), 10_000):
            session.websocket.send_text("\n".join(json.dumps(command) for command in commands[start:start + 10_000]))
            refused = [session.receive() for _ in range(10_000)]
            assert {answer["code"] for answer in refused} == {"limit-exceeded"}
        return processor_time(broker) - begin

    few, many = cost(10), cost(1000)
    assert many < 6 * few, "not a hundred times"


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


def test_a_long_frame_continues_when_its_answers_are_read(broker):
    websocket = broker.websocket("/ws")
    count = 40_000
    frame = encode_frame(TEXT, b"\n".join(b'{"op":"ping","id":%d}' % number for number in range(count)))
    bytes_ = pour(websocket.plain, frame + encode_frame(CLOSE), bytes)
    assert [int(number) for number in re.findall(rb'"id":(\d+)', bytes_)] == list(range(count))


@pytest.mark.parametrize("operation", ["subscribe", "unsubscribe"])
def test_a_list_of_filters_is_limited_like_subscriptions(broker, operation):
    session = broker.session()
    session.subscribe([f"f/{number}" for number in range(1000)], snapshot=False)
    with Neighbour(broker):
        answer = session.request(op=operation, filter=["f/999"] * 100_000)
    assert answer["code"] == "limit-exceeded"


# The floods without a separate test above, as `make floods` measures them


# In MiB, and what makes up most of it.
BOUNDS = {
    "subscribe-again": (24, "2 clients: a frame of 1 MiB, its rest, half of limits.pending"),
    "subscribe-arrays": (24, "the same"),
    "huge-array": (48, "2 clients: a frame of 1 MiB, and 100,000 filters that are compared"),
    "publish-lines": (48, "2 clients: a frame of 1 MiB, and what half of it makes"),
    "unread-snapshots": (192, "1,100 followers: a piece of 64 KiB of a snapshot, and a buffer of as much"),
    "silent-connections": (16, "limits.connections: 200"),
    "wildcards": (24, "10,000 filters"),
    "deep-wildcards": (192, "100,000 filters of 31 levels"),
    "deep-wildcards-behind": (320, "the same, and limits.pending of each client"),
    "comers-and-goers": (16, "nothing stays"),
}


@pytest.mark.parametrize("kind", BOUNDS)
def test_a_flood_takes_no_more_memory_than_its_limits(kind):
    rose, _, waits = measure(kind, 2)
    bound, why = BOUNDS[kind]
    assert rose < bound, why
    assert waits, "another client is served"


# All clients together


def send_until_blocked(plain, bytes_):
    """Sends everything, or stops when the broker closes."""
    try:
        plain.sendall(bytes_)
    except OSError:
        pass


def begin_message(websocket, count):
    """Begins a message of 1 MiB, and sends only some bytes of it."""
    send_until_blocked(websocket.plain, encode_frame(BINARY, bytes(MIB))[:14 + count])


def test_unfinished_messages_count_towards_the_memory_limit(start_broker):
    broker = start_broker(ONE_REACTOR + "limits: { memory: 4MiB }\n")
    floods = [broker.topic_socket("a") for _ in range(40)]
    memory = Memory(broker)
    with Neighbour(broker):
        for websocket in floods:
            begin_message(websocket, MIB - 1)
    assert memory.growth() < 24 * MIB, "not 40 MiB and more"


def test_unread_messages_count_towards_the_memory_limit(start_broker):
    broker = start_broker(ONE_REACTOR + "limits: { memory: 8MiB, pending: 64MiB }\n")
    readers = [broker.topic_socket(f"flood/{number}", receive_buffer=4096) for number in range(8)]
    publishers = [broker.topic_socket(f"flood/{number}", "echo=false&snapshot=false") for number in range(8)]
    memory = Memory(broker)
    with Neighbour(broker):
        for _ in range(12):
            for publisher in publishers:
                send_until_blocked(publisher.plain, encode_frame(BINARY, bytes(1_000_000)))
    assert len(readers) == 8 and memory.growth() < 40 * MIB, "not 96 MB less what the kernel takes"


def test_the_client_that_holds_the_most_is_closed_and_counted(start_broker):
    broker = start_broker(ONE_REACTOR + "limits: { memory: 1MiB }\n")
    small, large = broker.topic_socket("a"), broker.topic_socket("a")
    begin_message(small, 100_000)
    begin_message(large, MIB - 1)
    assert large.receive_close()[0] == 4429
    broker.wait_for_line("clients used too much.* limit=limits.memory")
    assert broker.metrics()['broker_disconnects_total{reason="memory"}'] == 1


def test_a_lowered_limit_closes_clients_above_it(start_broker):
    broker = start_broker(ONE_REACTOR + "limits: { memory: 64MiB }\n")
    small, large = broker.topic_socket("a"), broker.topic_socket("a")
    frame = encode_frame(BINARY, bytes(200_000))
    send_until_blocked(small.plain, frame[:100_000])
    begin_message(large, MIB - 1)
    wait_until(lambda: broker.metrics()["broker_held_bytes"] > MIB, "both to be held")
    broker.config_file.write_text(ONE_REACTOR + "limits: { memory: 1MiB }\n")
    broker.send_signal(signal.SIGHUP)
    assert large.receive_close()[0] == 4429
    metrics = broker.metrics()
    assert metrics['broker_disconnects_total{reason="memory"}'] == 1 and metrics["broker_held_limit_bytes"] == MIB
    send_until_blocked(small.plain, frame[100_000:])
    assert small.receive_message()[1] == bytes(200_000)


def test_new_clients_are_refused_above_four_fifths_of_the_limit(start_broker):
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


def test_an_incomplete_message_times_out(start_broker):
    broker = start_broker("limits: { handshake_timeout: 2s, message: 1KiB }\n")
    websocket = broker.topic_socket("a")
    websocket.plain.sendall(encode_frame(BINARY, b"x" * 1000)[:500])
    assert websocket.receive_close() == (1008, "the message did not arrive in time")
    assert broker.metrics()['broker_disconnects_total{reason="unfinished"}'] == 1
