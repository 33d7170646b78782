"""Three brokers on one engine share their users, tokens, bans and rules."""

import shutil

from access_harness import basic, bearer
from broker_process import Broker
from cluster_rig import NAMES, at_once, cluster, collect, engine, is_ready, reload, said, shared, users  # noqa: F401
from command_line import run_control
from deadlines import wait_until


def test_the_first_broker_contributes_its_users_and_other_files_are_set_aside(cluster):
    first, second, third = cluster.brokers
    for broker in cluster.brokers:
        assert {row["user"] for row in broker.control_json("users", "list")} == {"from-a", "from-start"}
        copy = (broker.data / "access.jsonl").read_bytes()
        assert b"from-a" in copy and b"from-start" in copy and b"from-b" not in copy
    assert b"from-b" in (second.data / "access.jsonl.replaced").read_bytes()
    assert not (third.data / "access.jsonl.replaced").exists()


def login(broker, user, password):
    """The status of a request with these credentials; 404 if they are right, because the topic has no value."""
    return broker.http("GET", "/t/nothing", headers=basic(user, password)).status


def test_users_and_tokens_apply_at_all_brokers(cluster):
    first, second, third = cluster.brokers
    added = first.control("users", "add", "ann", "--role", "staff", "--password-stdin", input=b"correct horse\n")
    assert said(added) == "added: ann\n"
    cluster.everywhere(lambda broker: login(broker, "ann", "correct horse") == 404, "the user")
    assert [users(broker) for broker in cluster.brokers] == [{"ann": ["staff"]}] * 3
    assert said(second.control("users", "add", "ann", "--no-password"), 1) == (
        "brokerctl: there is a user ann already (bad-request)\n")
    token = said(third.control("token", "mint", "--user", "ann")).strip()
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "the token")
    sessions = [broker.session(headers=bearer(token)) for broker in cluster.brokers]
    said(first.control("token", "revoke", token))
    for session in sessions:
        assert session.websocket.receive_close() == (4401, "revoked")
    assert {broker.http("GET", "/t/x", headers=bearer(token)).status for broker in cluster.brokers} == {401}
    assert len({(broker.data / "access.jsonl").read_bytes() for broker in cluster.brokers}) == 1, "the files are copies"
    said(second.control("users", "remove", "ann"))
    cluster.everywhere(lambda broker: login(broker, "ann", "correct horse") == 401, "no user")


def test_adding_one_user_at_three_brokers_succeeds_once(cluster):
    answers = at_once(*[
        lambda broker=broker: broker.control("users", "add", "once", "--role", broker.directory.name, "--no-password")
        for broker in cluster.brokers])
    assert sorted(answer.returncode for answer in answers) == [0, 1, 1], answers
    role = NAMES[[answer.returncode for answer in answers].index(0)]
    changes = at_once(*[
        lambda broker=broker: said(broker.control("users", "role", "once", f"+x{broker.directory.name}"))
        for broker in cluster.brokers])
    assert len(changes) == 3
    cluster.everywhere(lambda broker: set(users(broker)["once"]) == {role, "xa", "xb", "xc"}, "the roles of all")
    said(cluster.brokers[0].control("users", "remove", "once"))


def test_a_ban_applies_at_all_brokers(cluster):
    first, second, third = cluster.brokers
    said(first.control("users", "add", "bob", "--no-password"))
    token = said(first.control("token", "mint", "--user", "bob")).strip()
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "the token")
    here, there = first.session(headers=bearer(token)), second.session(headers=bearer(token))
    assert "banned: user bob" in said(first.control("bans", "add", "user", "bob", "--for", "1h", "--note", "noisy"))
    assert here.websocket.receive_close() == there.websocket.receive_close() == (4410, "temporarily banned")
    (ban,) = third.control_json("bans")
    assert (ban["name"], ban["note"], ban["expires"] - ban["added"]) == ("bob", "noisy", 3_600_000)
    assert third.http("GET", "/t/x", headers=bearer(token)).status == 403
    said(third.control("bans", "remove", ban["id"]))
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "no ban")
    session = second.session(headers=bearer(token))
    assert "disconnected: 1" in said(second.control("clients", "kick", "--user", "bob", "--ban", "1s", "--yes"))
    assert session.websocket.receive_close() == (4410, "temporarily banned")
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "an ended ban")
    said(first.control("users", "remove", "bob"))


def test_a_returning_broker_learns_of_revocations(cluster):
    first, second, third = cluster.brokers
    said(first.control("users", "add", "eve", "--no-password"))
    token = said(first.control("token", "mint", "--user", "eve")).strip()
    cluster.everywhere(lambda broker: broker.http("GET", "/t/x", headers=bearer(token)).status == 404, "the token")
    third.kill()
    said(first.control("token", "revoke", token))
    said(first.control("users", "add", "new", "--no-password"))
    said(first.control("bans", "add", "user", "eve"))
    third.start()
    wait_until(lambda: is_ready(third), "the broker that was away")
    assert third.http("GET", "/t/x", headers=bearer(token)).status == 401
    wait_until(lambda: set(users(third)) == {"eve", "new"}, "the users")
    assert [ban["name"] for ban in third.control_json("bans")] == ["eve"]
    third.kill()
    third.start()
    assert [ban["name"] for ban in third.control_json("bans")] == ["eve"], "it is in the store"
    for user in ("eve", "new"):
        said(second.control("users", "remove", user))
    said(second.control("bans", "remove", first.control_json("bans")[0]["id"]))
    cluster.everywhere(is_ready, "ready")


