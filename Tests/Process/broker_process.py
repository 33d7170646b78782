"""A real brokerd, started by a test on a free loopback port and watched until its end."""

import functools
import http.client
import itertools
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote

from command_line import BROKERD, run_control
from deadlines import ANSWER_DEADLINE, START_DEADLINE, STOP_DEADLINE
from http_answer import Answer, Follower
from json_session import JSONSession
from raw_websocket import RawWebSocket


class Ports:
    """The loopback ports of this process of tests, from below the range of outgoing connections.

    Until a broker listens there, nothing shows that a port is taken. So each process has a block of its own, and takes
    no port again before it has taken all others.
    """

    FIRST, SIZE, BLOCKS = 20000, 500, 24

    def __init__(self):
        # The kernel frees the name when the process ends.
        self.claim = socket.socket(socket.AF_UNIX)
        self.block = next((block for block in random.sample(range(self.BLOCKS), self.BLOCKS) if self.is_claimed(block)), None)
        assert self.block is not None, f"{self.BLOCKS} processes of tests are running already"
        self.numbers = itertools.count()

    def is_claimed(self, block):
        try:
            self.claim.bind(f"\0broker-tests-ports-{block}")
            return True
        except OSError:
            return False

    def take(self):
        for _ in range(self.SIZE):
            port = self.FIRST + self.SIZE * self.block + next(self.numbers) % self.SIZE
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        raise AssertionError("no port is free")


@functools.cache
def ports():
    return Ports()


def free_port():
    """A free loopback port that no other test takes."""
    return ports().take()


def encode_topic(topic):
    """Percent-encodes a topic or filter for a path; `/` still separates levels."""
    return quote(topic, safe="/")


