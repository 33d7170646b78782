#!/usr/bin/python3
"""Measures the cost of many simultaneous clients, which the comparison of Benchmarks/peers.py leaves out.

    Benchmarks/crowds.py [--rounds N] [--only NAME,…]

connections  19,000 subscribers of one process: memory, and a broadcast to all of them, checked by content, order and number
storm        15,000 clients connect at once, each to its own topic with a retained value, while others get live messages
dead         10,000 clients are stopped, so that they send nothing more, and must be evicted
compressed   a broadcast of 1 KiB to 1,000, compressed once for all, and the same one uncompressed
tls          4,000 clients over TLS and as many without, in turn: memory, the opening, a broadcast
rules        100 rules, of which a reload removes one from 10,000 sessions: the time until all are notified, and the wait of another client
"""
import argparse
import base64
import http.client
import json
import multiprocessing
import os
import pathlib
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from peers import BROKERD, HERE, LOAD, free_port, quartiles

INTERVAL, TIMEOUT = 5, 3


class Process:
    """A server at work, until the end of its `with`."""

    def __init__(self, command, port):
        self.port = port
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(60)

    def processor(self):
        """Milliseconds of CPU time that it has used."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e6

    def settle(self):
        """Waits until it uses no more CPU time."""
        before = -1
        while self.processor() != before:
            before = self.processor()
            time.sleep(0.3)

    def load(self, **options):
        arguments = [f"{name}={value}" for name, value in options.items()]
        return subprocess.Popen(
            [str(LOAD), f"port={self.port}", f"process={self.process.pid}", *arguments], stdout=subprocess.PIPE, text=True)

    def measure(self, **options):
        return result(self.load(**options))


class Broker(Process):
    """A brokerd with its default configuration, except for the given settings."""

    def __init__(self, configuration="", tls=None):
        self.folder = tempfile.TemporaryDirectory()
        port = free_port()
        file = pathlib.Path(self.folder.name, "broker.yaml")
        own = f", tls: {{ certificate: {tls.file}, key: {tls.key} }}" if tls else ""
        file.write_text(f"listen: [{{ address: 127.0.0.1:{port}{own} }}]\ndata_dir: {self.folder.name}/data\n{configuration}")
        super().__init__([str(BROKERD), "--config", str(file)], port)
        self.process.stdout.readline()

    def __exit__(self, *_):
        self.process.terminate()
        status = self.process.wait(60)
        self.folder.cleanup()
        if status != 0:
            raise SystemExit(f"crowds: brokerd ended with {status}")

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def control(self, *arguments, **options):
        control = BROKERD.with_name("brokerctl")
        return subprocess.run([str(control), *arguments, "--socket", f"{self.folder.name}/data/admin.sock"],
                              check=True, capture_output=True, text=True, **options).stdout


def result(process, timeout=300):
    """The results of a load: {name: number}; exits if the load found that something is missing."""
    text, _ = process.communicate(timeout=timeout)
    if process.returncode != 0:
        raise SystemExit(f"crowds: {text}")
    return {name: float(value) for name, value in (part.split("=") for part in text.split())}


def show(name, values, unit):
    first, median, third = quartiles(values)
    print(f"| {name} | {short(median)} {unit} ({short(first)}–{short(third)}) |", flush=True)
    return median


def short(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def connections(rounds):
    found = []
    for _ in range(rounds):
        with Broker() as broker:
            found.append(broker.measure(subscribers=19_000, messages=20, warmup=2))
    show("19,000 connections of one process: resident memory a connection", [one["memory"] for one in found], "B")
    show("the same: CPU a delivery, 64 B, one message a turn", [one["server"] / 1000 for one in found], "µs")
    show("the same: p99 of a delivery, of all to the last", [one["p99"] / 1e3 for one in found], "ms")


def storm(rounds):
    arrivals, live, cost = [], [], []
    for _ in range(rounds):
        with Broker() as broker:
            values = "".join(json.dumps({"topic": f"storm/{number}", "data": f"value of client {number}."}) + "\n"
                             for number in range(15_000))
            broker.control("retained", "import", "-", input=values)
            if broker.metrics()["broker_retained_messages"] != 15_000:
                raise SystemExit("crowds: the retained values are not there")
            talk = broker.load(dialect="topic", subscribers=10, publishers=1, rate=100, messages=1500, size=64)
            while broker.metrics()["broker_websockets"] < 11:
                time.sleep(0.05)
            arrivals.append(broker.measure(mode="storm", dialect="retained", subscribers=15_000))
            cost.append(arrivals[-1]["server"] / 1000)
            live.append(result(talk))
    show("15,000 clients at once, each served its retained value: until the last has it", [one["seconds"] for one in arrivals], "s")
    show("the same: until half of them have it", [one["p50"] / 1e6 for one in arrivals], "s")
    show("the same: CPU a client, from accepting it to its value", cost, "µs")
    show("live messages meanwhile (100 a second to 10): p99", [one["p99"] / 1e3 for one in live], "ms")
    show("the same: the latest", [one["max"] / 1e3 for one in live], "ms")


def dead(rounds):
    evicted, cost = [], []
    for _ in range(rounds):
        with Broker(f"keepalive: {{ interval: {INTERVAL}s, timeout: {TIMEOUT}s }}\n") as broker:
            crowd = broker.load(mode="hold", dialect="topic", subscribers=10_000)
            while broker.metrics()["broker_websockets"] < 10_000:
                time.sleep(0.2)
            # All have answered once.
            while broker.metrics()["broker_pings_total"] < 10_000:
                time.sleep(0.2)
            crowd.send_signal(signal.SIGSTOP)
            before = broker.processor()
            time.sleep(INTERVAL + TIMEOUT + 1)
            cost.append(broker.processor() - before)
            evicted.append(broker.metrics()['broker_disconnects_total{reason="dead"}'])
            crowd.kill()
            crowd.wait()
    show(f"10,000 dead peers: evicted after interval + time-out + 1 s ({INTERVAL + TIMEOUT + 1} s)", evicted, "")
    ours = show("the same: CPU of PINGs and evictions", cost, "ms")
    bare = show("a C program that does nothing but send 10,000 PINGs and reset 10,000 connections", bare_dead(rounds), "ms")
    print(f"| PINGs and evictions × C | {ours / bare:.2f} |", flush=True)


def bare_dead(rounds):
    """The kernel's cost for the same: no limits, no timers, no broker."""
    cost = []
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder, "send_only")
        subprocess.run(["cc", "-O2", "-o", program, HERE / "Peers/send_only.c"], check=True)
        for _ in range(rounds):
            port = free_port()
            with Process([str(program), str(port)], port) as server:
                crowd = server.load(mode="hold", dialect="topic", subscribers=10_000)
                sockets = pathlib.Path(f"/proc/{server.process.pid}/fd")
                while len(list(sockets.iterdir())) < 10_000:
                    time.sleep(0.2)
                server.settle()
                crowd.send_signal(signal.SIGSTOP)
                before = server.processor()
                for ask in (signal.SIGUSR1, signal.SIGUSR2):
                    server.process.send_signal(ask)
                    server.settle()
                cost.append(server.processor() - before)
                if len(list(sockets.iterdir())) > 100:
                    raise SystemExit("crowds: send_only has kept connections")
                crowd.kill()
                crowd.wait()
    return cost


