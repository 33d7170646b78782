"""A real engine on loopback: a primary, two replicas that follow it, and three sentinels."""

import os
import selectors
import shutil
import socket
import subprocess
import threading
import time

from broker_process import free_port
from deadlines import ANSWER_DEADLINE, wait_until

REDIS = shutil.which("redis-server")
NAME = "mymaster"


class Server:
    """One process of the engine.

    With a network it connects from its own address, and is reached at another port than its own, so that each path
    between two processes can be cut.
    """

    def __init__(self, directory, options, sentinel=False, network=None, address=None, environment=None):
        self.port = free_port()
        self.address, self.is_sentinel = address, sentinel
        self.environment = dict(environment or {})
        self.directory = directory
        directory.mkdir(parents=True)
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), *options]
        # The port at which the others reach it.
        self.announced, self.paths = self.port, {}
        if network:
            self.announced = free_port()
            network.gate(self.announced, self.port, self.path_from)
            words += ["--bind-source-addr", address]
            self.network, self.paths["127.0.0.1"] = network, network.path()
        if sentinel:
            lines = f"sentinel announce-ip 127.0.0.1\nsentinel announce-port {self.announced}\n" if network else ""
            (directory / "sentinel.conf").write_text(lines)
            words = [str(directory / "sentinel.conf"), "--sentinel", *words]
        elif network:
            words += ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port", str(self.announced),
                      "--enable-debug-command", "yes"]
        self.command = [REDIS, *words]
        self.process = None

    def path_from(self, address):
        return self.paths.get(address) or self.paths["127.0.0.1"]

    def start(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | self.environment)
        wait_until(self.answers, f"redis-server on port {self.port}")
        return self

    def answers(self):
        assert self.process.poll() is None, (self.directory / "log").read_text()[-2000:]
        try:
            return "PONG" in self.ask("PING")
        except OSError:
            return False

    def ask(self, *words, timeout=10):
        """The server's answer to a command, unparsed; short answers only."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(command(*words))
            return connection.recv(65536).decode(errors="replace")

    def send(self, *words):
        """Sends a command, without waiting for the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(command(*words))

    def again(self, replica_of=None, empty=False):
        """Restarts it: as a primary or a replica, with its data or without."""
        self.end()
        if empty:
            shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)
        if "--replicaof" in self.command:
            place = self.command.index("--replicaof")
            del self.command[place:place + 2]
        if replica_of:
            self.command += ["--replicaof", f"127.0.0.1 {replica_of.announced}"]
        return self.start()

    def end(self):
        """Ends it like `kill -9`."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def command(*words):
    return (f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)).encode()


class Engine:
    """The whole engine, in a directory; with a network, its processes reach each other over the paths of that network.

    `environments` are those of the servers, in order.
    """

    def __init__(self, directory, down_after=500, network=None, environments=({}, {}, {})):
        common = ["--save", "", "--appendonly", "yes", "--repl-diskless-sync-delay", "0"]
        self.servers, self.sentinels, self.network = [], [], network
        try:
            for number in range(3):
                options = list(common)
                if number > 0:
                    options += ["--replicaof", f"127.0.0.1 {self.primary.announced}"]
                server = Server(directory / ("primary" if number == 0 else f"replica{number}"), options, network=network,
                                address=f"127.0.0.{11 + number}", environment=environments[number])
                self.connect(server)
                self.servers.append(server)
                server.start()
            for number in range(3):
                sentinel = Server(directory / f"sentinel{number + 1}", [], True, network, f"127.0.0.{21 + number}")
                self.connect(sentinel)
                self.sentinels.append(sentinel)
                sentinel.start()
            for sentinel in self.sentinels:
                sentinel.ask("SENTINEL", "MONITOR", NAME, "127.0.0.1", str(self.primary.announced), "2")
                for option, value in (("down-after-milliseconds", down_after), ("failover-timeout", 5000)):
                    sentinel.ask("SENTINEL", "SET", NAME, option, str(value))
            wait_until(lambda: "connected_slaves:2" in self.primary.ask("INFO", "replication"), "two replicas")
            wait_until(self.is_watched, "sentinels that know each other and the replicas")
        except BaseException:
            self.end()
            raise

    @property
    def primary(self):
        """The first server, which is the primary at first."""
        return self.servers[0]

    def connect(self, new):
        """Makes the paths between a process and the ones before it."""
        if self.network:
            for other in [*self.servers, *self.sentinels]:
                other.paths[new.address] = self.network.path()
                new.paths[other.address] = self.network.path()

    def paths(self, one, other):
        """The paths between two processes, in both directions."""
        return [one.paths[other.address], other.paths[one.address]]

    def is_watched(self):
        return all(
            {"num-slaves": "2", "num-other-sentinels": "2"}.items() <= facts(sentinel.ask("SENTINEL", "MASTER", NAME)).items()
            for sentinel in self.sentinels)

    def server_at(self, port):
        return next((server for server in self.servers if str(server.announced) == port), None)

    def current_primary(self, apart_from=None, of=None, deadline=ANSWER_DEADLINE):
        """The server that all sentinels, or the given ones, consider the primary."""

        def agreed():
            ports = {facts(sentinel.ask("SENTINEL", "MASTER", NAME)).get("port") for sentinel in of or self.sentinels}
            found = self.server_at(*ports) if len(ports) == 1 else None
            return found if found is not apart_from else None

        return wait_until(agreed, "a primary on which the sentinels agree", deadline)

    def is_whole(self):
        """Whether all processes run, and two replicas follow the primary."""
        primary = self.current_primary()
        return self.is_watched() and primary.ask("INFO", "replication").count("state=online") == 2 and all(
            facts(sentinel.ask("SENTINEL", "MASTER", NAME))["flags"] == "master"
            and sentinel.ask("SENTINEL", "REPLICAS", NAME).count("\r\nflags\r\n$5\r\nslave\r\n") == 2
            for sentinel in self.sentinels)

    def fail_over(self):
        """Makes another server the primary, as before maintenance of the current one."""
        primary = self.current_primary()

        def is_replaced():
            wait_until(lambda: self.sentinels[0].ask("SENTINEL", "FAILOVER", NAME) == "+OK\r\n", "a failover that begins")
            # Another sentinel may make the promoted replica a replica again, which ends the failover.
            try:
                return self.current_primary(apart_from=primary, deadline=10)
            except AssertionError:
                return None

        wait_until(is_replaced, "another primary")

    def end(self):
        for server in [*self.sentinels, *self.servers]:
            server.end()

    @property
    def settings(self):
        """The lines below `engine:`."""
        return settings(sentinel.announced for sentinel in self.sentinels)


def settings(ports):
    addresses = ", ".join(f"127.0.0.1:{port}" for port in ports)
    return f"    sentinels: [{addresses}]\n    master: {NAME}\n"


class View:
    """The engine as one broker sees it: each process is reached over this broker's own path.

    The sentinels' answers name the ports of the others' paths; on their way to the broker they are replaced by its own.
    """

    def __init__(self, engine):
        network = engine.network
        self.servers, self.sentinels, ports, self.changes = {}, {}, [], []
        # The port by which the broker reaches each server.
        self.ports = {}
        for server in engine.servers:
            self.servers[server] = path = network.path()
            self.ports[server] = port = free_port()
            network.gate(port, server.port, lambda _, path=path: path)
            self.changes.append((b"\r\n%d\r\n" % server.announced, b"\r\n%d\r\n" % port))
        for sentinel in engine.sentinels:
            self.sentinels[sentinel] = path = network.path()
            ports.append(free_port())
            network.gate(ports[-1], sentinel.port, lambda _, path=path: path, self.change)
        self.settings = settings(ports)

    @property
    def paths(self):
        return [*self.servers.values(), *self.sentinels.values()]

    def change(self, data):
        for old, new in self.changes:
            data = data.replace(old, new)
        return data


class Promotions(threading.Thread):
    """Records when each sentinel considers another server the primary."""

    def __init__(self, engine):
        super().__init__(daemon=True)
        self.engine, self.events, self.stop = engine, [], threading.Event()
        self.selector = selectors.DefaultSelector()
        for number, sentinel in enumerate(engine.sentinels):
            connection = socket.create_connection(("127.0.0.1", sentinel.port), timeout=10)
            connection.sendall(command("SUBSCRIBE", "+switch-master"))
            self.selector.register(connection, selectors.EVENT_READ, number)

    def run(self):
        while not self.stop.is_set():
            for key, _ in self.selector.select(0.1):
                text = key.fileobj.recv(65536).decode(errors="replace")
                now = time.monotonic()
                if not text:
                    self.selector.unregister(key.fileobj)
                for line in text.splitlines():
                    if line.startswith(NAME + " "):
                        self.events.append((now, key.data, line.split()[-1]))

    def moment(self, since):
        """When a majority of them agreed on one after a moment; `None` if they have not."""
        votes = {}
        for at, number, port in self.events:
            if at >= since:
                votes.setdefault(port, {}).setdefault(number, at)
        moments = [sorted(times.values())[1] for times in votes.values() if len(times) >= 2]
        return max(moments, default=None)

    @property
    def primary(self):
        """The server that a majority of them considers the primary, or `None`."""
        latest = {number: str(self.engine.primary.announced) for number in range(3)}
        latest.update((number, port) for _, number, port in list(self.events))
        ports = list(latest.values())
        named = [port for port in ports if ports.count(port) >= 2]
        return self.engine.server_at(named[0]) if named else None


class Fitness(threading.Thread):
    """Records the times at which the engine has no primary, none with a replica, or another one than just before.

    No client can publish then, and the time until clients can counts from the last of them.
    """

    # Seconds.
    PACE, PATIENCE = 0.05, 0.3

    def __init__(self, promotions):
        super().__init__(daemon=True)
        self.promotions, self.lacking, self.last = promotions, [], None

    def run(self):
        while not self.promotions.stop.wait(self.PACE):
            if not self.is_fit():
                self.lacking.append(time.monotonic())

    def is_fit(self):
        primary, before = self.promotions.primary, self.last
        self.last = primary
        if before is not None and primary is not before:
            return False
        try:
            answer = primary.ask("INFO", "replication", timeout=self.PATIENCE) if primary else ""
        except OSError:
            return False
        return "role:master" in answer and "state=online" in answer


def facts(answer):
    """The names and values of a RESP answer of texts."""
    words = [line for line in answer.split("\r\n") if line and line[0] not in "*$"]
    return dict(zip(words[::2], words[1::2]))
