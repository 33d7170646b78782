#!/usr/bin/python3
"""Measures the cost of a delivery, side by side: bare C, this broker, uWebSockets, NATS, Mosquitto.

    Benchmarks/peers.py [--rounds N] [--quick | --pairs] [--only NAME,…]

Each server runs alone on its own port; in every round each of them gets the same load in turn, so that other
load of the machine affects all of them. The figure is the CPU time of the whole server process (all threads, user and kernel) for each delivered
message, from /proc; the median and the quartiles of the rounds are shown, and the ratio of the medians to that of the C program.
Every subscriber checks content, order and number of what it gets. `C` has a `send` for each subscriber, `C, io_uring` one call for
many, like the broker. Servers that are not installed are reported and left out. `broker` has one reactor, and io_uring if
the machine has it; `broker-epoll` is the same with a `send` for each connection, `broker-2` has two reactors.
"""
import argparse
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parent / ".build"
LOAD = BUILD / "benchmarks/release/peerload"
BROKERD = pathlib.Path(os.environ.get("BROKERD", BUILD / "release/brokerd"))


class Server:
    """A server's process, from its start to its end."""

    def __init__(self, name, dialects, command, folder):
        self.name, self.dialects, self.folder = name, dialects, folder
        self.port = free_port()
        self.log = open(pathlib.Path(folder, f"{name}.log"), "wb")
        self.process = subprocess.Popen(command(self.port), stdout=self.log, stderr=self.log, cwd=folder)
        if not starts(self.process, self.port, 20):
            raise SystemExit(f"peers: {name} does not start: {pathlib.Path(self.log.name).read_text()}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def broker(reactors, backend="auto"):
    def command(port):
        name = f"{reactors}-{backend}"
        pathlib.Path(f"broker-{name}.yaml").write_text(
            f"listen: [{{ address: 127.0.0.1:{port} }}]\ndata_dir: ./data-{name}\n"
            f"reactors: {{ count: {reactors}, backend: {backend} }}\n")
        return [str(BROKERD), "--config", f"broker-{name}.yaml"]
    return command


def nats(port):
    pathlib.Path("nats.conf").write_text(
        f'listen: 127.0.0.1:{free_port()}\nwebsocket {{ listen: "127.0.0.1:{port}", no_tls: true }}\n')
    return ["nats-server", "-c", "nats.conf"]


def nats_tcp(port):
    pathlib.Path("nats-tcp.conf").write_text(f"listen: 127.0.0.1:{port}\n")
    return ["nats-server", "-c", "nats-tcp.conf"]


def mosquitto(port):
    pathlib.Path("mosquitto.conf").write_text(
        # It does not start with a WebSocket listener only.
        f"listener {free_port()} 127.0.0.1\nlistener {port} 127.0.0.1\nsocket_domain ipv4\nprotocol websockets\n"
        "allow_anonymous true\nset_tcp_nodelay true\n")
    return ["mosquitto", "-c", "mosquitto.conf"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def starts(process, port, patience):
    """Waits until a server accepts connections; False if it ends before, or takes longer than so many seconds."""
    deadline = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def socketify_python():
    """A Python that has socketify; `None` if there is none."""
    for python in (os.environ.get("SOCKETIFY_PYTHON"), "python3"):
        if python and subprocess.run([python, "-c", "import socketify"], capture_output=True).returncode == 0:
            return python
    return None


def compiled(name, folder):
    program = pathlib.Path(folder, name)
    subprocess.run(["cc", "-O2", "-o", program, HERE / f"Peers/{name}.c"], check=True)
    return program


def has_ring(program):
    """Whether the machine has the io_uring that this needs."""
    process = subprocess.Popen([program, str(free_port()), "ring"], stderr=subprocess.DEVNULL)
    try:
        return process.wait(0.5) == 0
    except subprocess.TimeoutExpired:
        return True
    finally:
        process.kill()
        process.wait()


def servers(folder, only):
    os.chdir(folder)
    send_only = compiled("send_only", folder)
    python = socketify_python()
    known = [
        ("C", ["topic"], lambda port: [str(send_only), str(port)], True),
        ("C, io_uring", ["topic"], lambda port: [str(send_only), str(port), "ring"], has_ring(send_only)),
        ("broker", ["topic", "json"], broker(1), True),
        ("broker-epoll", ["topic"], broker(1, "epoll"), True),
        ("broker-2", ["topic"], broker(2), True),
        ("uWebSockets", ["topic"], lambda port: [python, str(HERE / "Peers/uwebsockets.py"), str(port)], python),
        ("NATS", ["nats"], nats, shutil.which("nats-server")),
        ("Mosquitto", ["mqtt"], mosquitto, shutil.which("mosquitto")),
    ]
    found = []
    for name, dialects, command, there in known:
        if only and name not in only:
            continue
        if not there:
            print(f"peers: {name} is not installed and is left out", file=sys.stderr)
            continue
        found.append(Server(name, dialects, command, folder))
    return found


def run(server, dialect, **options):
    """One run: {name: number}; `None` if the server did not deliver everything."""
    arguments = [f"{name}={value}" for name, value in options.items()]
    answer = subprocess.run(
        [str(LOAD), f"dialect={dialect}", f"port={server.port}", f"process={server.process.pid}", *arguments],
        capture_output=True, text=True, timeout=300)
    if answer.returncode != 0:
        print(f"peers: {server.name}: {answer.stdout.strip()}{answer.stderr.strip()}", file=sys.stderr)
        return None
    return {name: float(value) for name, value in (part.split("=") for part in answer.stdout.split())}


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, median, third


# The loads of one publisher with one subscriber, and of a hundred with one each.
PAIRS = [
    ("Pipelined, 1 → 1: one publisher, one subscriber, 50 messages of 64 B a turn",
     {"subscribers": 1, "publishers": 1, "burst": 50, "messages": 100_000, "warmup": 500}),
    ("100 pairs, each with its own topic, bursts of 10 messages of 64 B",
     {"subscribers": 100, "publishers": 100, "burst": 10, "messages": 200_000, "warmup": 50}),
]


def pairs(rounds, folder, all_servers):
    """The cost of a publication, compared with NATS over WebSocket and TCP."""
    by_name = {server.name: server for server in all_servers}
    compared = [(by_name[name], dialect, label) for name, dialect, label in (
        ("NATS", "nats", "NATS, WebSocket"), ("broker", "topic", "broker, topic socket"),
        ("broker", "json", "broker, `/ws` JSON")) if name in by_name]
    tcp = None
    if "NATS" in by_name:
        tcp = Server("NATS-TCP", ["nats-tcp"], nats_tcp, folder)
        compared.append((tcp, "nats-tcp", "NATS, TCP"))
    try:
        for title, options in PAIRS:
            print(f"\n### {title}\n\n| | CPU a message, µs: median (quartiles) | × the first | p50 ms | p99 ms |")
            print("|---|---|---|---|---|")
            found = {label: [] for _, _, label in compared}
            for _ in range(rounds):
                for server, dialect, label in compared:
                    if result := run(server, dialect, size=64, paired=1, **options):
                        found[label].append(result)
            base = None
            for label, results in found.items():
                if not results:
                    continue
                first, median, third = quartiles([result["server"] / 1000 for result in results])
                base = base or median
                p50, p99 = (statistics.median(result[p] for result in results) / 1000 for p in ("p50", "p99"))
                print(f"| {label} | {median:.3g} ({first:.3g}–{third:.3g}) | {median / base:.2f} | {p50:.2f} | {p99:.2f} |",
                      flush=True)
    finally:
        if tcp:
            tcp.stop()


def table(title, rounds, all_servers, options, is_first):
    """Runs the rounds of one load and prints them as a table; memory only grows, so only the first round shows it."""
    print(f"\n### {title}\n")
    print("| | CPU a delivery, µs: median (quartiles) | × C | p50 ms | p99 ms |" + (" memory a connection |" if is_first else ""))
    print("|---|---|---|---|---|" + ("---|" if is_first else ""))
    found = {}
    for _ in range(rounds):
        for server in all_servers:
            for dialect in server.dialects:
                result = run(server, dialect, **options)
                if result:
                    found.setdefault((server.name, dialect), []).append(result)
    base = None
    for (name, dialect), results in found.items():
        first, median, third = quartiles([result["server"] / 1000 for result in results])
        base = base or median
        label = name + (", `/ws` JSON with a wildcard" if dialect == "json" else ", topic socket" if name.startswith("broker") else "")
        p50, p99 = (statistics.median(result[p] for result in results) / 1000 for p in ("p50", "p99"))
        memory = f" {results[0]['memory']:.0f} B |" if is_first and dialect != "json" else " – |" if is_first else ""
        print(f"| {label} | {median:.3g} ({first:.3g}–{third:.3g}) | {median / base:.2f} | {p50:.1f} | {p99:.1f} |{memory}",
              flush=True)


def others(rounds, all_servers):
    """The goals besides fan-out: fan-in and start. stored.py has those of the disk."""
    by_name = {server.name: server for server in all_servers}
    broker = by_name.get("broker")
    if not broker:
        return
    print("\n### Other figures\n\n| figure | value: median (quartiles) |\n|---|---|")

    def show(name, values, unit):
        first, median, third = quartiles(values)
        print(f"| {name} | {median:.3g} {unit} ({first:.3g}–{third:.3g}) |", flush=True)
        return median

    def measure(compared, key, **options):
        """The values of each server, in interleaved rounds."""
        values = {server.name: [] for server, _ in compared}
        for _ in range(rounds):
            for server, dialect in compared:
                result = run(server, dialect, subscribers=1 if dialect == "json" else 0, warmup=10, **options)
                if result:
                    values[server.name].append(result[key])
        return values

    epoll, sockets = by_name.get("broker-epoll"), by_name.get("uWebSockets")
    compared = [(broker, "json")] + [(epoll, "json")] * bool(epoll) + [(sockets, "echo")] * bool(sockets)
    costs = measure(compared, "server", publishers=200, messages=40_000)
    costs = {name: [value / 1000 for value in values] for name, values in costs.items()}
    fan_in = show("fan-in of 200 publishers (`/ws`) to one subscriber, CPU a message", costs["broker"], "µs")
    if epoll:
        show("the same, with a `recv` for each (epoll)", costs["broker-epoll"], "µs")
    if sockets:
        echo = show("uWebSockets, echo to 200 clients, CPU a message", costs["uWebSockets"], "µs")
        print(f"| fan-in × echo | {fan_in / echo:.2f} |")
    show("start with an empty store to the first connection accepted", [start_time() for _ in range(rounds * 2)], "ms")


def receiving(rounds, folder):
    """The saving of io_uring for incoming bytes, by a C program that echoes each message."""
    program = compiled("echo_only", folder)
    if not has_ring(program):
        return print("peers: no io_uring, so echo_only is left out", file=sys.stderr)
    ways = {"epoll": "`recv` and `send` for each", "sends": "`recv` for each, one call for all sends",
            "turn": "one call for all receives, one for all sends", "ring": "receives that stay asked for, and sends"}
    print("\n### Receiving by io_uring: C, echo, CPU a message\n\n| |" + "".join(
        f" {clients} clients, µs: median (quartiles) | × the first |" for clients in (200, 1000)))
    print("|---|" + "---|---|" * 2)
    running = [Server(f"echo-{way}", ["echo"], lambda port, way=way: [str(program), str(port), way], folder) for way in ways]
    found = {}
    try:
        for clients in (200, 1000):
            for _ in range(rounds):
                for server in running:
                    result = run(server, "echo", subscribers=0, publishers=clients, messages=100_000, warmup=10)
                    if result:
                        found.setdefault((server.name, clients), []).append(result["server"] / 1000)
    finally:
        for server in running:
            server.stop()
    for way, label in ways.items():
        cells = ""
        for clients in (200, 1000):
            first, median, third = quartiles(found[f"echo-{way}", clients])
            cells += f" {median:.3g} ({first:.3g}–{third:.3g}) | {median / statistics.median(found['echo-epoll', clients]):.2f} |"
        print(f"| {label} |{cells}", flush=True)


def start_time():
    """Milliseconds from starting brokerd to its accepting a connection."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        begin = time.monotonic()
        process = subprocess.Popen([str(BROKERD), "--listen", f"127.0.0.1:{port}", "--data-dir", f"{folder}/data"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    return (time.monotonic() - begin) * 1000
                except ConnectionRefusedError:
                    if process.poll() is not None:
                        raise SystemExit("peers: brokerd does not start")
                    time.sleep(0.0005)
        finally:
            process.terminate()
            process.wait(10)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", action="store_true", help="what a publication costs only, beside NATS")
    parser.add_argument("--quick", action="store_true", help="1,000 subscribers and 64 bytes only")
    parser.add_argument("--only", default="", help="names of servers, with commas between")
    arguments = parser.parse_args()
    for program in (LOAD, BROKERD):
        if not program.exists():
            sys.exit(f"peers: {program} is missing; make bench builds it")
    with tempfile.TemporaryDirectory() as folder:
        all_servers = servers(folder, [name for name in arguments.only.split(",") if name])
        is_first = True
        try:
            if arguments.pairs:
                return pairs(arguments.rounds, folder, all_servers)
            for subscribers in (1000,) if arguments.quick else (1000, 5000):
                for size in (64,) if arguments.quick else (64, 1024):
                    for burst, messages in ((1, 100_000 // subscribers), (50, 1_000_000 // subscribers)):
                        pace = "one message a turn" if burst == 1 else f"{burst} messages a turn"
                        table(f"{subscribers} subscribers, {size} B, {pace}", arguments.rounds, all_servers,
                              {"subscribers": subscribers, "size": size, "burst": burst, "messages": messages,
                               "warmup": burst * 2}, is_first)
                        is_first = False
            pairs(arguments.rounds, folder, all_servers)
            others(arguments.rounds, all_servers)
            if not arguments.only:
                receiving(arguments.rounds, folder)
        finally:
            for server in all_servers:
                server.stop()


if __name__ == "__main__":
    main()
