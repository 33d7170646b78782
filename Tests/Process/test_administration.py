"""access.md §11, §13: administration over the network: each verb, each right, each door."""

import base64
import json
import os
import re
import signal
import stat

import pytest

from admin_harness import CHIEF, RIGHTS, AdminHarness
from access_harness import wrong
from chromium import Chromium
from command_line import REPOSITORY, run_brokerd, run_control
from deadlines import ANSWER_DEADLINE, wait_until
from firefox import Firefox
from raw_websocket import RefusedHandshake

# What each verb but `drain` needs, and a request with it that changes nothing, or little.
VERBS = [
    ("read", "status", {}), ("read", "clients", {}), ("read", "client", {"client": "none"}), ("read", "topics", {}),
    ("read", "subscriptions", {}), ("read", "retained.list", {}), ("read", "retained.get", {"topic": "none"}),
    ("read", "retained.export", {}), ("write", "retained.set", {"topic": "a", "data": 1}),
    ("write", "retained.delete", {"filter": "a"}), ("write", "kick", {"client": "none"}),
    ("write", "client.policy", {"client": "none", "slow": "latest"}),
    ("read", "why", {"client": "none", "topic": "a"}), ("read", "trace", {"number": 1, "last": True}), ("read", "events", {}),
    ("read", "cluster", {}), ("operate", "cluster.forget", {"node": "none"}),
    ("read", "bans.list", {}), ("read", "users.list", {}), ("read", "token.list", {}), ("read", "token.check", {"token": "none"}),
    ("read", "acl.explain", {"action": "publish", "name": "a"}), ("read", "acl.list", {}),
    ("write", "bans.add", {"kind": "user", "name": "none"}),
    ("write", "bans.remove", {"ban": "none"}), ("operate", "users.password", {"user": "none", "password": "none"}),
    ("operate", "users.remove", {"user": "none"}), ("operate", "users.disable", {"user": "none", "enable": True}),
    ("operate", "users.role", {"user": "none", "changes": ["+none"]}), ("operate", "token.mint", {"user": "none"}),
    ("operate", "token.revoke", {"token": "none"}), ("operate", "audit", {}),
    ("operate", "users.add", {"user": "a/b"}), ("operate", "backup.next", {}),
    ("operate", "backup", {"path": "none/none.mdb"}), ("operate", "reload", {}),
    ("operate", "log.level", {}), ("operate", "config.show", {}), ("operate", "config.plan", {}),
]
# The requests above that are refused although the right is there, with their errors.
REFUSED = {"users.add": "bad-request", "backup.next": "conflict", "backup": "forbidden"}


@pytest.fixture
def harness(start_broker, tmp_path):
    return AdminHarness(start_broker, tmp_path)


def refusal(harness, headers, **options):
    with pytest.raises(RefusedHandshake) as refused:
        harness.open(headers, **options)
    body = refused.value.body
    return refused.value.status, json.loads(body)["error"]["message"] if body else ""


@pytest.mark.parametrize("door", ["plain", "tls", "unix"])
def test_each_verb_requires_its_right_on_each_listener(harness, door):
    for role, right in RIGHTS.items():
        administrator = harness.open(harness.bearer(role), door)
        for needed, verb, members in VERBS:
            answer = administrator.ask(verb, **members)
            told = answer.get("error", {}).get("message", "")
            lacks = f'{verb}: needs the right "{needed}".'
            assert (told == lacks) == (needed != right), (role, answer)
        # A request that is also malformed is refused because of the missing right.
        if right != "read":
            assert administrator.error("client", client=5) == "forbidden"
    for _, verb, members in VERBS:
        expected = {REFUSED[verb]} if verb in REFUSED else {None, "not-found"}
        assert harness.open({}, "socket").error(verb, **members) in expected, verb


def test_every_verb_is_listed():
    sources = (REPOSITORY / "Sources/Broker/AdminProtocol").glob("*.swift")
    declared = [verb for path in sources for verb in re.findall(r'static let verb = "([a-z.]+)"', path.read_text())]
    assert len(declared) > 30
    assert sorted(verb for _, verb, _ in VERBS) == sorted(set(declared) - {"drain"})