class Broker:
    """One data directory and port, and the brokerd that serves them; it can be killed and started again."""

    def __init__(self, directory, config=None, arguments=(), port=None, configured_listen=False,
                 environment=None, limits=None, wrapper=()):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data = self.directory / "data"
        self.port = port or free_port()
        self.arguments = list(arguments)
        self.config_file = None
        self.configured_listen = configured_listen
        self.environment = dict(environment or {})
        # Passwords are checked at low priority, and the tests beside this one may leave little time for that.
        if "access:" in (config or "") and "handshake_timeout" not in config:
            self.environment["BROKER_LIMITS_HANDSHAKE_TIMEOUT"] = "300s"
        # Resource limits of the process: {resource.RLIMIT_…: count}.
        self.limits = dict(limits or {})
        # A prefix of the command.
        self.wrapper = list(wrapper)
        # Descriptors of this process that the command inherits.
        self.pass_fds = ()
        if config is not None:
            self.config_file = self.directory / "broker.yaml"
            self.config_file.write_text(config)
        self.process = None
        self.has_ended = False
        self.asked_to_end = False
        self.lines = []
        self.opened = []
        self._reader = None
        self._news = threading.Condition()

    # Start and end

    def command(self):
        command = [*self.wrapper, BROKERD, "--data-dir", str(self.data)]
        if not self.configured_listen:
            command += ["--listen", f"127.0.0.1:{self.port}"]
        if self.config_file:
            command += ["--config", str(self.config_file)]
        return command + self.arguments

    def start(self):
        """Starts brokerd and returns once it reports that it listens."""
        first_line = len(self.lines)
        self.has_ended = self.asked_to_end = False
        self.process = self.launch()
        self._reader = threading.Thread(target=self._read_lines, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        self.listening_line = self.wait_for_line(r"(?i)listen", START_DEADLINE, since=first_line)
        return self

    def launch(self):
        """Starts the process only; its output is not read and its end not awaited."""
        return subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=self.directory, env=os.environ | self.environment, pass_fds=self.pass_fds, preexec_fn=self._take_limits if self.limits else None)

    def _take_limits(self):
        for kind, count in self.limits.items():
            resource.setrlimit(kind, (count, count))

    def _read_lines(self, stream):
        for line in stream:
            with self._news:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for_line(self, pattern, deadline=ANSWER_DEADLINE, since=0):
        """The first printed line that contains `pattern`."""
        end = time.monotonic() + deadline
        looked_at = since
        with self._news:
            while True:
                for line in self.lines[looked_at:]:
                    if re.search(pattern, line):
                        return line
                looked_at = len(self.lines)
                if self.process.poll() is not None and not self._reader.is_alive():
                    raise AssertionError(f"brokerd ended with {self.process.returncode} without a line {pattern!r}")
                if time.monotonic() > end:
                    raise AssertionError(f"brokerd printed no line {pattern!r} within {deadline} s")
                self._news.wait(0.05)

    @property
    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def close_clients(self):
        for client in self.opened:
            try:
                client.close()
            except OSError:
                pass
        self.opened.clear()

    def send_signal(self, number):
        self.asked_to_end = self.asked_to_end or number in (signal.SIGTERM, signal.SIGINT)
        self.process.send_signal(number)

    def wait_for_exit(self, deadline=STOP_DEADLINE):
        """The exit status."""
        try:
            status = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"brokerd did not exit within {deadline} s") from None
        self._reader.join(5)
        self.has_ended = True
        return status

    def stop(self):
        """Sends SIGTERM; the broker must drain and exit 0."""
        self.send_signal(signal.SIGTERM)
        status = self.wait_for_exit()
        assert status == 0, f"brokerd exited {status} on SIGTERM"

    def kill(self):
        self.process.kill()
        self.wait_for_exit()

    def finish(self):
        """Ends the test's broker: it must still be alive unless the test ended it, and exit 0."""
        self.close_clients()
        if self.process is None or self.has_ended:
            return
        if self.asked_to_end:
            status = self.wait_for_exit()
            assert status == 0, f"brokerd exited {status} on a signal to end"
            return
        assert self.is_alive, f"brokerd ended during the test with {self.process.returncode}"
        self.stop()

    # HTTP

    def url(self, path=""):
        return f"http://127.0.0.1:{self.port}{path}"

    def websocket_url(self, path=""):
        return f"ws://127.0.0.1:{self.port}{path}"

    def http(self, method, path, body=None, headers=None, timeout=ANSWER_DEADLINE):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def publish(self, topic, body, query="", headers=None, method="POST"):
        """Publishes by HTTP; returns the answer's JSON."""
        path = f"/t/{encode_topic(topic)}" + (f"?{query}" if query else "")
        answer = self.http(method, path, body=body, headers=headers)
        assert answer.status == 200, answer
        return answer.json

    def retained(self, topic):
        """The answer to GET of the retained value."""
        return self.http("GET", f"/t/{encode_topic(topic)}")

    def follow(self, filter_, query="", headers=None, timeout=ANSWER_DEADLINE):
        return self.follow_path(f"/s/{encode_topic(filter_)}" + (f"?{query}" if query else ""), headers, timeout)

    def follow_path(self, path, headers=None, timeout=ANSWER_DEADLINE):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        connection.request("GET", path, headers=headers or {})
        follower = Follower(connection, connection.getresponse())
        self.opened.append(follower)
        return follower

    def metrics(self):
        """All samples of /metrics: {name with labels: value}."""
        answer = self.http("GET", "/metrics")
        assert answer.status == 200, answer
        samples = {}
        for line in answer.body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    # Sockets

    def unread_bytes(self):
        """The bytes that the kernel has received for this broker's TCP connections and that the broker has not read."""
        address = f"0100007F:{self.port:04X}"
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        connections = [fields for fields in map(str.split, lines) if fields[1] == address and fields[3] == "01"]
        return sum(int(fields[4].partition(":")[2], 16) for fields in connections)

    def connect(self, timeout=ANSWER_DEADLINE, receive_buffer=None):
        """A plain TCP connection."""
        plain = socket.socket()
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(timeout)
        plain.connect(("127.0.0.1", self.port))
        self.opened.append(plain)
        return plain

    def websocket(self, path, subprotocols=(), headers=None, receive_buffer=None, host=None):
        """An open WebSocket; raises RefusedHandshake if the answer is not 101."""
        plain = self.connect(receive_buffer=receive_buffer)
        try:
            websocket = RawWebSocket(plain, host or f"127.0.0.1:{self.port}", path, subprotocols, headers or {})
        except Exception:
            plain.close()
            raise
        self.opened.append(websocket)
        return websocket

    def topic_socket(self, topic, query="", **options):
        return self.websocket(f"/t/{encode_topic(topic)}" + (f"?{query}" if query else ""), **options)

    def subscription_socket(self, filter_, query="", **options):
        return self.websocket(f"/s/{encode_topic(filter_)}" + (f"?{query}" if query else ""), **options)

    def session(self, path="/ws", **options):
        return JSONSession(self.websocket(path, **options))

    # brokerctl

    @property
    def admin_socket(self):
        return self.data / "admin.sock"

    def control(self, *arguments, **options):
        """Runs brokerctl on this broker's admin socket."""
        return run_control("--socket", str(self.admin_socket), *arguments, **options)

    def control_json(self, *arguments):
        done = self.control(*arguments, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)


def finish_all(brokers):
    """Ends every broker, and fails if one of them did not end cleanly."""
    failures = []
    for broker in brokers:
        try:
            broker.finish()
        except AssertionError as failure:
            failures.append(str(failure))
        finally:
            if broker.is_alive:
                broker.kill()
    assert not failures, failures
