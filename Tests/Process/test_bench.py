"""Contract §7: `brokerctl bench`, a load from the command line, with every message checked."""

import json
import os
import subprocess

import pytest

from broker_process import free_port
from command_line import BROKERCTL, run_control

DEADLINE = 60


def report(broker, *arguments):
    done = broker.control("bench", *arguments, "--json", timeout=DEADLINE)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


@pytest.mark.parametrize("endpoint", ["topic", "json"])
@pytest.mark.parametrize("pace", [["--burst", "10"], ["--rate", "500"]])
def test_fanout_delivers_every_message(broker, endpoint, pace):
    found = report(broker, "fanout", "--subscribers", "50", "--publishers", "2", "--messages", "200", "--size", "100",
                   "--endpoint", endpoint, *pace)
    assert found["sent"] == 200 and found["delivered"] == found["expected"] == 200 * 50
    assert found["wrong"] == 0 and found["perSecond"] > 0
    latency = found["latencyMicroseconds"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["p99.9"] <= latency["max"]
    assert found["serverNanosecondsPerMessage"] > 0, "the broker's own process is known by its admin socket"


def test_an_open_loop_keeps_its_rate(broker):
    found = report(broker, "fanout", "--subscribers", "1", "--messages", "100", "--rate", "200")
    # 99 intervals of 5 ms: the load may take longer, but not less.
    assert found["seconds"] >= 0.49


@pytest.mark.parametrize("options", [[], ["--retain"]])
def test_pub_waits_for_acknowledgements(broker, options):
    found = report(broker, "pub", "--publishers", "3", "--messages", "90", *options)
    assert found["acknowledged"] == 90 and found["delivered"] == 0
    assert found["latencyMicroseconds"]["max"] > 0
    assert broker.http("GET", "/t/bench").status == (200 if options else 404)


def test_sub_counts_messages_of_others(broker):
    publisher = broker.session()
    publisher.publish("news/1", "kept", retain=True)
    found = report(broker, "sub", "news/#", "--subscribers", "7", "--seconds", "0.5")
    assert found["subscribers"] == 7 and found["publishers"] == 0


def test_the_default_output_is_readable(broker):
    done = broker.control("bench", "fanout", "--subscribers", "2", "--messages", "10", timeout=DEADLINE)
    assert done.returncode == 0
    for word in [b"delivered", b"20 of 20", b"latency", b"p99.9", b"server CPU"]:
        assert word in done.stdout


def test_a_terminal_shows_progress(broker):
    """The progress is on standard error, rewritten on one line; a pipe and JSON do not have it."""
    arguments = [BROKERCTL, "bench", "sub", "#", "--url", broker.url(), "--subscribers", "2", "--seconds", "1.5"]
    for extra, is_shown in [([], True), (["--json"], False)]:
        ours, theirs = os.openpty()
        try:
            done = subprocess.run([*arguments, *extra], stdout=subprocess.PIPE, stderr=theirs, timeout=DEADLINE)
            os.write(theirs, b"end")
            shown = b""
            while not shown.endswith(b"end"):
                shown += os.read(ours, 65536)
        finally:
            os.close(ours)
            os.close(theirs)
        assert done.returncode == 0 and b"\r" not in done.stdout
        assert (b"\r0 messages have arrived\x1b[K" in shown) == is_shown, shown
        assert shown.endswith(b"\r\x1b[Kend") if is_shown else shown == b"end", "nothing is left of it"


def test_the_url_is_enough(broker):
    done = run_control("bench", "fanout", "--url", broker.url(), "--subscribers", "2", "--messages", "10", "--json")
    assert done.returncode == 0, done
    assert "serverNanosecondsPerMessage" not in json.loads(done.stdout), "nobody said which process it is"


@pytest.mark.parametrize("arguments", [
    ["fanout", "--subscribers", "0"], ["fanout", "--size", "31"], ["fanout", "--rate", "0"], ["pub", "--messages", "0"],
    ["pub", "--burst", "10000", "--size", "16777216"],
    ["sub", "#", "--seconds", "0"], ["sub"], ["fanout", "--endpoint", "carrier-pigeon"]])
def test_invalid_arguments_are_usage_errors(broker, arguments):
    done = broker.control("bench", *arguments)
    assert done.returncode == 64 and done.stderr


def test_a_refusal_is_reported(start_broker):
    broker = start_broker("access: { anonymous: { publish: [], subscribe: ['#'] } }\n")
    done = broker.control("bench", "pub", "--url", broker.url(), "--messages", "1")
    assert done.returncode == 1 and b"forbidden" in done.stderr


def test_retained_values_are_not_counted(broker):
    broker.publish("bench", "kept", query="retain")
    found = report(broker, "fanout", "--subscribers", "20", "--messages", "20")
    assert found["delivered"] == 400 and found["wrong"] == 0


def test_a_connection_limit_is_reported_with_the_progress(start_broker):
    broker = start_broker("limits: { connections: 50 }\n")
    done = broker.control("bench", "fanout", "--url", broker.url(), "--subscribers", "54")
    assert done.returncode == 1 and b"limit" in done.stderr and b" of 55 connections were open" in done.stderr, done


def test_an_unreachable_broker_is_reported(tmp_path):
    for where in [["--socket", str(tmp_path / "none.sock")], ["--url", f"http://localhost:{free_port()}"]]:
        done = run_control("bench", "fanout", *where)
        assert done.returncode == 2 and b"cannot reach a broker" in done.stderr, done
