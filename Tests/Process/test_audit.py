"""access.md §11: who did what, one JSON object per line, and never a secret."""

import json
import os
import signal

import pytest

from access_harness import Harness, bearer
from command_line import run_brokerd
from deadlines import wait_until
from raw_websocket import RefusedHandshake

CONFIG = """log: { audit: ./audit.log }
access: { anonymous: { publish: [open/#], subscribe: [open/#] } }
"""


@pytest.fixture
def audited(start_broker):
    return start_broker(CONFIG)


def lines(broker, name="audit.log"):
    path = broker.directory / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def the(broker, event, count=1):
    """The events of that name, once there are this many."""
    def found():
        return [line for line in lines(broker) if line["event"] == event]
    wait_until(lambda: len(found()) >= count, f"{count} {event} in the audit log")
    assert len(found()) == count
    return found()


def test_denials_of_one_connection_become_one_line_with_a_count(audited):
    session = audited.session()
    for number in range(14):
        session.send(op="publish", topic=f"closed/{number}", data=1, id=number)
    for number in range(14):
        session.expect("error", id=number, code="forbidden")
    (denied,) = the(audited, "publish.denied")
    assert denied["target"] == "closed/0" and denied["count"] == 14 and denied["kind"] == "anonymous"
    assert denied["rule"] is None and denied["address"].startswith("127.0.0.1:")
    (client,) = [row for row in audited.control_json("clients") if row["address"] == denied["address"]]
    assert client["id"] == denied["client"]


def test_listing_rights_is_one_line(audited):
    """The whole list is one request, not one for each right."""
    assert audited.control("acl", "list", "anonymous").returncode == 0
    audited.control("acl", "explain", "alice", "publish", "open/a")
    (listed,) = the(audited, "admin.acl.list")
    (explained,) = the(audited, "admin.acl.explain")
    assert (listed["target"], listed["result"]) == ("anonymous", "ok")
    assert (explained["target"], explained["result"]) == ("publish open/a by user alice", "denied")


def test_each_endpoint_logs_its_denials(audited):
    assert audited.http("GET", "/t/closed/a").status == 401
    assert audited.http("PUT", "/t/closed/b?retain", "x").status == 401
    with pytest.raises(RefusedHandshake):
        audited.websocket("/s/closed/c")
    assert {line["target"] for line in the(audited, "subscribe.denied", 2)} == {"closed/a", "closed/c"}
    assert [line["target"] for line in the(audited, "publish.denied")] == ["closed/b"]
    metrics = audited.metrics()
    assert metrics['broker_denied_total{action="subscribe"}'] == 2
    assert metrics['broker_denied_total{action="publish"}'] == 1


def test_denied_retaining_is_logged_as_such(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, more="log: { audit: ./audit.log }")
    assert harness.broker.http("POST", "/t/news/a", "x", bearer(harness.editor)).status == 200
    assert harness.broker.http("PUT", "/t/news/a?retain", "x", bearer(harness.editor)).status == 403
    assert harness.broker.http("DELETE", "/t/news/a", headers=bearer(harness.editor)).status == 403
    denied = the(harness.broker, "retain.denied", 2)
    assert [(line["user"], line["kind"], line["target"]) for line in denied] == [("ed", "token", "news/a")] * 2
    assert harness.broker.metrics()['broker_denied_total{action="retain"}'] == 2


def test_refused_hosts_and_origins_are_logged(audited):
    assert audited.http("GET", "/t/open/a", headers={"Host": "evil.test"}).status == 421
    assert audited.http("GET", "/t/open/a", headers={"Origin": "https://evil.test"}).status == 403
    assert the(audited, "host.refused")[0]["target"] == "evil.test"
    assert the(audited, "origin.refused")[0]["target"] == "https://evil.test"
    assert audited.metrics()["broker_hosts_refused_total"] == 1


def test_a_local_administrator_is_named_by_uid_and_pid(audited):
    audited.session()
    audited.control("clients", "kick", "--filter", "#", "--yes")
    (kick,) = the(audited, "admin.kick")
    assert kick["actor"]["uid"] == os.getuid() and kick["actor"]["via"] == "socket" and kick["actor"]["pid"] > 1
    assert kick["target"] == "filter #" and kick["result"] == "0 clients"


def test_start_reload_and_stop_are_logged_and_the_file_reopens(audited):
    (begun,) = the(audited, "start")
    assert f"http://127.0.0.1:{audited.port}" in begun["target"]
    os.rename(audited.directory / "audit.log", audited.directory / "audit.log.1")
    audited.config_file.write_text(CONFIG + "limits: { message: 2MiB }\n")
    audited.send_signal(signal.SIGHUP)
    (reloaded,) = the(audited, "config.reloaded")
    assert reloaded["target"] == "limits.message" and reloaded["result"].startswith("sha1:")
    audited.send_signal(signal.SIGTERM)
    assert audited.wait_for_exit() == 0
    assert lines(audited)[-1]["event"] == "stop"
    assert [line["event"] for line in lines(audited, "audit.log.1")] == ["start"]


def test_reached_limits_are_logged(start_broker):
    broker = start_broker("log: { audit: stdout }\nlimits: { publish_rate: 1 }\n")
    session = broker.session()
    for number in range(5):
        session.send(op="publish", topic="a", data=1, id=number)
    hit = json.loads(broker.wait_for_line('"limit.hit"'))
    assert hit["target"] == "limits.publish_rate" and hit["count"] == 4


def test_a_log_in_a_new_data_directory_is_created(start_broker, tmp_path):
    broker = start_broker("log: { audit: ./data/audit.log }\n", directory=tmp_path)
    wait_until(lambda: lines(broker, "data/audit.log"), "the line of the start")
    assert lines(broker, "data/audit.log")[0]["event"] == "start"


def test_an_unusable_log_file_stops_the_start(tmp_path):
    (tmp_path / "broker.yaml").write_text("log: { audit: /nowhere/audit.log }\n")
    done = run_brokerd("--config", "broker.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == "brokerd: broker.yaml:1:15: log.audit: cannot open /nowhere/audit.log: No such file or directory\n"
