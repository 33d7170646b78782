"""`brokerctl top`: a live screen with keys, lines without one, and a terminal that is restored at the end."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import time

import pytest

from command_line import BROKERCTL
from deadlines import ANSWER_DEADLINE, can_read, wait_until
from raw_websocket import ConnectionEnded

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


class Screen:
    """A brokerctl on its own terminal."""

    def __init__(self, broker, *arguments, lines=24, columns=200):
        self.leader, self.follower = pty.openpty()
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(self.follower)
        self.process = subprocess.Popen(
            [BROKERCTL, "--socket", str(broker.admin_socket), "top", *arguments], stdin=self.follower, stdout=self.follower,
            stderr=self.follower, start_new_session=True)
        self.shown = b""

    def read(self):
        if can_read(self.leader, 0.1):
            self.shown += os.read(self.leader, 65536)
        return self.shown

    def wait_for(self, text, after=0):
        wait_until(lambda: text.encode() in self.read()[after:], f"{text!r} on the screen")
        return len(self.shown)

    def press(self, keys):
        os.write(self.leader, keys.encode())

    def end(self):
        """The exit status, after all output was read."""
        end = time.monotonic() + ANSWER_DEADLINE
        while self.process.poll() is None and time.monotonic() < end:
            self.read()
        self.read()
        return self.process.poll()

    @property
    def is_as_before(self):
        return termios.tcgetattr(self.follower) == self.before and self.shown.rindex(LEAVE) > self.shown.rindex(ENTER)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.leader)
        os.close(self.follower)


@pytest.fixture
def start_screen(broker):
    screens = []

    def start(*arguments, **options):
        screens.append(Screen(broker, *arguments, **options))
        return screens[-1]

    yield start
    for screen in screens:
        screen.close()


def test_shows_the_broker_and_its_clients(broker, start_screen):
    session = broker.session()
    screen = start_screen()
    screen.wait_for(session.welcome["client"])
    frame = screen.shown.split(b"\x1b[H")[-1].decode()
    assert "ready" in frame and "clients 1" in frame and "PENDING" in frame and "by pending" in frame
    screen.press("q")
    assert screen.end() == 0 and screen.is_as_before


@pytest.mark.parametrize("key, order", [("m", "published"), ("b", "sent"), ("r", "rtt"), ("s", "subscriptions")])
def test_keys_change_the_sort_order(broker, start_screen, key, order):
    screen = start_screen()
    seen = screen.wait_for("by pending")
    screen.press(key)
    seen = screen.wait_for(f"by {order} ", after=seen)
    screen.press("p")
    screen.wait_for("by pending", after=seen)


def test_a_client_is_kicked_after_confirmation(broker, start_screen):
    kicked, kept = broker.session(), broker.session()
    screen = start_screen()
    screen.wait_for(kept.welcome["client"])
    screen.press(f"k{kept.welcome['client']}\nn\n")
    screen.wait_for("nothing was done")
    screen.press(f"k{kicked.welcome['client']}\ny\n")
    screen.wait_for(f"disconnected: {kicked.welcome['client']}")
    with pytest.raises(ConnectionEnded) as ended:
        kicked.receive()
    assert ended.value.close_frame[0] == 4410
    kept.synchronise()
    screen.press("knone\ny\n")
    screen.wait_for("There is no client none.")


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_restore_the_terminal(broker, start_screen, number, status):
    screen = start_screen()
    screen.wait_for("by pending")
    assert termios.tcgetattr(screen.follower) != screen.before
    screen.process.send_signal(number)
    assert screen.end() == status and screen.is_as_before


def test_losing_the_broker_restores_the_terminal(broker, start_screen):
    screen = start_screen()
    screen.wait_for("by pending")
    broker.stop()
    assert screen.end() == 2 and screen.is_as_before and b"brokerctl: " in screen.shown.rpartition(LEAVE)[2]


def test_a_small_screen_does_not_overflow(broker, start_screen):
    for _ in range(12):
        broker.session()
    screen = start_screen(lines=8, columns=40)
    screen.wait_for("by pending")
    wait_until(lambda: screen.read().count(b"\x1b[H") >= 3, "two whole frames")
    frame = screen.shown.split(b"\x1b[H")[-2].decode().replace("\x1b[K", "").replace("\x1b[J", "")
    lines = frame.split("\r\n")
    assert len(lines) == 8 and max(map(len, lines)) <= 40


def test_prints_lines_without_a_terminal(broker):
    broker.publish("a", "x")
    done = broker.control("top", "--count", "2")
    first, second = done.stdout.decode().splitlines()
    assert done.returncode == 0 and "published -" in first and "published 0.0/s" in second and "\x1b" not in first
    first, second = map(json.loads, broker.control("top", "--count", "2", "--json").stdout.splitlines())
    assert first["status"]["published"] >= 1 and "publishedPerSecond" not in first and second["publishedPerSecond"] >= 0
    assert set(first["status"]["backlog"]) == {"clientsBehind", "pendingBytes", "largestPendingBytes"}


@pytest.mark.parametrize("arguments", [["--sort", "colour"], ["--count", "0"]])
def test_invalid_arguments_are_usage_errors(broker, arguments):
    done = broker.control("top", *arguments)
    assert done.returncode == 64 and b"expected" in done.stderr
