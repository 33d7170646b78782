"""access.md §6, §11: users, tokens and rules of the running broker; the audit log as administrators read it."""

import fcntl
import json
import os
import socket
import subprocess

import pytest

from access_harness import basic, bearer, harness  # noqa: F401  The fixture is found by its name.
from admin_harness import SUBPROTOCOL
from broker_process import free_port
from command_line import BROKERCTL, run_control
from deadlines import ANSWER_DEADLINE, wait_until
from raw_websocket import RawWebSocket
from test_audit import lines, the

RULES = """log: { audit: ./audit.log, audit_authentications: %s }
access:
  anonymous: { publish: [], subscribe: ["public/#"] }
  query_tokens: %s
  rules:
    - { role: sensor, publish: ["sensors/{user}/#"], subscribe: ["sensors/#"] }
"""
SECRET = "correct horse"


def said(done, status=0):
    assert done.returncode == status, done
    return (done.stdout if status == 0 else done.stderr).decode()


@pytest.fixture
def start(start_broker):
    def start(authentications="failed", query_tokens="short"):
        return start_broker(RULES % (authentications, query_tokens))
    return start


@pytest.fixture
def broker(start):
    broker = start()
    said(broker.control("users", "add", "s1", "--role", "sensor", "--password-stdin", input=SECRET.encode() + b"\n"))
    return broker


def mint(broker, *arguments):
    return said(broker.control("token", "mint", "--user", "s1", *arguments)).strip()


def publish(broker, headers, topic="sensors/s1/t"):
    return broker.http("POST", f"/t/{topic}", body="1", headers=headers).status


# Users and tokens


def test_the_running_broker_edits_the_file(broker):
    """The configuration is not reloaded, so its errors do not matter."""
    broker.config_file.write_text("nonsense: [")
    assert publish(broker, basic("s1", SECRET)) == 200
    assert said(broker.control("users", "role", "s1", "-sensor", "+other")) == "s1: other\n"
    assert publish(broker, basic("s1", SECRET)) == 403
    assert broker.control_json("users", "list") == [
        {"user": "s1", "roles": ["other"], "password": "yes", "certificate": False, "tokens": 0, "disabled": False}]
    said(broker.control("users", "password", "s1", "--password-stdin", input=b"another\n"))
    assert publish(broker, basic("s1", SECRET)) == 401
    assert publish(broker, basic("s1", "another")) == 403
    assert said(broker.control("users", "disable", "s1")) == "disabled: s1\n"
    assert publish(broker, basic("s1", "another")) == 401
    said(broker.control("users", "enable", "s1"))
    token = mint(broker)
    assert said(broker.control("users", "remove", "s1")) == "removed: s1, 1 token\n"
    assert publish(broker, bearer(token)) == 401
    assert broker.control_json("users", "list") == []


def test_changes_are_printed_as_json(broker):
    """So that a script need not take the text for people apart."""
    show = broker.control_json
    assert show("users", "add", "s2", "--no-password", "--role", "a", "--role", "b") == {"user": "s2", "roles": ["a", "b"]}
    assert show("users", "role", "s2", "-a", "+c") == {"user": "s2", "roles": ["b", "c"]}
    done = broker.control("users", "password", "s2", "--password-stdin", "--json", input=b"another\n")
    assert json.loads(said(done)) == {"user": "s2"}
    assert show("users", "disable", "s2") == {"user": "s2", "disabled": True}
    assert show("users", "enable", "s2") == {"user": "s2", "disabled": False}
    minted = show("token", "mint", "--user", "s2")
    assert show("token", "revoke", minted["id"]) == {"token": minted["id"]}
    assert show("token", "revoke", "--user", "s2") == {"user": "s2"}
    assert show("token", "revoke", "--jti", "j1") == {"jti": "j1"}
    assert show("users", "remove", "s2") == {"user": "s2", "tokens": 0}


