"""Fixtures: brokers that are real processes. A test that fails shows what its brokers printed."""

import os
from pathlib import Path

import pytest

from broker_process import Broker, finish_all
from command_line import BROKERD


def pytest_sessionstart(session):
    if not session.config.option.collectonly and not os.access(BROKERD, os.X_OK):
        pytest.exit(f"there is no {BROKERD}: run `make build` first", returncode=2)


# The files with browsers, which the first part has, so that no two browsers run at the same time.
BROWSERS = ("administration", "browser", "browser_access", "client_errors", "console", "own_clients")
# How long the files take that take longest, in seconds; the others take about 5.
SECONDS = {
    "chaos": 110, "own_clients": 75, "browser": 60, "quotas": 60, "slow_links": 60, "browser_access": 50,
    "console": 45, "cluster": 40, "access": 36, "keepalive": 35, "shutdown": 35, "administration": 30, "events": 30,
    "partitions": 30, "sessions": 30, "access_changes": 25, "floods": 25, "incidents": 25, "limits": 25,
    "cluster_administration": 20, "crash": 20, "secrets": 20, "client_certificates": 18, "tls": 18,
}


def pytest_addoption(parser):
    parser.addoption("--part", metavar="N/COUNT", help="run only one of so many parts of the files, which take equally long")


def pytest_ignore_collect(collection_path, config):
    """Leaves the files of other parts to other processes: the tests wait more than they compute."""
    if config.option.part is None or not collection_path.name.startswith("test_"):
        return None
    number, count = map(int, config.option.part.split("/"))
    names = sorted(path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py"))
    return True if collection_path.stem.removeprefix("test_") not in share(names, count)[number - 1] else None


def share(names, count):
    """The names of the files in each part: the longest first, each to the part that has least to do."""
    parts, loads = [[] for _ in range(count)], [0] * count
    for name in sorted(names, key=lambda name: (name not in BROWSERS, -SECONDS.get(name, 5))):
        part = 0 if name in BROWSERS else loads.index(min(loads))
        parts[part].append(name)
        loads[part] += SECONDS.get(name, 5)
    return parts


def pytest_sessionfinish(session, exitstatus):
    # A selection by `-k` may leave one part without tests.
    if session.config.option.part is not None and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


def pytest_make_parametrize_id(val):
    """Shortens long values, which would make unreadable names."""
    if isinstance(val, (str, bytes)) and len(val) > 40:
        return f"{ascii(val[:30])} and {len(val) - 30} more"
    return None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for number, broker in enumerate(getattr(item, "brokers", [])):
            title = f"brokerd {number} on port {broker.port} ({call.when})"
            report.sections.append((title, "\n".join(broker.lines[-200:])))


@pytest.fixture
def start_broker(request, tmp_path):
    """Makes and starts brokers; all end with the test, and must end well."""
    request.node.brokers = brokers = []

    def start(config=None, arguments=(), name=None, directory=None, **options):
        broker = Broker(directory or tmp_path / (name or f"broker{len(brokers)}"), config, arguments, **options)
        brokers.append(broker)
        return broker.start()

    yield start
    finish_all(brokers)


@pytest.fixture
def broker(start_broker):
    """A broker with its built-in defaults."""
    return start_broker()


@pytest.fixture
def bystander(broker):
    """A subscriber that checks, after the test, that it lost nothing because of other clients."""
    session = broker.session()
    session.subscribe("bystander/#")
    yield session
    answer = broker.publish("bystander/after", "still here")
    message = session.expect("message", topic="bystander/after", data="still here")
    assert message["seq"] == answer["seq"]
