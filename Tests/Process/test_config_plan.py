"""`brokerctl config show`, `diff` and `plan`: the settings in force, and what a reload would change; the plan changes nothing."""

import json

import pytest

from admin_harness import AdminHarness
from command_line import run_control

RUNNING = "limits: { message: 2MiB }\nstore: { views: 9 }\n"


def done(process, status=0):
    assert process.returncode == status, (process.stdout, process.stderr)
    return (process.stdout if status == 0 else process.stderr).decode()


def planned(broker, text):
    return json.loads(broker.control("config", "plan", "-", "--json", input=text.encode()).stdout)


def test_config_show_prints_the_settings_in_force(start_broker):
    broker = start_broker(RUNNING, environment={"BROKER_LIMITS_WILDCARDS": "3"})
    shown = done(broker.control("config", "show"))
    assert "  message: 2MiB\n" in shown and "  views: 9\n" in shown and "  wildcards: 3\n" in shown
    settings = broker.control_json("config", "show")
    assert settings["limits"]["message"] == "2MiB" and settings["data_dir"] == str(broker.data)
    assert "# " in done(broker.control("config", "show", "--comments"))
    # The output is a valid configuration.
    file = broker.directory / "shown.yaml"
    file.write_text(shown)
    done(run_control("config", "check", str(file)))


def test_config_show_lists_settings_waiting_for_a_restart(start_broker):
    broker = start_broker(RUNNING)
    broker.config_file.write_text("limits: { message: 2MiB }\nstore: { views: 7 }\n")
    done(broker.control("reload"))
    assert done(broker.control("config", "show")).startswith("# store.views: 7 after a restart; 9 until then\n")
    assert done(broker.control("config", "diff")) == "- store.views: 9\n+ store.views: 7  # needs a restart\n"


def test_secrets_are_not_printed(start_broker):
    secret = "a secret of forty characters 0123456789ab"
    broker = start_broker(f'access: {{ jwt: [ {{ issuer: a, audience: b, secret: "{secret}" }} ] }}\n')
    printed = [done(broker.control("config", "show")), json.dumps(broker.control_json("config", "show")),
               json.dumps(planned(broker, 'access: { jwt: [ { issuer: a, audience: b, secret: "another secret of forty characters 0123" } ] }\n'))]
    for text in printed:
        assert "***" in text and "forty" not in text


def test_a_plan_says_what_changes_and_when(start_broker):
    broker = start_broker(RUNNING)
    broker.session()
    text = "limits: { message: 3MiB, wildcards: 5 }\nstore: { views: 7 }\n"
    plan = planned(broker, text)
    assert plan["changes"] == [
        {"path": "limits.message", "change": "live", "old": "2MiB", "new": "3MiB"},
        {"path": "limits.wildcards", "change": "live", "old": "8", "new": "5"},
        {"path": "store.views", "change": "restart", "old": "9", "new": "7"}]
    assert plan["errors"] == [] and plan["clients"] == 1 and plan["file"] == str(broker.config_file) and "losses" not in plan
    file = broker.directory / "next.yaml"
    file.write_text(text)
    shown = done(broker.control("config", "plan", str(file))).splitlines()
    assert shown[1].split() == ["limits.message", "2MiB", "3MiB", "with", "a", "reload"]
    assert shown[-1] == "a restart disconnects all clients, currently 1"
    # The plan has changed nothing.
    assert broker.control_json("config", "show")["limits"]["message"] == "2MiB"
    assert done(broker.control("config", "plan", str(broker.config_file))) == "nothing would change\n"


def test_a_plan_reports_errors_of_the_file(start_broker, tmp_path):
    broker = start_broker(RUNNING)
    file = tmp_path / "next.yaml"
    file.write_text("limits: { mesage: 3MiB }\n\ncolour: blue\n")
    errors = done(broker.control("config", "plan", str(file)), 1)
    assert f"{file}:1:11: limits.mesage" in errors and f"{file}:3:1: colour" in errors
    file.write_text('access: { jwt: [ { issuer: a, audience: b, keys: "file:/nowhere" } ] }\n')
    assert "/nowhere" in done(broker.control("config", "plan", str(file)), 1)
    assert "none.yaml" in done(broker.control("config", "plan", str(tmp_path / "none.yaml")), 1)


def test_a_plan_counts_affected_clients(start_broker):
    broker = start_broker("access: { anonymous: { subscribe: ['#'], publish: ['#'] } }\n")
    both, one, none = (broker.session() for _ in range(3))
    both.subscribe(["secret/1", "secret/2", "open/1"])
    one.subscribe(["secret/1", "open/1"])
    none.subscribe("open/1")
    plan = planned(broker, "access: { anonymous: { subscribe: ['open/#'], publish: ['#'] } }\n")
    assert plan["losses"] == {"disconnected": 0, "clients": 2, "subscriptions": 3, "partial": False}
    assert plan["clients"] == 3
    # No client has lost anything.
    broker.publish("secret/2", "x")
    both.expect("message", topic="secret/2")
    text = broker.control("config", "plan", "-", input=b"access: { anonymous: { subscribe: ['open/#'], publish: ['#'] } }\n")
    assert "clients that would lose subscriptions: 2 of 3, 3 subscriptions\n" in done(text)


def test_config_diff_compares_the_file_with_the_settings_in_force(start_broker):
    broker = start_broker(RUNNING)
    assert done(broker.control("config", "diff")) == ""
    broker.config_file.write_text("limits: { message: 3MiB, publish_rate: 5 }\nstore: { views: 9 }\n")
    assert done(broker.control("config", "diff")) == (
        "- limits.message: 2MiB\n+ limits.message: 3MiB\n- limits.publish_rate: unlimited\n+ limits.publish_rate: 5\n")
    assert [change["path"] for change in broker.control_json("config", "diff")["changes"]] == ["limits.message", "limits.publish_rate"]
    broker.config_file.write_text("limits: [")
    assert "not valid YAML" in done(broker.control("config", "diff"), 1)


def test_only_an_operator_can_see_the_configuration(start_broker, tmp_path):
    harness = AdminHarness(start_broker, tmp_path)
    for verb in (["config", "show"], ["config", "diff"]):
        done(run_control(*verb, "--url", harness.url, "--token", harness.tokens["operator"]))
        assert '"operate"' in done(run_control(*verb, "--url", harness.url, "--token", harness.tokens["reader"]), 1)
    run_control("config", "diff", "--url", harness.url, "--token", harness.tokens["operator"])
    assert harness.audited("admin.config.plan")[0]["result"] == "0 changes"


@pytest.mark.parametrize("arguments", [["show", "--defaults", "x.yaml"], ["plan"], ["diff", "x.yaml", "y.yaml"]])
def test_invalid_arguments_are_usage_errors(arguments):
    assert run_control("config", *arguments).returncode == 64