def test_refused_changes_are_explained(broker):
    assert said(broker.control("users", "add", "s1", "--no-password"), 1) == "brokerctl: there is a user s1 already (bad-request)\n"
    assert said(broker.control("users", "remove", "nobody"), 1) == "brokerctl: there is no user nobody (not-found)\n"
    file = broker.data / "access.jsonl"
    file.write_text("{\n")
    assert "access.jsonl:1: expected a JSON object" in said(broker.control("users", "add", "s2", "--no-password"), 1)
    # The previous users are still in force.
    assert publish(broker, basic("s1", SECRET)) == 200


def test_without_a_broker_the_file_must_be_named(tmp_path):
    socket = ("--socket", str(tmp_path / "admin.sock"))
    assert said(run_control(*socket, "users", "add", "a", "--no-password"), 2).endswith("; to work without a broker, name the file with --file\n")
    assert said(run_control("users", "add", "a", "--no-password", "--file", str(tmp_path / "access.jsonl"))) == "added: a\n"
    assert said(run_control(*socket, "acl", "explain", "a", "publish", "x"), 2).endswith("name a configuration with --config\n")


def test_concurrent_changes_are_all_kept(broker):
    names = [f"user{number}" for number in range(10)]
    children = [
        subprocess.Popen([BROKERCTL, "--socket", str(broker.admin_socket), "users", "add", name, "--no-password"], stdout=subprocess.DEVNULL)
        for name in names]
    assert publish(broker, basic("s1", SECRET)) == 200
    assert [child.wait(ANSWER_DEADLINE) for child in children] == [0] * 10
    assert {user["user"] for user in broker.control_json("users", "list")} == {"s1", *names}


def test_the_audit_log_names_the_administrator_and_no_secret(broker):
    token = mint(broker, "--note", "n")
    said(broker.control("token", "revoke", token))
    (added,) = the(broker, "users.add")
    assert added["target"] == "user s1" and added["result"] == "ok" and added["actor"]["via"] == "socket"
    (minted,) = the(broker, "token.mint")
    (revoked,) = the(broker, "token.revoke")
    assert minted["result"] == token.split("_")[1] and revoked["target"] == f"token {token.split('_')[1]}"
    written = (broker.directory / "audit.log").read_text() + "\n".join(broker.lines)
    assert SECRET not in written and token.split("_")[2] not in written


def test_a_token_for_urls_expires_after_an_hour(broker, start):
    token = mint(broker, "--in-url")
    (entry,) = broker.control_json("token", "list")
    assert entry["expires"] - entry["created"] == 3600
    assert broker.http("GET", f"/t/sensors/a?token={token}").status == 404
    assert "at most an hour" in said(broker.control("token", "mint", "--user", "s1", "--in-url", "--ttl", "2h"), 64)
    other = start(query_tokens="none")
    said(other.control("users", "add", "s1", "--no-password"))
    assert "access.query_tokens: none" in said(other.control("token", "mint", "--user", "s1", "--in-url"), 1)


def test_token_check_explains_a_token(broker):
    def check(token, *arguments, status=0):
        done = broker.control("token", "check", *arguments, input=token.encode() + b"\n")
        assert done.returncode == status, done
        return done.stdout.decode()

    token = mint(broker, "--publish", "sensors/s1/t", "--ttl", "1h", "--from", "10.0.0.0/8")
    shown = check(token, "--address", "10.1.2.3")
    assert shown.startswith("valid s1\n  kind     token\n") and "  roles    sensor\n" in shown
    assert "  may      publish sensors/s1/#\n" in shown and "  at most  publish sensors/s1/t\n" in shown
    assert check(token, status=1) == "refused not valid from this address\n"
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert check(wrong, status=1) == "refused wrong secret\n"
    assert check("bk_abcdefgh_" + "0" * 43, status=1) == "refused unknown token\n"
    said(broker.control("users", "disable", "s1"))
    assert check(token, status=1) == "refused the user is disabled\n"
    assert json.loads(check("x", "--json", status=1)) == {"valid": False, "reason": "not a token of this broker"}


