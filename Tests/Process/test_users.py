"""`brokerctl users` and `brokerctl token` on the file of users and tokens, with and without a running broker."""

import base64
import hashlib
import json
import os
import stat
import subprocess
import threading

import pytest

from command_line import BROKERCTL, run_control


@pytest.fixture
def file(tmp_path):
    return tmp_path / "access.jsonl"


def control(file, *arguments, input=None, status=0):
    done = run_control(*arguments, "--file", str(file), input=input)
    assert done.returncode == status, done
    return done.stdout.decode() if status == 0 else done.stderr.decode()


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_adds_a_user_with_a_password(file):
    assert control(file, "users", "add", "alice", "--role", "dashboard", "--password-stdin", input=b"correct horse\n") == "added: alice\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [user] = lines(file)
    assert user["user"] == "alice" and user["roles"] == ["dashboard"]
    empty, kind, cost, salt, digest = user["password"].split("$")
    assert (kind, cost) == ("scrypt", "ln=15,r=8,p=3")
    made = hashlib.scrypt(b"correct horse", salt=base64.b64decode(salt + "=="), n=1 << 15, r=8, p=3, dklen=32, maxmem=1 << 27)
    assert base64.b64decode(digest + "=") == made
    control(file, "users", "password", "alice", "--password-stdin", input=b"another\n")
    assert lines(file)[0]["password"] != user["password"]


def test_changes_roles_and_states(file):
    control(file, "users", "add", "bob", "--no-password", "--role", "a")
    assert control(file, "users", "role", "bob", "+b", "-a", "+c") == "bob: b c\n"
    control(file, "users", "disable", "bob")
    assert lines(file)[0]["disabled"] is True
    assert json.loads(control(file, "users", "list", "--json")) == [
        {"user": "bob", "roles": ["b", "c"], "password": "-", "certificate": False, "tokens": 0, "disabled": True}]
    control(file, "users", "enable", "bob")
    assert "disabled" not in lines(file)[0]
    # A user of a login server can be locked out, too.
    control(file, "users", "disable", "carol")
    assert lines(file)[1]["user"] == "carol" and lines(file)[1]["disabled"] is True


def test_a_token_is_shown_once(file):
    control(file, "users", "add", "ci", "--no-password")
    text = control(
        file, "token", "mint", "--user", "ci", "--publish", "build/#", "--ttl", "90d", "--from", "10.0.0.0/8", "--note", "Jenkins").strip()
    prefix, identifier, secret = text.split("_")
    assert prefix == "bk" and len(identifier) == 8 and len(secret) == 43
    token = lines(file)[1]
    assert token["token"] == identifier and token["publish"] == ["build/#"] and token["subscribe"] == []
    assert token["from"] == ["10.0.0.0/8"] and token["note"] == "Jenkins" and token["expires"] - token["created"] == 90 * 86_400
    assert base64.b64decode(token["sha256"]) == hashlib.sha256(secret.encode()).digest()
    assert secret not in file.read_text()
    assert secret not in control(file, "token", "list") + control(file, "token", "list", "--json")
    control(file, "token", "revoke", identifier)
    assert json.loads(control(file, "token", "list", "--json")) == []


def test_a_token_is_checked_by_the_file(file):
    control(file, "users", "add", "bob", "--no-password", "--role", "a")
    token = control(file, "token", "mint", "--user", "bob", "--ttl", "1h").strip()
    assert control(file, "token", "check", input=token.encode()).startswith("valid bob\n  kind     token\n")
    control(file, "token", "revoke", token)
    done = run_control("token", "check", "--file", str(file), input=token.encode())
    assert (done.returncode, done.stdout) == (1, b"refused unknown token\n")
    done = run_control("token", "check", "--file", str(file), input=b"")
    assert (done.returncode, done.stderr) == (1, b"brokerctl: standard input: expected a token on each line\n")


