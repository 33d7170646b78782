"""A real engine on the loopback: a primary, two replicas that follow it, and three sentinels."""

import shutil
import socket
import subprocess

from broker_process import free_port
from deadlines import wait_until

REDIS = shutil.which("redis-server")
NAME = "mymaster"


class Server:
    """One process of the engine."""

    def __init__(self, directory, options, sentinel=False):
        self.port = free_port()
        self.directory = directory
        directory.mkdir(parents=True)
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), *options]
        if sentinel:
            (directory / "sentinel.conf").write_text("")
            words = [str(directory / "sentinel.conf"), "--sentinel", *words]
        self.command = [REDIS, *words]
        self.process = None

    def start(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.answers, f"redis-server on port {self.port}")
        return self

    def answers(self):
        assert self.process.poll() is None, (self.directory / "log").read_text()[-2000:]
        try:
            return "PONG" in self.ask("PING")
        except OSError:
            return False

    def ask(self, *words):
        """What the server answers to a command, as it comes; a short answer only."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            command = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            connection.sendall(command.encode())
            return connection.recv(65536).decode(errors="replace")

    def again(self, replica_of=None, empty=False):
        """Starts it once more: as a primary or a replica, with its data or without."""
        self.end()
        if empty:
            shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)
        if "--replicaof" in self.command:
            place = self.command.index("--replicaof")
            del self.command[place:place + 2]
        if replica_of:
            self.command += ["--replicaof", f"127.0.0.1 {replica_of.port}"]
        return self.start()

    def end(self):
        """As `kill -9` ends it."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Engine:
    """All of it, in a directory."""

    def __init__(self, directory, down_after=500):
        common = ["--save", "", "--appendonly", "yes", "--repl-diskless-sync-delay", "0"]
        self.servers, self.sentinels = [], []
        try:
            self.primary = self.add(self.servers, Server(directory / "primary", common))
            for number in (1, 2):
                options = [*common, "--replicaof", f"127.0.0.1 {self.primary.port}"]
                self.add(self.servers, Server(directory / f"replica{number}", options))
            for number in (1, 2, 3):
                self.add(self.sentinels, Server(directory / f"sentinel{number}", [], sentinel=True))
            for sentinel in self.sentinels:
                sentinel.ask("SENTINEL", "MONITOR", NAME, "127.0.0.1", str(self.primary.port), "2")
                for option, value in (("down-after-milliseconds", down_after), ("failover-timeout", 5000)):
                    sentinel.ask("SENTINEL", "SET", NAME, option, str(value))
            wait_until(lambda: "connected_slaves:2" in self.primary.ask("INFO", "replication"), "two replicas")
            wait_until(self.is_watched, "sentinels that know each other and the replicas")
        except BaseException:
            self.end()
            raise

    @staticmethod
    def add(servers, server):
        servers.append(server)
        return server.start()

    def is_watched(self):
        return all(
            {"num-slaves": "2", "num-other-sentinels": "2"}.items() <= facts(sentinel.ask("SENTINEL", "MASTER", NAME)).items()
            for sentinel in self.sentinels)

    def current_primary(self, apart_from=None):
        """The server that all sentinels take for the primary."""

        def agreed():
            ports = {facts(sentinel.ask("SENTINEL", "MASTER", NAME)).get("port") for sentinel in self.sentinels}
            found = [server for server in self.servers if {str(server.port)} == ports and server is not apart_from]
            return found[0] if found else None

        return wait_until(agreed, "a primary on which the sentinels agree")

    def is_whole(self):
        """Whether all processes are there, and the primary has two replicas that follow it."""
        primary = self.current_primary()
        return self.is_watched() and primary.ask("INFO", "replication").count("state=online") == 2 and all(
            facts(sentinel.ask("SENTINEL", "MASTER", NAME))["flags"] == "master"
            and sentinel.ask("SENTINEL", "REPLICAS", NAME).count("\r\nflags\r\n$5\r\nslave\r\n") == 2
            for sentinel in self.sentinels)

    def fail_over(self):
        """Has another become the primary, as before work on the machine of the present one."""
        primary = self.current_primary()
        wait_until(lambda: self.sentinels[0].ask("SENTINEL", "FAILOVER", NAME) == "+OK\r\n", "a failover that begins")
        self.current_primary(apart_from=primary)

    def end(self):
        for server in [*self.sentinels, *self.servers]:
            server.end()

    @property
    def settings(self):
        """The lines below `engine:`."""
        addresses = ", ".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"    sentinels: [{addresses}]\n    master: {NAME}\n"


def facts(answer):
    """The names and values of a RESP answer of texts."""
    words = [line for line in answer.split("\r\n") if line and line[0] not in "*$"]
    return dict(zip(words[::2], words[1::2]))