def test_only_an_operator_can_shut_the_broker_down(harness):
    assert harness.open(harness.bearer("reader"), "tls").error("drain") == "forbidden"
    assert harness.open(harness.bearer("writer")).error("drain") == "forbidden"
    assert harness.open(harness.bearer("operator"), "tls").error("drain") is None
    assert harness.broker.wait_for_exit() == 0


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_only_administrators_are_admitted(harness):
    assert refusal(harness, {})[0] == 401
    assert refusal(harness, {"Authorization": "Bearer " + wrong(harness.tokens["chief"])})[0] == 401
    status, message = refusal(harness, harness.bearer("guest"))
    assert status == 403 and "read, write or operate" in message
    # A token without --admin is for messages only, whatever rights its user has.
    token, _ = harness.file.token("chief")
    few, _ = harness.file.token("chief", admin=["read"])
    harness.rewrite()
    assert refusal(harness, {"Authorization": f"Bearer {token}"})[0] == 403
    administrator = harness.open({"Authorization": f"Bearer {few}"})
    assert administrator.error("status") is None and administrator.error("kick", client="x") == "forbidden"
    assert harness.open(basic("chief", "the chief himself")).error("kick", client="x") == "not-found"
    assert harness.open({}, subprotocols=("broker.admin.v1.json", "bearer." + harness.tokens["reader"])).error("status") is None


def test_other_listeners_do_not_serve_administration(harness):
    def answers(path):
        with pytest.raises(RefusedHandshake) as refused:
            harness.open(harness.bearer("chief"), "closed", path)
        return refused.value.status, refused.value.body.replace(path.encode(), b"PATH")
    assert answers("/admin") == answers("/none")
    assert answers("/admin")[0] == 404


def test_tokens_in_urls_and_cookies_are_refused(start_broker, tmp_path):
    harness = AdminHarness(start_broker, tmp_path, cookie="login")
    token = harness.file.token("chief", 60, admin=CHIEF)[0]
    harness.rewrite()
    assert harness.broker.http("GET", f"/t/none?token={token}").status == 404
    assert refusal(harness, {}, path=f"/admin?token={token}")[0] == 401
    cookie = {"Cookie": f"login={token}", "Sec-Fetch-Site": "same-origin"}
    assert harness.broker.http("GET", "/t/none", headers=cookie).status == 404
    assert refusal(harness, cookie)[0] == 401


@pytest.mark.parametrize("origin", ["same", "null", "https://evil.test"])
def test_a_page_cannot_administer(harness, origin):
    page = {"Origin": harness.url if origin == "same" else origin, "Host": f"127.0.0.1:{harness.port}"}
    for headers, subprotocols in [
        (harness.bearer("chief"), ["broker.admin.v1.json"]), (basic("chief", "the chief himself"), ["broker.admin.v1.json"]),
        ({}, ["broker.admin.v1.json", "bearer." + harness.tokens["chief"]]),
        # The answer does not tell wrong credentials from right ones.
        ({"Authorization": "Bearer none"}, ["broker.admin.v1.json"]),
    ]:
        administrator = harness.open(headers | page, subprotocols=subprotocols)
        administrator.websocket.send_text('{"id":1,"verb":"status"}')
        assert administrator.websocket.wait_for_end()[0] == 4403
    assert harness.broker.http("GET", "/admin", headers=harness.bearer("chief") | page).status == 403


@pytest.mark.parametrize("kind", [Chromium, Firefox])
def test_a_page_in_a_browser_cannot_administer(harness, tmp_path, kind):
    """The broker's own page, of the same origin, with a token."""
    browser = kind(tmp_path)
    try:
        browser.open(harness.url + "/")
        browser.wait_for_text("Authenticate first")
        browser.evaluate(
            "(() => { const say = text => document.body.append(text + ';');"
            f"const token = '{harness.tokens['chief']}';"
            "const open = (name, offers, query) => { const socket = new WebSocket('ws://' + location.host + '/admin' + query, offers);"
            "socket.onopen = () => socket.send('{\"id\":1,\"verb\":\"status\"}');"
            "socket.onmessage = () => say(name + ' answered');"
            "socket.onclose = event => say(name + ' closed ' + event.code + ' ' + event.reason) };"
            "open('offered', ['broker.admin.v1.json', 'bearer.' + token], '');"
            "open('addressed', ['broker.admin.v1.json'], '?token=' + token);"
            "fetch('/admin', { headers: { Authorization: 'Bearer ' + token } }).then(answer => say('fetched ' + answer.status)); return 0 })()")
        why = "closed 4403 Web pages may not administer the broker"
        # A reading request of the same origin has no Origin, and is not a WebSocket.
        assert "answered" not in browser.wait_for_text(f"offered {why}", f"addressed {why}", "fetched 426")
    finally:
        browser.close()


