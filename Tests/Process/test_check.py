"""`brokerctl check`: one line of a monitoring plugin, its figures and its exit status."""

import json
import re
import subprocess

import pytest

from admin_harness import AdminHarness
from command_line import run_control
from deadlines import wait_until

# label=value[unit];[warning];[critical];[least];[most], as monitoring plugins write it.
FIGURE = re.compile(r"([a-z0-9]+)=(\d+(?:\.\d+)?)(ms|%|B|);(\d*\.?\d*:?);(\d*\.?\d*:?)(?:;(\d+))?(?:;(\d+))?")


def figures(line):
    assert line.count("|") == 1 and line.count("\n") == 1
    found = {}
    for text in line.partition("|")[2].split():
        match = FIGURE.fullmatch(text)
        assert match, text
        found[match[1]] = match.groups()[1:]
    return found


def test_a_healthy_broker_is_ok(broker):
    broker.session().subscribe("a")
    # The disk of the machine that runs the tests may be full.
    done = broker.control("check", "--warning", "disk=off,commit=off,canary=off", "--critical", "disk=off,commit=off,canary=off")
    line = done.stdout.decode()
    assert done.returncode == 0 and line.startswith("BROKER OK - ready, 1 clients, 1 subscriptions | ")
    found = figures(line)
    assert set(found) == {"canary", "commit", "p99", "map", "disk", "descriptors", "connections", "memory", "behind", "pending"}
    assert found["map"][1:] == ("%", "80", "95", "0", "100")
    assert found["behind"] == ("0", "", "", "", "0", None)
    assert 0 < float(found["descriptors"][0]) < 100


@pytest.mark.parametrize("options, status, word", [
    (["--warning", "map=0%"], 1, "WARNING"), (["--critical", "map=0%"], 2, "CRITICAL"),
    (["--warning", "map=0%,descriptors=0%", "--critical", "descriptors=0%"], 2, "CRITICAL"),
    (["--warning", "map=100%", "--critical", "map=off"], 0, "OK")])
def test_thresholds_determine_the_status(broker, options, status, word):
    broker.publish("a", "x", "retain")
    quiet = ["--warning", "disk=off,commit=off,canary=off", "--critical", "disk=off,commit=off,canary=off"]
    done = broker.control("check", *quiet, *options)
    assert done.returncode == status and done.stdout.decode().startswith(f"BROKER {word} - ")
    report = broker.control("check", *quiet, *options, "--json")
    assert report.returncode == status and json.loads(report.stdout)["state"] == word.lower()


def test_a_certificate_that_expires_soon_is_a_warning(start_broker, tmp_path):
    harness = AdminHarness(start_broker, tmp_path)
    assert "certificate" in figures(harness.broker.control("check").stdout.decode())
    done = harness.broker.control("check", "--warning", "disk=off,commit=off,canary=off,certificate=100000d", "--critical",
                                "disk=off,commit=off,canary=off,certificate=off")
    assert done.returncode == 1 and re.match(r"BROKER WARNING - certificate [0-9.]+ days \|", done.stdout.decode())
    assert figures(done.stdout.decode())["certificate"][2:4] == ("100000:", "")


def test_an_unreachable_broker_is_critical(tmp_path):
    done = run_control("check", "--socket", str(tmp_path / "none.sock"))
    assert done.returncode == 2 and done.stdout.startswith(b"BROKER CRITICAL - cannot reach a broker") and not done.stderr


def test_missing_rights_are_unknown(start_broker, tmp_path):
    harness = AdminHarness(start_broker, tmp_path)
    done = run_control("check", "--url", harness.url, "--token", harness.tokens["writer"])
    assert done.returncode == 3 and done.stdout.startswith(b"BROKER UNKNOWN - ") and b'"read"' in done.stdout


@pytest.mark.parametrize("option, advice", [
    ("dsk=5%", 'did you mean "disk"?'), ("disk", "expected disk=80%"), ("disk=5", "expected 80% or off"),
    ("certificate=soon", "expected 14d or off"), ("pending=0x10KiB", "expected"), ("map=0x10%", "expected 80% or off"),
    ("commit=-1ms", "expected 100ms or off"), ("", "there is no figure")])
def test_invalid_thresholds_are_usage_errors(broker, option, advice):
    done = broker.control("check", "--warning", option)
    assert done.returncode == 64 and advice in done.stderr.decode() and not done.stdout


def test_a_client_that_does_not_read_is_reported(start_broker):
    broker = start_broker("limits: { pending: 64MiB, pending_age: 10m }\n")
    slow = broker.session()
    slow.subscribe("a", slow="drop-oldest")
    for _ in range(40):
        broker.publish("a", "x" * 500_000)
    quiet = "disk=off,commit=off,canary=off"

    def report():
        done = broker.control("check", "--json", "--warning", quiet + ",pending=1KiB", "--critical", quiet)
        return {row["name"]: row for row in json.loads(done.stdout)["figures"]}

    wait_until(lambda: report()["behind"]["value"] == 1, "the client to be behind")
    found = report()["pending"]
    assert found["value"] > 1024 and found["state"] == "warning" and found["unit"] == "B"
