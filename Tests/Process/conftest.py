"""Fixtures: brokers that are real processes. A test that fails shows what its brokers printed."""

import os

import pytest

from broker_process import Broker, finish_all
from command_line import BROKERD


def pytest_sessionstart(session):
    if not session.config.option.collectonly and not os.access(BROKERD, os.X_OK):
        pytest.exit(f"there is no {BROKERD}: run `make build` first", returncode=2)


def pytest_addoption(parser):
    parser.addoption(
        "--part", choices=["first", "second"], help="run only one of the two parts of the files, which take equally long")


def pytest_collection_modifyitems(config, items):
    """Leaves the files of other parts to another process: the tests wait more than they compute.

    The files of a part follow each other by name, so that those with browsers, or with several brokers, are in one part
    and do not run at the same time.
    """
    if config.option.part is None:
        return
    files = sorted({item.path.name for item in items})
    cut = len(files) * 2 // 5
    files = files[:cut] if config.option.part == "first" else files[cut:]
    config.hook.pytest_deselected(items=[item for item in items if item.path.name not in files])
    items[:] = [item for item in items if item.path.name in files]


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
