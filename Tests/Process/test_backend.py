"""Contract §6, `reactors.backend`: which one sends, the message if there is no io_uring, and that both deliver the same."""

import asyncio
import json
import random
import signal

import pytest
import websockets

import io_uring
from broker_process import free_port
from certificates import Authority
from command_line import run_brokerd
from raw_websocket import CLOSE, TEXT, ConnectionEnded, encode_frame
from secure_broker import client_context


def configured(backend, count=1):
    return f"reactors: {{ count: {count}, backend: {backend} }}\n"


def in_use(broker):
    """The backend that the broker reports."""
    status = broker.control_json("status")
    samples = broker.metrics()
    reactors = {name: samples[f'broker_reactors{{backend="{name}"}}'] for name in ("epoll", "io_uring")}
    other = {"epoll": "io_uring", "io_uring": "epoll"}[status["backend"]]
    assert reactors == {status["backend"]: status["reactors"], other: 0}
    assert f"sending with {status['backend']}\n" in broker.control("status").stdout.decode()
    return status["backend"]


def deliver(broker, subscribers=40):
    """Every subscriber gets all messages, in order."""
    sockets = [broker.topic_socket("all") for _ in range(subscribers)]
    for number in range(20):
        broker.publish("all", f"message {number}")
    for socket in sockets:
        assert [socket.receive_text() for _ in range(20)] == [f"message {number}" for number in range(20)]


@pytest.mark.parametrize("backend", io_uring.backends())
def test_the_configured_backend_is_used(start_broker, backend):
    broker = start_broker(configured(backend, count=2))
    assert in_use(broker) == backend
    deliver(broker)


def test_auto_chooses_the_best_available_backend(start_broker):
    broker = start_broker(configured("auto"))
    assert in_use(broker) == io_uring.backends()[-1]
    deliver(broker)


@pytest.mark.parametrize("answer", ["EPERM", "ENOSYS"])
@pytest.mark.parametrize("backend", ["auto", "epoll"])
def test_falls_back_to_epoll_without_io_uring(start_broker, answer, backend):
    broker = start_broker(configured(backend), wrapper=io_uring.without(answer))
    assert in_use(broker) == "epoll"
    deliver(broker)


@pytest.mark.parametrize("answer, words", [("EPERM", "the kernel forbids it"), ("ENOSYS", "the kernel has none")])
def test_an_unavailable_backend_is_an_error_with_a_reason(tmp_path, answer, words):
    file = tmp_path / "broker.yaml"
    file.write_text(configured("io_uring"))
    arguments = ("--config", str(file), "--data-dir", str(tmp_path / "data"), "--listen", f"127.0.0.1:{free_port()}")
    done = run_brokerd(*arguments, cwd=tmp_path, wrapper=io_uring.without(answer))
    assert done.returncode == 1, done
    assert f"reactors.backend: io_uring is not available here: {words}" in done.stdout
    # The file itself is valid.
    assert run_brokerd(*arguments, "--check", cwd=tmp_path, wrapper=io_uring.without(answer)).returncode == 0


@pytest.mark.parametrize("backend", io_uring.backends())
def test_a_broadcast_reaches_every_kind_of_reader(start_broker, tmp_path, backend):
    """Plain, encrypted and compressed connections, readers that pause, and readers that disconnect in the middle."""
    authority = Authority(tmp_path / "authority")
    identity = authority.sign("server")
    ports = [free_port(), free_port()]
    broker = start_broker(
        configured(backend, count=2) + "compression: { enabled: true, minimum: 0 }\nlimits: { pending: 64MiB }\n"
        f"listen:\n  - address: 127.0.0.1:{ports[0]}\n  - address: 127.0.0.1:{ports[1]}\n"
        f"    tls: {{ certificate: {identity.certificate}, key: {identity.key} }}\n",
        port=ports[0], configured_listen=True)
    numbers = random.Random(backend)
    count = 150
    texts = [f"{number} " + "x" * numbers.randrange(40_000) for number in range(count)]
    context = client_context(authority)

    def connect(kind):
        secure = kind.startswith("tls")
        return websockets.connect(
            f"{'wss' if secure else 'ws'}://localhost:{ports[secure]}/t/all", ssl=context if secure else None,
            compression="deflate" if kind == "compressed" else None, max_size=None,
            max_queue=1 if kind.endswith("slow") else None)

    async def read(kind, socket, half, more):
        received = []
        while len(received) < count:
            received.append(await socket.recv())
            if len(received) == count // 2 and kind in ("slow", "tls-slow", "leaving"):
                half.release()
                if kind == "leaving":
                    return socket.transport.abort()
                await more.wait()
        assert received == texts, kind
        return await socket.close()

    async def run():
        kinds = ["plain"] * 60 + ["tls"] * 15 + ["tls-slow"] * 10 + ["compressed"] * 15 + ["slow"] * 10 + ["leaving"] * 10
        numbers.shuffle(kinds)
        half, more = asyncio.Semaphore(0), asyncio.Event()
        readers = [asyncio.create_task(read(kind, await connect(kind), half, more)) for kind in kinds]
        publisher = await websockets.connect(f"ws://localhost:{ports[0]}/ws", max_queue=None)
        for text in texts:
            await publisher.send(json.dumps({"op": "publish", "topic": "all", "data": text}))
        for _ in range(30):
            await half.acquire()
        more.set()
        await asyncio.gather(*readers)
        await publisher.close()

    asyncio.run(asyncio.wait_for(run(), 120))
    assert in_use(broker) == backend