def test_changes_waiting_for_the_file_are_limited(start_broker):
    """Another program locks the file: one change is in progress, 64 wait, and further ones are refused and counted."""
    broker = start_broker()
    holder = os.open(broker.data, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    plain = socket.socket(socket.AF_UNIX)
    plain.settimeout(ANSWER_DEADLINE)
    plain.connect(str(broker.admin_socket))
    websocket = RawWebSocket(plain, "localhost", "/admin", (SUBPROTOCOL,), {})
    broker.opened.append(websocket)

    def add(number):
        websocket.send_text(json.dumps({"id": number, "verb": "users.add", "user": f"user{number}"}))

    def answer():
        return json.loads(websocket.receive_message(ANSWER_DEADLINE)[1])

    add(0)
    for number in range(1, 68):
        add(number)
    refused = [answer() for _ in range(3)]
    assert [one["id"] for one in refused] == [65, 66, 67]
    assert {one["error"]["message"] for one in refused} == {"Too many changes of users and tokens are waiting; try again."}
    metrics = broker.metrics()
    assert (metrics["broker_user_changes_waiting"], metrics["broker_user_changes_refused_total"]) == (64, 3)
    os.close(holder)
    assert sorted(answer()["id"] for _ in range(65)) == list(range(65))
    assert broker.metrics()["broker_user_changes_waiting"] == 0


# Rules


def test_acl_explain_uses_the_running_broker(broker):
    session = broker.session(headers=basic("s1", SECRET))
    client = session.welcome["client"]
    shown = "allowed\n  rules[0] role sensor: publish sensors/{user}/# = sensors/s1/#  matches\n"
    assert said(broker.control("acl", "explain", "s1", "publish", "sensors/s1/t")) == shown
    assert said(broker.control("acl", "explain", "--client", client, "publish", "sensors/s1/t")) == shown
    denied = broker.control("acl", "explain", "--client", client, "publish", "sensors/s2/t")
    assert denied.returncode == 1 and denied.stdout.startswith(b"denied: no rule allows it\n")
    assert said(broker.control("acl", "explain", "anonymous", "subscribe", "public/a")).startswith("allowed\n")
    assert said(broker.control("acl", "explain", "s2", "publish", "sensors/s2/t", "--role", "sensor")).startswith("allowed\n")
    rows = [line.split() for line in said(broker.control("acl", "list", "--client", client)).splitlines()[1:]]
    assert ["subscribe", "sensors/#", "rules[0]", "role", "sensor"] in rows
    tested = broker.control("acl", "test", "-", input=b"s1 publish sensors/s1/a allow\ns1 publish x deny\n")
    assert said(tested) == "2 as expected\n"
    less = bearer(mint(broker, "--publish", "sensors/s1/t"))
    limited = broker.session(headers=less).welcome["client"]
    assert broker.control("acl", "explain", "--client", limited, "publish", "sensors/s1/u").stdout.decode() == (
        "denied: its token does not allow it\n"
        "  rules[0] role sensor: publish sensors/{user}/# = sensors/s1/#  matches\n"
        "  its token, at most: publish sensors/s1/t  does not match\n")
    assert broker.control("acl", "explain", "--client", limited, "read").stdout.decode() == (
        "denied: no rule allows it\n  rules[0] role sensor: (no admin)\n")
    assert "There is no client nobody." in said(broker.control("acl", "explain", "--client", "nobody", "publish", "a"), 1)
    # The present rules, not those at the time of its connection.
    said(broker.control("users", "role", "s1", "-sensor"))
    assert broker.control("acl", "explain", "--client", client, "publish", "sensors/s1/t").returncode == 1


# The audit log


def test_failed_credentials_are_logged_with_a_reason_but_no_secret(broker):
    token = mint(broker)
    identifier, secret = token.split("_")[1:]
    publish(broker, bearer(f"bk_{identifier}_{secret[::-1]}"))
    publish(broker, basic("s1", "guessed right"))
    publish(broker, {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJtYWxsb3J5In0."})
    session = broker.session()
    session.send(op="authenticate", id=1, token="bk_abcdefgh_" + "0" * 43)
    session.expect("error", id=1)
    wait_until(lambda: sum(line.get("count", 1) for line in lines(broker) if line["event"] == "auth.failed") == 4, "four failures")
    failures = {line["kind"]: line for line in lines(broker) if line["event"] == "auth.failed"}
    assert failures["password"]["user"] == "s1" and failures["password"]["result"] == "wrong password"
    assert failures["jwt"]["user"] == "mallory"
    tokens = [line for line in lines(broker) if line["event"] == "auth.failed" and line["kind"] == "token"]
    assert tokens[0]["token"] == identifier and tokens[0]["result"] == "wrong secret" and tokens[0]["address"].startswith("127.0.0.1:")
    written = (broker.directory / "audit.log").read_text()
    assert "guessed right" not in written and secret[::-1] not in written and secret not in written
    assert not [line for line in lines(broker) if line["event"] == "auth.ok"]


def test_credentials_presented_in_a_disabled_way_are_logged(start_broker, tmp_path):
    """The credentials are not checked; the attempt is logged nevertheless."""
    port = free_port()
    broker = start_broker(
        f"listen: [{{ address: '0.0.0.0:{port}' }}]\nlog: {{ audit: ./audit.log }}\n"
        "access: { anonymous: { publish: [], subscribe: [] }, query_tokens: none }\n",
        directory=tmp_path, port=port, configured_listen=True)
    assert publish(broker, basic("s1", SECRET)) == 403
    secret = "0" * 43
    assert broker.http("GET", f"/t/a?token=bk_abcdefgh_{secret}").status == 401
    wait_until(lambda: len([line for line in lines(broker) if line["event"] == "auth.failed"]) == 2, "two failures")
    failures = {line["kind"]: line for line in lines(broker) if line["event"] == "auth.failed"}
    assert failures["password"]["user"] == "s1" and failures["password"]["result"] == "a password without TLS"
    assert failures["token"]["token"] == "abcdefgh" and failures["token"]["result"] == "a token in the URL"
    written = (broker.directory / "audit.log").read_text() + "\n".join(broker.lines)
    assert SECRET not in written and secret not in written
    metrics = broker.metrics()
    assert metrics['broker_auth_total{kind="password",result="failed"}'] == 1
    assert metrics['broker_auth_total{kind="token",result="failed"}'] == 1


def test_valid_credentials_are_logged_if_configured(start):
    broker = start(authentications="all")
    said(broker.control("users", "add", "s1", "--no-password", "--role", "sensor"))
    token = mint(broker)
    assert [publish(broker, bearer(token)) for _ in range(3)] == [200] * 3
    wait_until(lambda: sum(line.get("count", 1) for line in lines(broker) if line["event"] == "auth.ok") == 3, "three authentications")
    line = next(line for line in lines(broker) if line["event"] == "auth.ok")
    assert (line["kind"], line["user"], line["token"]) == ("token", "s1", token.split("_")[1])


def test_the_audit_log_records_revoked_sessions(broker):
    session = broker.session(headers=basic("s1", SECRET))
    said(broker.control("users", "disable", "s1"))
    assert session.websocket.receive_close() == (4401, "revoked")
    (revoked,) = the(broker, "session.revoked")
    assert revoked["user"] == "s1" and revoked["target"] == f"client {session.welcome['client']}"


def test_the_audit_log_is_read_and_followed(broker):
    def read(*arguments):
        return [json.loads(line) for line in said(broker.control("audit", *arguments)).splitlines()]

    wait_until(lambda: "users.add" in [line["event"] for line in read()], "the line of the user")
    assert read()[0]["event"] == "start"
    about = {line["event"] for line in read("--user", "s1", "--since", "1h")}
    assert "users.add" in about and "start" not in about
    follower = subprocess.Popen([BROKERCTL, "--socket", str(broker.admin_socket), "audit", "--follow", "--user", "s2"], stdout=subprocess.PIPE)
    said(broker.control("users", "add", "s2", "--no-password"))
    line = json.loads(follower.stdout.readline())
    assert line["event"] == "users.add" and line["target"] == "user s2"
    said(broker.control("users", "disable", "s2"))
    assert json.loads(follower.stdout.readline())["event"] == "users.disable"
    said(broker.control("users", "enable", "s2"))
    assert json.loads(follower.stdout.readline())["event"] == "users.enable"
    follower.kill()
    follower.wait()
    follower.stdout.close()


def test_reading_without_an_audit_log_names_the_setting(start_broker):
    assert "set log.audit" in said(start_broker().control("audit"), 1)