def test_the_brokers_own_page_administers_after_login(harness):
    """With the cookie that it got for a password, from exactly its own origin, until it logs out."""
    own = {"Origin": harness.url, "Host": f"127.0.0.1:{harness.port}"}
    person = json.dumps({"user": "chief", "password": "the chief himself"})
    login = harness.broker.http("POST", "/session", body=person, headers=own, timeout=60)
    cookie = {"Cookie": login.headers["Set-Cookie"].partition(";")[0]}
    administrator = harness.open(own | cookie)
    assert administrator.error("status") is None and administrator.error("kick", client="x") == "not-found"
    assert refusal(harness, cookie)[0] == 401
    for origin in ["null", f"http://127.0.0.1:{harness.port + 1}"]:
        assert harness.open(own | cookie | {"Origin": origin}).websocket.wait_for_end()[0] == 4403
    assert harness.broker.http("DELETE", "/session", headers=own | cookie).status == 204
    assert administrator.websocket.wait_for_end()[0] == 4401


# What ends


def closed(administrator):
    return administrator.websocket.receive_close(ANSWER_DEADLINE)


def test_a_revoked_token_ends_an_open_connection(harness):
    administrator, other = harness.open(harness.bearer("reader"), "tls"), harness.open(harness.bearer("chief"))
    assert administrator.error("status") is None
    harness.file.entries = [entry for entry in harness.file.entries if entry.get("token") != harness.tokens["reader"].split("_")[1]]
    harness.rewrite()
    assert closed(administrator) == (4401, "revoked")
    assert other.error("status") is None


def test_disabling_a_user_ends_its_running_backup(harness):
    administrator = harness.open(harness.bearer("operator"))
    assert administrator.error("backup") is None
    harness.file.entries[[entry["user"] for entry in harness.file.entries].index("operator")]["disabled"] = True
    harness.rewrite()
    assert closed(administrator) == (4401, "revoked")
    # Its copy is cancelled.
    chief = harness.open(harness.bearer("chief"))
    wait_until(lambda: chief.error("backup") is None, "another backup")


def test_an_expired_token_ends_an_open_connection(harness):
    # It is loaded within two seconds.
    token = harness.file.token("reader", 8, admin=["read"])[0]
    harness.rewrite()
    administrator = harness.open({"Authorization": f"Bearer {token}"})
    assert administrator.websocket.receive_close(2 * ANSWER_DEADLINE) == (4401, "expired")


def test_a_changed_rule_applies_to_the_next_request(harness):
    administrator = harness.open(harness.bearer("reader"))
    assert administrator.error("status") is None
    since = len(harness.broker.lines)
    harness.broker.config_file.write_text(harness.config.replace("{ role: reader, admin: [read]", "{ role: reader, admin: [write]"))
    harness.broker.send_signal(signal.SIGHUP)
    harness.broker.wait_for_line("settings reloaded", since=since)
    assert administrator.error("status") == "forbidden"
    assert administrator.error("kick", client="none") == "not-found"


def test_an_administrator_can_be_kicked(harness):
    administrator = harness.open(harness.bearer("reader"), "tls")
    (row,) = [row for row in administrator.ask("clients")["result"] if row["user"] == "reader"]
    assert row["protocol"] == "broker.admin.v1.json"
    assert harness.open(harness.bearer("chief")).ask("kick", user="reader")["result"] == {"kicked": 1}
    assert closed(administrator)[0] == 4410


def test_requests_are_limited_in_size(start_broker, tmp_path):
    harness = AdminHarness(start_broker, tmp_path, "limits: { message: 64KiB }\n")
    administrator = harness.open(harness.bearer("writer"))
    assert administrator.error("retained.set", topic="a", data="x" * (64 << 10)) is None
    administrator.websocket.send_text("x" * (2 * (64 << 10) + (8 << 10)))
    assert closed(administrator)[0] == 1009


def test_many_requests_at_once_are_all_answered(harness):
    """More requests than are read at a time."""
    administrator = harness.open(harness.bearer("reader"))
    for number in range(500):
        administrator.websocket.send_text(json.dumps({"id": number, "verb": "clients"}))
    answered = {json.loads(administrator.websocket.receive_text(ANSWER_DEADLINE))["id"] for _ in range(500)}
    assert answered == set(range(500))


# The audit log