@pytest.mark.parametrize("backend", io_uring.backends())
def test_a_stalled_reader_does_not_affect_others(start_broker, backend):
    broker = start_broker(configured(backend) + "limits: { pending: 64KiB }\n")
    stalled = [broker.topic_socket("flood", receive_buffer=4096) for _ in range(5)]
    readers = [broker.session() for _ in range(5)]
    for reader in readers:
        reader.subscribe("flood")
    for number in range(300):
        broker.publish("flood", f"{number} " + "y" * 20_000)
        for reader in readers:
            assert reader.expect("message")["data"].startswith(f"{number} ")
    for socket in stalled:
        with pytest.raises(ConnectionEnded):
            while True:
                socket.receive_text()
    assert broker.metrics()['broker_disconnects_total{reason="slow"}'] == len(stalled)


@pytest.mark.parametrize("backend", io_uring.backends())
def test_many_publishers_at_once(start_broker, backend):
    """All are readable when the broker waits for events: whole messages, halves, long ones, a violation, and some that disconnect."""
    broker = start_broker(configured(backend) + "limits: { pending: 64MiB }\n")
    reader = broker.subscription_socket("all/#", "snapshot=false")
    numbers = random.Random(backend)
    publishers = [broker.topic_socket(f"all/{number}", "echo=false") for number in range(200)]
    for publisher in publishers:
        publisher.synchronise()
    assert json.loads(reader.receive_text())["op"] == "live"
    expected = {f"all/{number}": [] for number in range(len(publishers))}
    breaking, leaving = {7, 90}, {13, 14, 180}
    begun = {}
    for round_ in range(6):
        broker.send_signal(signal.SIGSTOP)
        for number, publisher in enumerate(publishers):
            if number in breaking | leaving and round_ > 3:
                continue
            # About what one call reads, and far more.
            size = numbers.choice([1, 64, 4080, 4083, 4084, 4088, 9000, 20_000])
            text = f"{round_} {number} ".ljust(size, "x")
            expected[f"all/{number}"].append(text)
            frame = encode_frame(TEXT, text.encode())
            cut = numbers.choice([len(frame), len(frame), numbers.randrange(1, len(frame))])
            publisher.send_bytes(begun.pop(number, b"") + frame[:cut])
            begun[number] = frame[cut:]
            if round_ == 3 and number in breaking | leaving:
                publisher.send_bytes(begun.pop(number))
                if number in breaking:
                    publisher.send_bytes(encode_frame(TEXT, b"in the clear", masked=False))
                else:
                    publisher.send_bytes(encode_frame(CLOSE, b"\x03\xe8"))
        broker.send_signal(signal.SIGCONT)
    for number, rest in begun.items():
        publishers[number].send_bytes(rest)
    received = {topic: [] for topic in expected}
    for _ in range(sum(map(len, expected.values()))):
        message = json.loads(reader.receive_text())
        received[message["topic"]].append(message["data"])
    assert received == expected
    for number in breaking:
        assert publishers[number].receive_close()[0] == 1002
    for number in leaving:
        assert publishers[number].receive_close()[0] == 1000
    for number in set(range(len(publishers))) - breaking - leaving:
        publishers[number].synchronise()
    assert in_use(broker) == backend
