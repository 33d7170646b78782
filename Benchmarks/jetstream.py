"""Three servers of NATS with JetStream, a stream with three replicas, and a client: the peer of `cluster.py`.

A publication is acknowledged when a majority of the three servers has it. Each server has a consumer to which the stream pushes
everything, without acknowledgements. The files are synced as NATS does by default, every two minutes.
"""
import json
import multiprocessing
import socket
import subprocess
import time

from broker_process import free_port
from deadlines import wait_until

STREAM, SUBJECT = "bench", "bench"


class Client:
    """One connection, which sends and receives in one thread."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        assert self.file.readline().startswith(b"INFO ")
        self.inboxes = 0
        self.send(b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n')
        while self.file.readline() != b"PONG\r\n":
            pass

    def send(self, data):
        self.socket.sendall(data)

    def subscribe(self, subject, number=1):
        self.send(f"SUB {subject} {number}\r\n".encode())

    def receive(self):
        """The payload of the next message."""
        while True:
            line = self.file.readline()
            if line.startswith(b"MSG "):
                return self.file.read(int(line.rsplit(b" ", 1)[1]) + 2)[:-2]
            if line == b"PING\r\n":
                self.send(b"PONG\r\n")
            elif not line:
                raise ConnectionError("NATS has closed the connection")

    def ask(self, subject, **question):
        """The answer of the interface of JetStream; an error of it is one here."""
        self.inboxes += 1
        inbox = f"answer.{id(self)}.{self.inboxes}"
        self.subscribe(inbox, 1000 + self.inboxes)
        data = json.dumps(question).encode()
        self.send(f"PUB $JS.API.{subject} {inbox} {len(data)}\r\n".encode() + data + b"\r\n")
        answer = json.loads(self.receive())
        if "error" in answer:
            raise RuntimeError(f"{subject}: {answer['error']}")
        return answer

    def follow(self, name):
        """Has the stream push what comes from now on to this connection."""
        self.ask(f"CONSUMER.CREATE.{STREAM}", stream_name=STREAM, config={
            "deliver_subject": name, "deliver_policy": "new", "ack_policy": "none", "replay_policy": "instant",
            "mem_storage": True, "num_replicas": 1})
        self.subscribe(name)

    def close(self):
        self.file.close()
        self.socket.close()


class JetStream:
    """The three servers, in a directory."""

    def __init__(self, directory):
        self.ports = [free_port() for _ in range(3)]
        routes = [free_port() for _ in range(3)]
        self.processes = []
        for number, (port, route) in enumerate(zip(self.ports, routes)):
            configuration = directory / f"nats{number}.conf"
            configuration.write_text(
                f"server_name: n{number}\nlisten: 127.0.0.1:{port}\n"
                f'jetstream {{ store_dir: "{directory}/nats{number}" }}\n'
                f"cluster {{ name: bench, listen: 127.0.0.1:{route}, routes: ["
                + ", ".join(f"nats://127.0.0.1:{other}" for other in routes) + "] }\n")
            self.processes.append(subprocess.Popen(
                ["nats-server", "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        try:
            wait_until(self.has_stream, "JetStream", 60)
        except BaseException:
            self.end()
            raise

    def has_stream(self):
        """Whether there is the stream; makes it when the servers have found each other."""
        try:
            client = Client(self.ports[0])
            client.socket.settimeout(5)
            client.ask(f"STREAM.CREATE.{STREAM}", name=STREAM, subjects=[SUBJECT], storage="file", num_replicas=3,
                       retention="limits", discard="old", max_age=0, max_msgs=-1, max_bytes=-1)
            client.close()
            return True
        except (OSError, RuntimeError):
            return False

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()


def latencies(servers, samples):
    """Milliseconds of each message from one server to another, one after another, sorted."""
    publisher, follower = Client(servers.ports[0]), Client(servers.ports[1])
    follower.follow("latency")
    found = []
    for number in range(samples + 100):
        data = str(number).encode()
        begin = time.perf_counter()
        publisher.send(f"PUB {SUBJECT} {len(data)}\r\n".encode() + data + b"\r\n")
        while follower.receive() != data:
            pass
        found.append((time.perf_counter() - begin) * 1000)
    publisher.close()
    follower.close()
    return sorted(found[100:])


def publish(port, name, burst, messages):
    """Publishes in bursts, and waits for the acknowledgements of each."""
    client = Client(port)
    client.subscribe(name)
    one = f"PUB {SUBJECT} {name} 64\r\n".encode() + b"x" * 64 + b"\r\n"
    for _ in range(messages // burst):
        client.send(one * burst)
        for _ in range(burst):
            answer = client.receive()
            if b'"error"' in answer:
                raise RuntimeError(answer.decode())
    client.close()


def read(port, name, messages, has_begun, sends):
    """Receives this many messages."""
    client = Client(port)
    client.follow(name)
    sends.put(name)
    has_begun.wait()
    marker, rest, count = b"$JS.ACK.", b"", 0
    while count < messages:
        data = rest + client.socket.recv(1 << 18)
        count += data.count(marker)
        rest = data[-(len(marker) - 1):]
    client.close()


def throughput(servers, burst, messages, publishers=4):
    """Publications a second, acknowledged and delivered at all servers."""
    each = messages // (len(servers.ports) * publishers) // burst * burst
    count = each * len(servers.ports) * publishers
    has_begun, ready = multiprocessing.Event(), multiprocessing.Queue()
    readers = [
        multiprocessing.Process(target=read, args=(port, f"reader.{number}.{burst}", count, has_begun, ready), daemon=True)
        for number, port in enumerate(servers.ports)]
    writers = [
        multiprocessing.Process(target=publish, args=(port, f"ack.{number}.{part}.{burst}", burst, each), daemon=True)
        for number, port in enumerate(servers.ports) for part in range(publishers)]
    for process in readers:
        process.start()
    for _ in readers:
        ready.get(timeout=60)
    begin = time.monotonic()
    has_begun.set()
    for process in writers:
        process.start()
    for process in writers:
        process.join()
        assert process.exitcode == 0, "a publisher of JetStream has failed"
    took = time.monotonic() - begin
    for process in readers:
        process.join(60)
        assert process.exitcode == 0, "a consumer of JetStream has not received everything"
    return count, took
