#!/usr/bin/python3
"""Compares an echo of 64 bytes by this library with those of other Swift libraries.

    Benchmarks/libraries.py [--rounds N] [--seconds S] [--only NAME,…]

Each server has one thread for its sockets and runs alone; in every round each of them gets the same load in turn, from the same
program, which checks every byte. The figure is the CPU time of the whole server process (all threads, user and kernel) for each
message, as /proc says; of the rounds the median is shown. `bytes idle` is what each of 2,000 idle connections, which have echoed one
message each, adds to the resident set of a process that has served some before.

`closure` and `listener` are a closure that reads and one that listens, on Swift's threads, as by default; `…-reactor` the same on
the connection's thread. `machine` is a session without the public API on that thread. `nio-handler` is SwiftNIO by channel
handlers, `nio-async` by its asynchronous channels. Build them with

    swift build -c release --package-path Benchmarks/Libraries --scratch-path .build/libraries
    swift build -c release --package-path Benchmarks --scratch-path .build/benchmarks --product machineecho

HUMMINGBIRD_WEBSOCKET may name a program of yours that is called with a port and echoes at /echo by Hummingbird, with one thread for
sockets. Servers that are missing are left out, and said so.
"""
import argparse
import os
import pathlib
import re
import signal
import statistics
import subprocess
import time

from peers import free_port, starts

BUILD = pathlib.Path(__file__).resolve().parent.parent / ".build/libraries/release"
SERVERS = {
    "closure": ["wstransport-echo", "PORT", "closure", "global"],
    "listener": ["wstransport-echo", "PORT", "listener", "global"],
    "closure-reactor": ["wstransport-echo", "PORT", "closure", "reactor"],
    "listener-reactor": ["wstransport-echo", "PORT", "listener", "reactor"],
    # In another package, because it uses what only the product's own code can.
    "machine": [str(BUILD.parent.parent / "benchmarks/release/machineecho"), "PORT"],
    "nio-handler": ["nio-echo", "PORT", "handler"],
    "nio-async": ["nio-echo", "PORT", "async"],
    "hummingbird": [os.environ.get("HUMMINGBIRD_WEBSOCKET", "hummingbird-echo"), "PORT"],
}
# Connections and messages under way in each.
LOADS = [(1, 1), (1, 50), (100, 1), (100, 50)]
IDLE = 2000


class Server:
    """A server's process, from its start to its end."""

    def __init__(self, name, prefix=()):
        self.port = free_port()
        program, *arguments = [word.replace("PORT", str(self.port)) for word in SERVERS[name]]
        self.process = subprocess.Popen(
            [*prefix, str(BUILD / program), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not starts(self.process, self.port, 60):
            raise SystemExit(f"libraries: {name} does not start")

    def cpu(self):
        """Seconds of CPU, to the microsecond where the kernel says so."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def resident(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Rss:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Load:
    """Connections to a server."""

    def __init__(self, server, connections, depth, seconds, messages=1 << 40):
        self.process = subprocess.Popen(
            [str(BUILD / "echo-load"), *map(str, (server.port, connections, depth, seconds, messages))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("ready")

    def expect(self, word):
        line = self.process.stdout.readline()
        if not line.startswith(word):
            raise SystemExit(f"libraries: {line}")
        return line.split()

    def run(self):
        """How many messages came back, and in how many seconds."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        _, messages, _, seconds = self.expect("messages")
        return int(messages), float(seconds)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def echo(name, connections, depth, seconds):
    """Microseconds of CPU for a message, and messages a second."""
    server = Server(name)
    try:
        load = Load(server, connections, depth, 0.3)
        load.run()
        load.end()
        load = Load(server, connections, depth, seconds)
        before = server.cpu()
        messages, took = load.run()
        spent = server.cpu() - before
        load.end()
        return spent / messages * 1e6, messages / took
    finally:
        server.stop()


def memory(name):
    """Bytes of the resident set for each of 2,000 idle connections."""
    server = Server(name)
    try:
        first = Load(server, 100, 1, 0)
        time.sleep(1)
        before = server.resident()
        load = Load(server, IDLE, 1, 0)
        time.sleep(2)
        after = server.resident()
        load.end()
        first.end()
        return (after - before) / IDLE
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", default=",".join(SERVERS))
    arguments = parser.parse_args()
    names = []
    for name in arguments.only.split(","):
        if (BUILD / SERVERS[name][0]).exists():
            names.append(name)
        else:
            print(f"{name} is left out: {BUILD / SERVERS[name][0]} is missing")
    print(f"{'µs of CPU a message':24}" + "".join(f"{f'{c} × {d}':>12}" for c, d in LOADS) + f"{'bytes idle':>14}")
    rounds = {name: {load: [] for load in LOADS} for name in names}
    for _ in range(arguments.rounds):
        for load in LOADS:
            for name in names:
                rounds[name][load].append(echo(name, *load, arguments.seconds))
    for name in names:
        cells = "".join(f"{statistics.median(cpu for cpu, _ in rounds[name][load]):>12.2f}" for load in LOADS)
        print(f"{name:24}{cells}{memory(name):>14.0f}", flush=True)
    print(f"\n{'messages a second':24}" + "".join(f"{f'{c} × {d}':>12}" for c, d in LOADS))
    for name in names:
        cells = "".join(f"{statistics.median(rate for _, rate in rounds[name][load]):>12.0f}" for load in LOADS)
        print(f"{name:24}{cells}")


if __name__ == "__main__":
    main()