def test_revokes_tokens_and_logins(file):
    control(file, "users", "add", "bob", "--no-password")
    control(file, "token", "mint", "--user", "bob")
    control(file, "token", "revoke", "--user", "bob")
    control(file, "token", "revoke", "--user", "bob")
    control(file, "token", "revoke", "--jti", "j1")
    control(file, "token", "revoke", "--jti", "j1")
    assert [line["revoked"] for line in lines(file)[1:]] == [{"user": "bob", "before": lines(file)[1]["revoked"]["before"]}, {"jti": "j1"}]


def test_removing_a_user_removes_its_tokens(file):
    for name in ["bob", "carol"]:
        control(file, "users", "add", name, "--no-password")
        control(file, "token", "mint", "--user", name)
    assert control(file, "users", "remove", "bob") == "removed: bob, 1 token\n"
    assert [line["user"] for line in lines(file)] == ["carol", "carol"]


@pytest.mark.parametrize("arguments, words", [
    (("users", "add", "a/b", "--no-password"), "expected a name of 1 to 128 bytes"),
    (("users", "add", "$SYS", "--no-password"), "expected a name of 1 to 128 bytes"),
    (("users", "add", "bob", "--no-password"), "there is a user bob already"),
    (("users", "remove", "nobody"), "there is no user nobody"),
    (("users", "role", "nobody", "+a"), "there is no user nobody"),
    (("token", "mint", "--user", "nobody"), "there is no user nobody: brokerctl users add nobody --no-password"),
    (("token", "revoke", "abcdefgh"), "there is no token abcdefgh"),
])
def test_refused_changes_leave_the_file_unchanged(file, arguments, words):
    control(file, "users", "add", "bob", "--no-password")
    before = file.read_bytes()
    assert words in control(file, *arguments, status=1)
    assert file.read_bytes() == before


@pytest.mark.parametrize("arguments, words", [
    (("users", "add", "alice"), "--password-stdin"),
    (("users", "role", "bob", "a"), "expected +ROLE or -ROLE"),
    (("token", "mint", "--user", "bob", "--publish", "a/#/b"), "a/#/b"),
    (("token", "mint", "--user", "bob", "--ttl", "soon"), "--ttl"),
    (("token", "mint", "--user", "bob", "--from", "nowhere"), "--from"),
    (("token", "mint", "--user", "bob", "--admin", "root"), "--admin"),
    (("token", "revoke"), "expected an id, --user or --jti"),
])
def test_invalid_arguments_are_usage_errors(file, arguments, words):
    control(file, "users", "add", "bob", "--no-password")
    assert words in control(file, *arguments, status=64)


def test_unknown_members_are_kept(file):
    file.write_text('{"user":"alice","colour":"blue","roles":["a"]}\n{ "user": "bob", "x": [1, 2] }\n')
    file.chmod(0o600)
    control(file, "users", "role", "alice", "+b")
    assert lines(file)[0] == {"user": "alice", "roles": ["a", "b"], "colour": "blue"}
    assert file.read_text().splitlines()[1] == '{ "user": "bob", "x": [1, 2] }'


def test_a_file_with_errors_is_not_changed(file):
    file.write_text('{"user":"a/b"}\n')
    file.chmod(0o600)
    assert "access.jsonl:1: user: expected a name" in control(file, "users", "add", "bob", "--no-password", status=1)
    file.chmod(0o644)
    assert "chmod go-rwx" in control(file, "users", "add", "bob", "--no-password", status=1)
    assert file.read_text() == '{"user":"a/b"}\n'


