"""Three brokers on one engine, for all tests of a file."""

import http.client
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from broker_process import Broker, finish_all
from command_line import run_control
from deadlines import ANSWER_DEADLINE, wait_until
from redis_rig import Engine

RULES = 'access:\n  rules:\n    - { everyone: true, publish: ["#"], subscribe: ["#"] }\n'
FIGURES = "system_topics: { interval: 1s }\n"
# Sessions answer no PING while a test waits for brokerctl.
PATIENCE = "keepalive: { interval: 10m }\n"
HISTORY = 'history:\n  - { filter: "kept/#", messages: 10000 }\n'
NAMES = "abc"


def said(done, code=0):
    assert done.returncode == code, done
    return (done.stdout if code == 0 else done.stderr).decode()


class Cluster:
    def __init__(self, directory, engine, lease="3s"):
        self.engine = engine
        self.directory = directory
        self.lease = lease
        self.brokers = [self.make(name) for name in NAMES]

    def make(self, name):
        config = f"cluster:\n  name: test\n  node: {name}\n  lease: {self.lease}\n  engine:\n{self.engine.settings}"
        config += f"{HISTORY}{RULES}{FIGURES}{PATIENCE}"
        return Broker(self.directory / name, config)

    def start(self):
        first = self.brokers[0].start()
        # Then it has published its users to the cluster.
        wait_until(lambda: first.control("users", "add", "from-start", "--no-password").returncode == 0, "a first user")
        for broker in self.brokers[1:]:
            broker.start()
        for broker in self.brokers:
            wait_until(lambda broker=broker: is_ready(broker), "a broker that is ready")
        return self

    def everywhere(self, check, what):
        for broker in self.brokers:
            wait_until(lambda broker=broker: check(broker), f"{what} at {broker.directory.name}")

    def end(self):
        finish_all(self.brokers)


def is_ready(broker):
    try:
        return broker.http("GET", "/health/ready").status == 200
    except (OSError, http.client.HTTPException):
        return False


def give_user(broker, name):
    """Adds a user to the file of a broker that does not run."""
    broker.data.mkdir(mode=0o700, exist_ok=True)
    said(run_control("users", "add", name, "--no-password", "--file", str(broker.data / "access.jsonl")))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = Engine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.end()


@pytest.fixture(scope="module")
def shared(request, tmp_path_factory, engine):
    """The brokers of a file, which may say in LEASE how long a silent one is still a member."""
    lease = getattr(request.module, "LEASE", "3s")
    cluster = Cluster(tmp_path_factory.mktemp("brokers"), engine, lease)
    for broker in cluster.brokers[:2]:
        give_user(broker, f"from-{broker.directory.name}")
    yield cluster.start()
    cluster.end()


@pytest.fixture
def cluster(shared, request):
    """The brokers for all tests of this file, all running and ready."""
    request.node.brokers = shared.brokers
    shared.everywhere(is_ready, "ready")
    yield shared
    for broker in shared.brokers:
        broker.close_clients()


def collect(session, count):
    """The next messages, this many, in the order of arrival."""
    messages = []
    while len(messages) < count:
        received = session.receive()
        if received["op"] == "message":
            messages.append((received["seq"], received["topic"], received.get("data")))
    return messages


def at_once(*bodies):
    """Runs them at the same time; returns their results in order."""
    with ThreadPoolExecutor(len(bodies)) as pool:
        return [future.result(ANSWER_DEADLINE) for future in [pool.submit(body) for body in bodies]]


def users(broker):
    """The names and roles of the users added since the start."""
    rows = broker.control_json("users", "list")
    return {row["user"]: row["roles"] for row in rows if not row["user"].startswith("from-")}


def reload(broker, config=None, line="settings reloaded"):
    """Has it read its file again, which is this one."""
    if config is not None:
        broker.config_file.write_text(config)
    since = len(broker.lines)
    broker.send_signal(signal.SIGHUP)
    return broker.wait_for_line(line, since=since)
