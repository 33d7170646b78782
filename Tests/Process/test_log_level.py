"""`brokerctl log level` and `brokerctl reload`: what is in force now, and what waits."""

import json
import re

import pytest

from admin_harness import AdminHarness
from command_line import run_control
from deadlines import wait_until


def done(process, status=0):
    assert process.returncode == status, (process.stdout, process.stderr)
    return (process.stdout if status == 0 else process.stderr).decode()


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_level_applies_at_once_and_for_its_time(start_broker, format_):
    broker = start_broker(f"log: {{ level: info, format: {format_} }}\n")
    assert done(broker.control("log", "level")) == "info\n"
    assert re.fullmatch(r"warning, for (10m 0s|9m 59s); then info\n", done(broker.control("log", "level", "warning", "--for", "10m")))
    broker.wait_for_line("an administrator has set the log level.*warning")
    answer = broker.control_json("log", "level", "debug", "--for", "1h")
    assert (answer["level"], answer["configured"]) == ("debug", "info") and answer["until"] > 0
    assert done(broker.control("log", "level", "error")) == "error, until the next reload; then info\n"


def test_the_configured_level_returns_after_the_time(start_broker):
    broker = start_broker("log: { level: info }\n")
    done(broker.control("log", "level", "debug", "--for", "1s"))
    broker.wait_for_line("an administrator has set the log level level=debug")
    broker.wait_for_line("the log level is that of the configuration again level=info")
    assert broker.control_json("log", "level") == {"level": "info", "configured": "info"}


def test_less_urgent_lines_are_not_logged(start_broker):
    broker = start_broker("log: { level: info }\n")
    done(broker.control("log", "level", "error"))
    # An error is written, and this warning, which came before, is not.
    broker.config_file.write_text("colour: blue\n")
    assert broker.control("reload").returncode == 1
    broker.wait_for_line("the settings have errors")
    assert not any("an administrator has set" in line for line in broker.lines)


def test_a_reload_restores_the_configured_level(start_broker):
    broker = start_broker("log: { level: info }\n")
    done(broker.control("log", "level", "error"))
    broker.config_file.write_text("log: { level: warning }\n")
    assert done(broker.control("reload")) == "reloaded\nchanged: log.level\n"
    assert done(broker.control("log", "level")) == "warning\n"


def test_a_reload_lists_changes_and_pending_restarts(start_broker):
    broker = start_broker("limits: { message: 100KiB }\n")
    broker.config_file.write_text("limits: { message: 200KiB }\nstore: { views: 7 }\nreactors: { count: 3 }\n")
    assert done(broker.control("reload")) == (
        "reloaded\nchanged: limits.message\nneeds a restart: reactors.count store.views\n")
    assert broker.control_json("reload") == {"changed": [], "needsRestart": ["reactors.count", "store.views"]}


def test_a_refused_reload_says_why(start_broker):
    broker = start_broker("limits: { message: 100KiB }\n")
    broker.config_file.write_text("limits: { mesage: 200KiB }\n\ncolour: blue\n")
    refused = done(broker.control("reload"), 1)
    assert "broker.yaml:1:" in refused and "broker.yaml:3:" in refused and 'did you mean "message"?' in refused
    broker.config_file.write_text("limits: { message: 100KiB }\n")
    assert done(broker.control("reload")) == "reloaded\n"


def test_the_audit_log_records_level_changes(start_broker, tmp_path):
    harness = AdminHarness(start_broker, tmp_path)
    operator = ["--url", harness.url, "--token", harness.tokens["operator"]]
    done(run_control("log", "level", "debug", "--for", "1m", *operator))
    assert "forbidden" in done(run_control("log", "level", "--url", harness.url, "--token", harness.tokens["reader"]), 1)
    # Denials are gathered for a second.
    wait_until(lambda: len(harness.audited("admin.log.level")) == 2, "both lines")
    changed, refused = harness.audited("admin.log.level")
    assert (changed["actor"]["user"], changed["target"], changed["result"]) == ("operator", "debug for 60 s", "ok")
    assert (refused["actor"]["user"], refused["result"]) == ("reader", "forbidden")


@pytest.mark.parametrize("arguments, advice", [
    (["loud"], "'loud'"), (["debug", "--for", "soon"], "expected a time such as 10m"),
    (["debug", "--for", "8d"], "at most 7d"), (["debug", "--for", "0s"], "expected a time such as 10m"),
    (["--for", "10m"], "requires a level")])
def test_invalid_levels_and_times_are_usage_errors(broker, arguments, advice):
    assert advice in done(broker.control("log", "level", *arguments), 64)


@pytest.mark.parametrize("members", [{"level": "loud"}, {"level": "debug", "seconds": 0}, {"level": "debug", "seconds": 604_801},
                                     {"seconds": 5}])
def test_the_broker_refuses_invalid_members(start_broker, tmp_path, members):
    harness = AdminHarness(start_broker, tmp_path)
    assert harness.open(harness.bearer("operator")).error("log.level", **members) == "bad-request"
    assert json.loads(harness.broker.control("log", "level", "--json").stdout)["level"] == "info"