def test_the_audit_log_names_users_and_denials(harness):
    administrator = harness.open(harness.bearer("writer"), "tls")
    administrator.ask("kick", client="none")
    for _ in range(3):
        administrator.ask("reload")
    refusal(harness, harness.bearer("guest"))
    wait_until(lambda: harness.audited("admin.reload") and harness.audited("admin.open"), "the denials")
    (kick,), (denied,), (stranger,) = (harness.audited(f"admin.{verb}") for verb in ("kick", "reload", "open"))
    assert kick["actor"] == {"user": "writer", "via": "network"} and kick["target"] == "client none"
    assert kick["token"] == harness.tokens["writer"].split("_")[1] and kick["address"].startswith("127.0.0.1:")
    assert denied["actor"] == {"user": "writer", "via": "network"}
    assert (denied["result"], denied["count"]) == ("forbidden", 3)
    assert stranger["user"] == "guest" and stranger["result"] == "forbidden"
    assert harness.broker.metrics()['broker_denied_total{action="admin"}'] == 4
    written = (harness.directory / "audit.log").read_text() + "\n".join(harness.broker.lines)
    assert not [token for token in harness.tokens.values() if token.rsplit("_", 1)[1] in written]


def test_the_audit_log_names_the_sockets_peer(harness):
    harness.open({}, "socket").ask("kick", client="none")
    (kick,) = wait_until(lambda: harness.audited("admin.kick"), "the verb in the audit log")
    assert kick["actor"] == {"uid": os.getuid(), "pid": os.getpid(), "via": "socket"}


def test_socket_group_sets_group_and_mode(start_broker, broker):
    own = os.getgid()
    shared = start_broker(f"admin: {{ socket_group: {own} }}\n")
    status = os.lstat(shared.admin_socket)
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, own)
    assert stat.S_IMODE(os.lstat(broker.admin_socket).st_mode) == 0o600


# The configuration


@pytest.mark.parametrize("listener, is_fine", [
    ("{ address: 0.0.0.0:0, admin: true }", False), ("{ address: 127.0.0.1:0, admin: true }", True),
    ("{ address: 0.0.0.0:0, admin: false }", True)])
def test_administration_beyond_loopback_needs_tls(tmp_path, listener, is_fine):
    config = tmp_path / "broker.yaml"
    config.write_text(f"listen: [{listener}]\naccess: {{ anonymous: {{ publish: [] }} }}\n")
    done = run_brokerd("--check", "--config", str(config), "--data-dir", str(tmp_path / "data"), cwd=tmp_path)
    assert done.returncode == (0 if is_fine else 1), done
    assert ("listen[0].admin: expected with tls, or on loopback" in done.stdout) == (not is_fine)


def test_a_missing_group_or_directory_is_an_error(tmp_path):
    config = tmp_path / "broker.yaml"
    config.write_text("admin: { socket_group: no-such-group, backup_directory: none }\nlog: { audit: no/audit.log }\n")
    done = run_brokerd("--check", "--config", str(config), "--data-dir", str(tmp_path / "data"), cwd=tmp_path)
    assert done.returncode == 1
    assert 'admin.socket_group: there is no group "no-such-group"' in done.stdout
    assert "admin.backup_directory: none is not a directory" in done.stdout
    assert "log.audit: no is not a directory" in done.stdout


@pytest.mark.parametrize("place, status", [("./data/audit.log", 0), ("./audit.log", 0), ("/tmp", 1), ("/tmp/no/a", 1)])
def test_a_check_finds_where_the_audit_log_cannot_be(tmp_path, place, status):
    config = tmp_path / "broker.yaml"
    config.write_text(f"log: {{ audit: {place} }}\n")
    assert run_brokerd("--check", "--config", str(config), "--data-dir", "data", cwd=tmp_path).returncode == status


# Backups


@pytest.fixture
def copied(start_broker, tmp_path):
    """A broker that may write backups, and the directory that it writes them to."""
    backups = tmp_path / "backups"
    (backups / "weekly").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (backups / "link").symlink_to(tmp_path / "outside")
    (backups / "file.mdb").symlink_to(tmp_path / "outside" / "file.mdb")
    (backups / "taken.mdb").write_text("somebody's")
    harness = AdminHarness(start_broker, tmp_path, f"admin: {{ backup_directory: {backups} }}\n")
    harness.backups, harness.outside = backups, tmp_path / "outside"
    return harness


def test_the_broker_writes_a_backup_below_its_directory(copied, tmp_path):
    chief = copied.open(copied.bearer("chief"))
    assert chief.error("retained.set", topic="kept", data=1) is None
    for path, place in [("a.mdb", "a.mdb"), ("weekly/b.mdb", "weekly/b.mdb"), (f"{copied.backups}/c.mdb", "c.mdb")]:
        result = copied.open(copied.bearer("operator"), "tls").ask("backup", path=path)["result"]
        file = copied.backups / place
        assert result == {"path": str(file), "bytes": file.stat().st_size}
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    done = run_control("restore", str(copied.backups / "a.mdb"), "--data-dir", str(tmp_path / "again"), "--yes")
    assert done.returncode == 0 and b"1 values" in done.stdout, done
    assert not list(copied.backups.rglob("*.partial"))