def test_editing_a_copy_of_the_users_changes_the_cluster(cluster):
    first, second, third = cluster.brokers
    said(second.control("users", "add", "filed", "--no-password"))
    cluster.everywhere(lambda broker: b"filed" in (broker.data / "access.jsonl").read_bytes(), "the copy")
    copy = str(first.data / "access.jsonl")
    said(run_control("users", "add", "typed", "--no-password", "--file", copy))
    said(run_control("users", "remove", "filed", "--file", copy))
    cluster.everywhere(lambda broker: set(users(broker)) == {"typed"}, "the change")
    said(third.control("users", "remove", "typed"))
    cluster.everywhere(lambda broker: b"typed" not in (broker.data / "access.jsonl").read_bytes(), "the copy")


def test_clients_cannot_access_the_shared_topics(cluster):
    broker = cluster.brokers[0]
    said(broker.control("users", "add", "secret", "--password-stdin", input=b"correct horse\n"))
    session = broker.session()
    for name in ("$cluster/#", "$cluster/access/+", "$cluster"):
        assert session.request(op="subscribe", filter=name)["code"] == "forbidden"
        assert said(broker.control("retained", "list", name), 1).endswith("belongs to the broker. (forbidden)\n")
    assert session.request(op="publish", topic="$cluster/access/x", data="{}", retain=True)["code"] == "forbidden"
    assert broker.http("GET", "/t/$cluster/founded", headers=basic("secret", "correct horse")).status == 403
    assert not [row for row in broker.control_json("retained", "list") if row["topic"].startswith("$cluster")]
    assert b"scrypt" not in broker.control("retained", "export", "#").stdout
    said(broker.control("users", "remove", "secret"))


def test_the_rules_of_the_last_reload_apply_at_all_brokers(cluster):
    first, second, third = cluster.brokers
    old = {broker: broker.config_file.read_text() for broker in cluster.brokers}
    anonymous = 'access:\n  anonymous: { publish: ["open/#"], subscribe: ["#"] }\n'

    def files():
        return {row["name"]: row["fileDiffers"] for row in second.control_json("cluster", "nodes") if row["alive"]}

    def allows(broker, topic):
        return broker.http("POST", f"/t/{topic}", body="x").status == 200

    try:
        wait_until(lambda: files() == {"a": False, "b": False, "c": False}, "one set of rules")
        reload(first, old[first].replace("access:\n", anonymous))
        assert not allows(first, "shut") and allows(first, "open/x")
        cluster.everywhere(lambda broker: not allows(broker, "shut"), "the new rules")
        assert all(allows(broker, "open/x") for broker in cluster.brokers)
        second.wait_for_line("adopted the rules of the cluster")
        assert "access.anonymous" in second.wait_for_line("this broker's file has other rules than its cluster")
        wait_until(lambda: files() == {"a": False, "b": True, "c": True}, "the brokers with another file")
        cluster.everywhere(lambda broker: broker.metrics()["broker_cluster_differing_files"] == 2, "the figure of that")
        assert "set by a" in said(second.control("cluster")) and "this broker's file differs in" in said(second.control("cluster"))
        assert "open/#" in said(second.control("config", "show"))
        # A start does not restore an older file.
        second.stop()
        second.start()
        wait_until(lambda: is_ready(second), "the broker that was started again")
        assert not allows(second, "shut") and not allows(first, "shut")
        # What the history keeps is decided alike, in the order.
        reload(third, old[third].replace("history:\n", 'history:\n  - { filter: "ruled/#", messages: 5 }\n'))
        cluster.everywhere(lambda broker: allows(broker, "shut"), "the rules of the last reload")
        wait_until(lambda: files() == {"a": True, "b": True, "c": False}, "the brokers with another file now")
        for number in range(7):
            cluster.brokers[number % 3].publish("ruled/x", str(number), "ack=stored")
        kept = []
        for broker in cluster.brokers:
            session = broker.session()
            assert session.request(op="subscribe", filter="ruled/#", since="all")["op"] == "ok"
            kept.append([(seq, data) for seq, _, data in collect(session, 5)])
        assert kept[0] == kept[1] == kept[2] and [data for _, data in kept[0]] == ["2", "3", "4", "5", "6"]
        # Each file is compared with the rules in force, not with another file.
        reload(second, old[third].replace("history:\n", 'history:\n  - { filter: "ruled/#", messages: 5 }\n'))
        wait_until(lambda: files() == {"a": True, "b": False, "c": False}, "the same file at two")
    finally:
        for broker in cluster.brokers:
            reload(broker, old[broker])
        cluster.everywhere(lambda broker: broker.metrics()["broker_cluster_differing_files"] == 0, "one set of rules again")


def test_a_store_of_another_cluster_brings_back_no_users(cluster, tmp_path):
    """The file beside a restored store is newer than the users in that store, and founds the next cluster."""
    first = cluster.brokers[0]
    said(first.control("users", "add", "eve", "--password-stdin", input=b"the old password\n"))
    said(first.control("backup", str(tmp_path / "backup.mdb")))
    said(first.control("users", "password", "eve", "--password-stdin", input=b"the new password\n"))
    wait_until(lambda: login(first, "eve", "the new password") == 404, "the new password")
    restored = Broker(tmp_path / "restored", first.config_file.read_text().replace("name: test", "name: next"))
    restored.data.mkdir(mode=0o700, parents=True)
    said(run_control("restore", str(tmp_path / "backup.mdb"), "--data-dir", str(restored.data)))
    shutil.copy(first.data / "access.jsonl", restored.data)
    try:
        for number in range(2):
            restored.start()
            # Then the cluster's users are in force, not the file's.
            wait_until(lambda: restored.control("users", "add", f"u{number}", "--no-password").returncode == 0, "users of the cluster")
            assert login(restored, "eve", "the new password") == 404 and login(restored, "eve", "the old password") == 401
            restored.stop()
    finally:
        restored.kill()
