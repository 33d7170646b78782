"""Three brokers on one engine, administered together."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from access_harness import bearer
from broker_process import free_port
from cluster_rig import NAMES, cluster, engine, is_ready, said, shared  # noqa: F401
from command_line import BROKERCTL, BROKERD, REPOSITORY
from deadlines import ANSWER_DEADLINE, wait_until

# A broker that is stopped is still asked, however long it takes until it is.
LEASE = "1m"


def test_brokerctl_and_metrics_show_the_cluster(cluster):
    status = cluster.brokers[0].control_json("cluster", "status")
    assert (status["cluster"], status["name"], status["state"]) == ("test", "a", "active")
    # It works without; a promoted replica may also have other settings.
    (warning,) = [text for text in status["warnings"] if "min-replicas-to-write 1" in text]
    assert warning in said(cluster.brokers[0].control("cluster"))
    assert status["primary"] == f"127.0.0.1:{cluster.engine.primary.port}" and status["replica"] != status["primary"]

    def names():
        rows = cluster.brokers[1].control_json("cluster", "nodes")
        return {row["name"]: row["alive"] for row in rows} == {name: True for name in NAMES}

    wait_until(names, "three brokers that are there")
    rows = cluster.brokers[1].control_json("cluster", "nodes")
    assert [row["name"] for row in rows if row["here"]] == ["b"]
    samples = cluster.brokers[2].metrics()
    assert samples['broker_cluster_info{node="c"}'] == 1 and samples["broker_cluster_ready"] == 1
    assert samples["broker_cluster_nodes"] == 3 and samples["broker_cluster_lag_seconds"] > 0
    here = rows[0]["node"]
    done = cluster.brokers[0].control("cluster", "forget", here)
    assert done.returncode == 1 and b"is not down" in done.stderr


def test_one_broker_lists_and_kicks_the_clients_of_all(cluster):
    first, second, third = cluster.brokers
    sessions = [broker.session() for broker in cluster.brokers]
    for session in sessions:
        session.subscribe("fleet/here")
    names = [session.welcome["client"] for session in sessions]
    rows = {row["id"]: row["node"] for row in first.control_json("clients", "--filter", "fleet/here")}
    assert rows == dict(zip(names, NAMES))
    assert [row["id"] for row in first.control_json("clients", "--node", "b", "--filter", "fleet/here")] == [names[1]]
    limited = second.control_json("clients", "--filter", "fleet/here", "--sort", "node", "--limit", "2")
    assert [row["id"] for row in limited] == names[:2], "the first of all, not of each"
    assert [row["id"] for row in third.control_json("clients", "--where", "node = a", "--filter", "fleet/here")] == names[:1]
    assert "NODE" in said(first.control("clients"))
    assert first.control_json("clients", "show", names[2])["node"] == "c"
    assert said(first.control("clients", "policy", names[2], "latest")) == "latest: 1 subscription\n"
    third.publish("fleet/here", "1", "retain")
    (topic,) = second.control_json("topics", "fleet/#", "--seconds", "0")
    assert (topic["topic"], topic["subscriptions"], topic["retained"]) == ("fleet/here", 3, True)
    (topic,) = second.control_json("topics", "fleet/#", "--seconds", "0", "--node", "a")
    assert topic["subscriptions"] == 1
    wait_until(lambda: first.control_json("why", names[2], "fleet/here")["messages"], "the message")
    assert said(first.control("clients", "kick", "--filter", "fleet/here", "--dry-run")) == "would be disconnected: 3\n"
    assert said(first.control("clients", "kick", names[1])) == "disconnected: 1\n"
    assert sessions[1].websocket.receive_close()[0] == 4410
    assert said(first.control("clients", "kick", "--filter", "fleet/here")) == "disconnected: 2\n"
    assert [sessions[place].websocket.receive_close()[0] for place in (0, 2)] == [4410, 4410]
    assert "There is no broker x" in said(first.control("clients", "--node", "x"), 1)
    assert "There is no client" in said(first.control("clients", "show", names[1]), 1)


def test_a_kick_with_a_ban_counts_the_clients_of_all(cluster):
    first, second, third = cluster.brokers
    said(first.control("users", "add", "kim", "--no-password"))
    token = said(first.control("token", "mint", "--user", "kim")).strip()
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "the token")
    sessions = [broker.session(headers=bearer(token)) for broker in cluster.brokers]
    assert said(second.control("clients", "kick", "--user", "kim", "--ban", "1h")) == "disconnected: 3\nbanned: user kim\n"
    assert {session.websocket.receive_close() for session in sessions} == {(4410, "temporarily banned")}
    said(first.control("bans", "remove", first.control_json("bans")[0]["id"]))
    said(first.control("users", "remove", "kim"))


def test_a_broker_that_does_not_answer_is_named(cluster):
    first, second, third = cluster.brokers
    session = first.session()
    third.send_signal(signal.SIGSTOP)
    try:
        done = first.control("clients", "--json")
        rows = {row["node"] for row in json.loads(done.stdout)}
        assert done.returncode == 1 and "a" in rows and "c" not in rows
        assert b"broker c does not respond; its part of the list is missing" in done.stderr
    finally:
        third.send_signal(signal.SIGCONT)
    wait_until(lambda: is_ready(third), "ready again")
    wait_until(lambda: first.control("clients", "--node", "c").returncode == 0, "an answer")
    assert session.request(op="ping")["op"] == "pong"


def test_a_broker_can_be_drained_from_another(cluster):
    first, second, third = cluster.brokers
    session = third.session()
    before = len(first.control_json("cluster", "nodes"))
    assert said(first.control("cluster", "drain", "c", "--yes")) == "the broker c is shutting down\n"
    assert session.expect("restart")["retry"] >= 0
    assert session.websocket.receive_close()[0] == 1012
    assert third.wait_for_exit() == 0
    wait_until(lambda: len(first.control_json("cluster", "nodes")) == before - 1, "a list without it")
    assert first.publish("fleet/rest", "goes on")["seq"] > 0
    third.start()
    wait_until(lambda: is_ready(third), "the broker that was drained")


def test_metrics_cover_all_brokers(cluster):
    sessions = [broker.session() for broker in cluster.brokers]

    def total(broker):
        samples = broker.metrics()
        return [samples.get(f'broker_cluster_clients{{node="{name}"}}', 0) for name in NAMES]

    cluster.everywhere(lambda broker: all(count >= 1 for count in total(broker)), "the clients of all")
    def shown(broker, name):
        answer = broker.retained(f"$SYS/cluster/{name}")
        return int(answer.body) if answer.status == 200 else 0

    cluster.everywhere(lambda broker: shown(broker, "clients/connected") >= 3, "their sum")
    cluster.everywhere(lambda broker: shown(broker, "nodes/count") >= 3, "three brokers")
    assert all(session.request(op="ping")["op"] == "pong" for session in sessions)


def test_brokers_with_colliding_client_numbers_warn(cluster):
    number = cluster.brokers[0].control_json("cluster", "status")["node"].rjust(16, "0")
    twin = cluster.make("twin")
    twin.data.mkdir(parents=True)
    (twin.data / "node").write_text(f"test\n{number[:4]}{'1' * 12}\n1\n")
    try:
        twin.start()
        sentence = f"the broker {number.lstrip('0')} has the same number as this one"
        wait_until(lambda: sentence in twin.http("GET", "/health/ready").json.get("reason", ""), "a broker that says so")
    finally:
        twin.finish()


def test_the_commands_of_the_manual_work(tmp_path):
    """The blocks of docs/cluster.md, unchanged except for the ports."""
    page = (REPOSITORY / "docs/cluster.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    script = "set -e\n" + "echo\n".join(blocks)
    for port in ("8081", "8082", "8083", "6379", "6380", "6381", "26379", "26380", "26381"):
        script = re.sub(rf"(?<!\d){port}(?!\d)", str(free_port()), script)
    script = script.replace(".build/release/brokerd", BROKERD).replace(".build/release/brokerctl", BROKERCTL)
    shell = subprocess.Popen(
        ["bash", "-c", script], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    try:
        printed, _ = shell.communicate(timeout=2 * ANSWER_DEADLINE)
    finally:
        end_processes(below=tmp_path)
    assert shell.returncode == 0, printed
    for part in ("21.5", "state           active", "3 of 3 alive", "\n22\n", "\n23\n"):
        assert part in printed, (part, printed)


def end_processes(below):
    """Ends the processes that a failed walk leaves: those with their working directory there."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            directory = (process / "cwd").readlink()
        except OSError:
            continue
        if directory.is_relative_to(below):
            os.kill(int(process.name), signal.SIGKILL)