def test_concurrent_changes_are_all_kept(file):
    names = [f"user{number}" for number in range(20)]
    threads = [
        threading.Thread(target=lambda name=name: subprocess.run(
            [BROKERCTL, "users", "add", name, "--no-password", "--file", str(file)], check=True, capture_output=True, timeout=60))
        for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(line["user"] for line in lines(file)) == sorted(names)
    assert os.listdir(file.parent) == [file.name]


# What the rules say

CONFIG = """
data_dir: %s
access:
  anonymous: { publish: [], subscribe: ["public/#"] }
  rules:
    - { everyone: true, subscribe: ["news/#"] }
    - { role: sensor, publish: ["sensors/{user}/#"], retain: ["sensors/{user}/state"] }
    - { role: dashboard, subscribe: ["sensors/#"], deny: ["sensors/secret/#"] }
    - { user: alice, admin: [read, write] }
"""


@pytest.fixture
def rules(tmp_path):
    config = tmp_path / "broker.yaml"
    config.write_text(CONFIG % tmp_path)
    for name, role in [("alice", "dashboard"), ("device7", "sensor")]:
        control(tmp_path / "access.jsonl", "users", "add", name, "--no-password", "--role", role)
    return str(config)


def test_acl_explain_shows_the_deciding_rules(rules):
    done = run_control("acl", "explain", "device7", "publish", "sensors/bob/x", "--config", rules)
    assert done.returncode == 1 and done.stdout.decode() == (
        "denied: no rule allows it\n"
        "  rules[0] everyone: (no publish)\n"
        "  rules[1] role sensor: publish sensors/{user}/# = sensors/device7/#  does not match\n")
    done = run_control("acl", "explain", "device7", "publish", "sensors/device7/x", "--config", rules)
    assert done.returncode == 0 and done.stdout.decode() == (
        "allowed\n"
        "  rules[0] everyone: (no publish)\n"
        "  rules[1] role sensor: publish sensors/{user}/# = sensors/device7/#  matches\n")
    done = run_control("acl", "explain", "alice", "subscribe", "sensors/#", "--config", rules)
    assert done.returncode == 1 and done.stdout.decode() == (
        "denied by rules[2] role dashboard: deny sensors/secret/# overlaps sensors/#\n"
        "  rules[0] everyone: subscribe news/#  does not match\n"
        "  rules[2] role dashboard: subscribe sensors/#  matches\n"
        "  rules[2] role dashboard: deny sensors/secret/#  matches\n"
        "  rules[3] user alice: (no subscribe)\n")
    done = run_control("acl", "explain", "alice", "publish", "sensors/secret/x", "--config", rules)
    assert done.returncode == 1 and done.stdout.decode() == (
        "denied by rules[2] role dashboard: deny sensors/secret/# matches sensors/secret/x\n"
        "  rules[0] everyone: (no publish)\n"
        "  rules[2] role dashboard: deny sensors/secret/#  matches\n"
        "  rules[3] user alice: (no publish)\n")


def test_acl_explain_shows_admin_rights(rules):
    def explain(*words, status):
        done = run_control("acl", "explain", *words, "--config", rules)
        assert done.returncode == status, done
        return (done.stdout or done.stderr).decode()

    assert explain("alice", "write", status=0) == (
        "allowed\n  rules[0] everyone: (no admin)\n"
        "  rules[2] role dashboard: (no admin)\n  rules[3] user alice: admin read, write  matches\n")
    assert explain("alice", "operate", status=1) == (
        "denied: no rule allows it\n  rules[0] everyone: (no admin)\n"
        "  rules[2] role dashboard: (no admin)\n  rules[3] user alice: admin read, write  does not match\n")
    assert explain("anonymous", "read", status=1).splitlines()[0] == "denied: administration needs credentials"
    assert "read: expected no topic" in explain("alice", "read", "a", status=64)
    assert "publish: expected a topic or filter" in explain("alice", "publish", status=64)
    assert "expected publish, subscribe, retain, read, write or operate, found rule" in explain("alice", "rule", "a", status=64)


def test_acl_list_lists_the_rights_of_a_user(rules):
    done = run_control("acl", "list", "device7", "--config", rules)
    rows = [line.split() for line in done.stdout.decode().splitlines()[1:]]
    assert rows == [
        ["publish", "sensors/device7/#", "rules[1]", "role", "sensor"], ["subscribe", "news/#", "rules[0]", "everyone"],
        ["retain", "sensors/device7/state", "rules[1]", "role", "sensor"]]


def test_acl_test_compares_the_rules_with_expectations(rules):
    right = b"""# what we promised
device7 publish sensors/device7/x allow
device7 retain sensors/device7/x deny
alice subscribe sensors/a/+ allow
alice publish sensors/a deny
nobody subscribe news/x allow
anonymous subscribe news/x deny
anonymous subscribe public/x allow
"""
    done = run_control("acl", "test", "-", "--config", rules, input=right)
    assert done.returncode == 0 and done.stdout == b"7 as expected\n", done
    done = run_control("acl", "test", "-", "--config", rules, input=b"alice publish a/b allow\nalice subscribe news/x allow\n")
    assert done.returncode == 1 and b"1 of 2 are not as expected" in done.stderr
    assert done.stdout == b"-:1: alice publish a/b allow: denied: no rule allows it\n"


# With a running broker


RULES = """
access:
  anonymous: { publish: [], subscribe: [] }
  rules:
    - { role: sensor, publish: ["sensors/{user}/#"], subscribe: ["sensors/#"] }
"""


def done(result, status=0):
    assert result.returncode == status, result
    return (result.stdout if status == 0 else result.stderr).decode()


def test_a_change_applies_when_the_command_returns(start_broker):
    """Only the path of the socket tells brokerctl which file it is."""
    broker = start_broker(RULES)
    done(broker.control("users", "add", "s1", "--no-password", "--role", "sensor"))
    token = done(broker.control("token", "mint", "--user", "s1")).strip()

    def publish(topic):
        return broker.http("POST", f"/t/{topic}", body="20", headers={"Authorization": f"Bearer {token}"}).status

    assert publish("sensors/s1/temp") == 200
    assert publish("sensors/s2/temp") == 403
    done(broker.control("users", "role", "s1", "-sensor"))
    assert publish("sensors/s1/temp") == 403
    done(broker.control("token", "revoke", token.split("_")[1]))
    assert publish("sensors/s1/temp") == 401


def test_pub_and_sub_accept_a_token(start_broker):
    broker = start_broker(RULES)
    done(broker.control("users", "add", "s1", "--no-password", "--role", "sensor"))
    token = done(broker.control("token", "mint", "--user", "s1")).strip()
    url = f"http://127.0.0.1:{broker.port}"
    done(run_control("--url", url, "--token", token, "pub", "sensors/s1/temp", "21.5", "--retain"))
    shown = done(run_control("--url", url, "sub", "sensors/#", "--count", "1", environment={"BROKER_TOKEN": token}))
    assert "21.5" in shown
    assert "unauthenticated" in done(run_control("--url", url, "pub", "sensors/s1/temp", "1"), 1)
    assert "--url" in done(broker.control("--token", token, "pub", "a", "1"), 64)


def test_reload_reports_success_or_failure(start_broker):
    broker = start_broker(RULES)
    assert done(broker.control("reload")) == "reloaded\n"
    # A change of users meanwhile does not count as one of the configuration.
    other = start_broker(RULES)
    other.config_file.write_text("nonsense: [")
    waiting = subprocess.Popen([BROKERCTL, "--socket", str(other.admin_socket), "reload"], stderr=subprocess.PIPE)
    other.wait_for_line("the settings have errors")
    done(other.control("users", "add", "s1", "--no-password"))
    file = broker.directory / "data" / "access.jsonl"
    file.write_text("{\n")
    file.chmod(0o600)
    refused = done(broker.control("config", "reload", timeout=60), 1)
    assert "Nothing was changed" in refused and "access.jsonl:1" in refused
    assert waiting.wait(60) == 1
    told = waiting.stderr.read().decode()
    assert "Nothing was changed" in told and "broker.yaml:2:1: not valid YAML" in told
    waiting.stderr.close()