def compressed(rounds):
    for burst, messages in ((1, 100), (50, 1000)):
        plain, small = [], []
        with Broker("compression: { enabled: true }\nreactors: { count: 1 }\n") as broker:
            for _ in range(rounds):
                for compress, found in ((0, plain), (1, small)):
                    found.append(broker.measure(subscribers=1000, size=1024, burst=burst, messages=messages,
                                                warmup=2 * burst, compress=compress)["server"])
        ratio = statistics.median(small) / statistics.median(plain)
        print(f"| 1 KiB to 1,000, {burst} a turn: compressed × uncompressed, CPU a delivery | {ratio:.2f} "
              f"({statistics.median(small) / 1000:.3g} and {statistics.median(plain) / 1000:.3g} µs) |", flush=True)


class Certificate:
    """A self-signed certificate for `localhost`."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.file, self.key = (f"{self.folder.name}/{name}.pem" for name in ("own", "key"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", self.key,
                        "-out", self.file], check=True, capture_output=True)
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def tls(rounds):
    plain, secure = {}, {}
    with Certificate() as certificate:
        for _ in range(rounds):
            for found, arguments in ((plain, {}), (secure, {"ca": certificate.file})):
                for burst, messages in ((1, 50), (50, 500)):
                    # A separate broker, so that the next crowd does not reuse the memory of the last one.
                    with Broker("reactors: { count: 1 }\n", tls=certificate if arguments else None) as broker:
                        one = broker.measure(subscribers=4000, publishers=1, burst=burst, messages=messages, warmup=2 * burst,
                                             **arguments)
                    found.setdefault(burst, []).append(one["server"] / 1000)
                    found.setdefault("memory", []).append(one["memory"])
                    found.setdefault("opening", []).append(one["opening"] / 1000)
    show("4,000 idle subscribers over TLS: resident memory a connection", secure["memory"], "B")
    show("the same without TLS", plain["memory"], "B")
    show("opening one over TLS: CPU of its full handshake (P-256) and subscription", secure["opening"], "µs")
    show("the same without TLS", plain["opening"], "µs")
    for burst in (1, 50):
        with_tls, without = statistics.median(secure[burst]), statistics.median(plain[burst])
        print(f"| 64 B to 4,000, {burst} a turn: over TLS × without, CPU a delivery | {with_tls / without:.2f} "
              f"({with_tls:.3g} and {without:.3g} µs) |", flush=True)


def session(port):
    """A JSON session past its welcome."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=60)
    key = base64.b64encode(os.urandom(16)).decode()
    plain.sendall((f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
    wait(plain, b"welcome")
    return plain


def command(plain, text):
    """Sends a command of less than 126 bytes, with a mask of zeros."""
    plain.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)


def wait(plain, word):
    seen = b""
    while word not in seen:
        more = plain.recv(65536)
        if not more:
            raise SystemExit(f"crowds: the connection ended, not with {word!r}: {seen!r}")
        seen = (seen + more)[-4096:]


def stand_by(port, began, ended, answers):
    """Asks for a pong every two milliseconds, and keeps how long each took, in milliseconds."""
    plain, waits = session(port), []
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    began.set()
    while not ended.is_set():
        start = time.monotonic()
        command(plain, b'{"op":"ping"}')
        wait(plain, b"pong")
        waits.append((time.monotonic() - start) * 1000)
        time.sleep(0.002)
    answers.put(waits)


def rules(rounds):
    count, held, told, longest = 10_000, [], [], []
    others = "".join(f"  - {{ role: r{number}, subscribe: ['x{number}/{{user}}/+/#'], publish: ['y{number}/#'] }}\n"
                     for number in range(99))

    def access(own):
        return f"access:\n  anonymous: {{ subscribe: [b, {own}], publish: ['#'] }}\n  rules:\n" + others

    for _ in range(rounds):
        with Broker("limits: { connections: 12000 }\n" + access("'a/#'")) as broker:
            crowd = {}
            for number in range(count):
                plain = session(broker.port)
                command(plain, b'{"op":"subscribe","id":1,"filter":["b","a/%d"]}' % number)
                wait(plain, b'"ok"')
                crowd[plain.fileno()] = plain
            began, ended, answers = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Queue()
            other = multiprocessing.Process(target=stand_by, args=(broker.port, began, ended, answers), daemon=True)
            other.start()
            began.wait(60)
            time.sleep(1)
            poll = select.poll()
            for descriptor in crowd:
                poll.register(descriptor, select.POLLIN)
            file = pathlib.Path(broker.folder.name, "broker.yaml")
            file.write_text(file.read_text().replace(access("'a/#'"), access("'c/#'")))
            start = time.monotonic()
            broker.control("reload")
            held.append((time.monotonic() - start) * 1000)
            left = set(crowd)
            while left:
                for descriptor, _ in poll.poll():
                    wait(crowd[descriptor], b"revoked")
                    poll.unregister(descriptor)
                    left.discard(descriptor)
            told.append((time.monotonic() - start) * 1000)
            ended.set()
            longest.append(max(answers.get(timeout=60)))
            other.join()
            for plain in crowd.values():
                plain.close()
    show("100 rules, a right is taken from 10,000 sessions: until brokerctl reload says that it holds", held, "ms")
    show("the same: until all 10,000 have been told", told, "ms")
    show("the same: longest wait of another client for its pong", longest, "ms")


def main():
    known = {function.__name__: function for function in (connections, storm, dead, compressed, tls, rules)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(known), help="names of figures, with commas between")
    arguments = parser.parse_args()
    for program in (LOAD, BROKERD):
        if not program.exists():
            sys.exit(f"crowds: {program} is missing; make bench builds it")
    print("| figure | value: median (quartiles) |\n|---|---|")
    for name in arguments.only.split(","):
        known[name](arguments.rounds)


if __name__ == "__main__":
    main()