@pytest.mark.parametrize("path, code", [
    ("../outside/x.mdb", "forbidden"), ("weekly/../../outside/x.mdb", "forbidden"), ("/etc/x.mdb", "forbidden"),
    ("", "forbidden"), (".", "forbidden"), ("a//b", "forbidden"), ("a/", "forbidden"), ("a\0b", "forbidden"),
    ("{}-other/x.mdb", "forbidden"), ("{}", "forbidden"), ("link/x.mdb", "forbidden"), ("taken.mdb/x", "forbidden"),
    ("none/x.mdb", "not-found"), ("taken.mdb", "conflict"), ("file.mdb", "conflict")])
def test_a_backup_path_cannot_leave_its_directory(copied, path, code):
    for door in ["plain", "socket"]:
        administrator = copied.open(copied.bearer("operator") if door == "plain" else {}, door)
        assert administrator.error("backup", path=path.replace("{}", str(copied.backups))) == code
    assert not list(copied.outside.iterdir())
    assert (copied.backups / "taken.mdb").read_text() == "somebody's"


def test_a_reload_changes_the_backup_directory(harness, tmp_path):
    administrator = harness.open(harness.bearer("chief"))
    assert administrator.error("backup", path="a.mdb") == "forbidden"
    harness.broker.config_file.write_text(f"admin: {{ backup_directory: {tmp_path} }}\n" + harness.config)
    assert administrator.error("reload") is None
    assert administrator.ask("backup", path="a.mdb")["result"]["path"] == str(tmp_path / "a.mdb")


def test_without_a_backup_directory_only_copies_are_sent(harness, tmp_path):
    administrator = harness.open(harness.bearer("operator"))
    assert administrator.error("backup", path="a.mdb") == "forbidden"
    token = tmp_path / "token"
    token.write_text(harness.tokens["operator"] + "\n")
    token.chmod(0o600)
    done = run_control("--url", harness.url, "--token-file", str(token), "backup", str(tmp_path / "copy.mdb"))
    assert done.returncode == 0 and b"checked" in done.stdout, done
    assert not list(tmp_path.rglob("a.mdb*"))


def test_brokerctl_backup_on_broker(copied):
    done = run_control("--url", copied.url, "--token", copied.tokens["operator"], "backup", "--on-broker", "d.mdb")
    assert done.returncode == 0 and b"on the broker's machine" in done.stdout, done
    assert (copied.backups / "d.mdb").exists()


def test_users_and_bans_are_managed_over_the_network(harness):
    def control(role, *arguments, status=0, **options):
        done = run_control("--url", harness.url, "--token", harness.tokens[role], *arguments, **options)
        assert done.returncode == status, done
        return (done.stdout if status == 0 else done.stderr).decode()

    assert control("operator", "users", "add", "new", "--role", "reader", "--no-password") == "added: new\n"
    token = control("operator", "token", "mint", "--user", "new").strip()
    assert harness.broker.http("GET", "/t/a", headers={"Authorization": f"Bearer {token}"}).status == 404
    assert "new" in control("reader", "users", "list") and "users.add" in control("operator", "audit")
    assert control("reader", "token", "check", input=token.encode()).startswith("valid new\n")
    assert 'needs the right "operate"' in control("writer", "users", "remove", "new", status=1)
    assert control("writer", "bans", "add", "user", "new") == "banned: user new (b1), disconnected: 0\n"
    assert harness.broker.http("GET", "/t/a", headers={"Authorization": f"Bearer {token}"}).status == 403
    wait_until(lambda: harness.audited("ban.add"), "the ban in the audit log")
    (added,), (banned,) = harness.audited("users.add"), harness.audited("ban.add")
    assert added["actor"] == {"user": "operator", "via": "network"} and banned["actor"] == {"user": "writer", "via": "network"}


def test_a_banned_administrator_is_disconnected(harness):
    administrator = harness.open(harness.bearer("reader"))
    assert harness.open({}, "socket").error("bans.add", kind="user", name="reader") is None
    assert closed(administrator) == (4410, "banned")
    assert refusal(harness, harness.bearer("reader"))[0] == 403
