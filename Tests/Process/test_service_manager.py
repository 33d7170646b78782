"""What brokerd tells the service manager that started it (sd_notify(3)): ready, reloading, alive, stopping."""

import contextlib
import signal
import socket

import pytest
from deadlines import ANSWER_DEADLINE


@contextlib.contextmanager
def manager(place):
    """A socket like systemd's; yields a function that reads the lines of the next datagram, without signs of life."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + place[1:] if place.startswith("@") else place)
        listening.settimeout(ANSWER_DEADLINE)

        def read(signs_of_life=False):
            while True:
                lines = listening.recv(4096).decode().split("\n")
                if signs_of_life or lines != ["WATCHDOG=1"]:
                    return lines

        yield read


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_each_state_change_is_notified(start_broker, tmp_path, kind):
    place = str(tmp_path / "notify") if kind == "path" else f"@{tmp_path}/notify"
    with manager(place) as read:
        broker = start_broker("limits: {message: 1024}\n", environment={"NOTIFY_SOCKET": place})
        ready, status = read()
        assert ready == "READY=1"
        assert status == f"STATUS=listening on {broker.url()}"
        broker.send_signal(signal.SIGHUP)
        reloading, time = read()
        assert reloading == "RELOADING=1"
        assert int(time.removeprefix("MONOTONIC_USEC=")) > 0
        assert read() == ["READY=1", "STATUS=settings reloaded"]
        broker.config_file.write_text("limits: {message: many}\n")
        broker.send_signal(signal.SIGHUP)
        assert read()[0] == "RELOADING=1"
        assert read() == ["READY=1", "STATUS=the settings have errors; the old ones stay in force"]
        broker.asked_to_end = True
        broker.send_signal(signal.SIGTERM)
        assert read() == ["STOPPING=1"]
        assert broker.wait_for_exit() == 0


def test_the_watchdog_is_notified_if_requested(start_broker, tmp_path):
    place = str(tmp_path / "notify")
    with manager(place) as read:
        start_broker(environment={"NOTIFY_SOCKET": place, "WATCHDOG_USEC": "2000000"})
        assert read()[0] == "READY=1"
        assert [read(signs_of_life=True) for _ in range(3)] == [["WATCHDOG=1"]] * 3


def test_an_invalid_notify_socket_is_reported_and_ignored(start_broker):
    broker = start_broker(environment={"NOTIFY_SOCKET": "relative"})
    assert any("NOTIFY_SOCKET" in line for line in broker.lines)
    assert broker.http("GET", "/health/ready").status == 200
