"""Contract §5, §6: options, the configuration file, and the errors in it."""

import json
import re
import signal
import socket

import pytest

from broker_process import free_port
from command_line import REPOSITORY, run_brokerd, run_control
from deadlines import wait_until
from raw_websocket import read_head


def check(tmp_path, text, name="broker.yaml"):
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return run_brokerd("--check", "--config", str(file), cwd=tmp_path), file


# --check


def test_the_shipped_file_is_valid(tmp_path):
    done = run_brokerd("--check", "--config", str(REPOSITORY / "Config/broker.yaml"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert list(tmp_path.iterdir()) == [], "a check makes nothing"


@pytest.mark.parametrize("text", ["", "# nothing\n", "keepalive: { interval: 10s }\n"])
def test_a_valid_file_passes(tmp_path, text):
    done, _ = check(tmp_path, text)
    assert done.returncode == 0, done.stdout


def test_all_errors_are_reported_with_their_places(tmp_path):
    done, file = check(
        tmp_path,
        "keepalive:\n"
        "  intervall: 25s\n"
        "  timeout: soon\n"
        "limits:\n"
        "  message: lots\n"
        "  connections: -1\n"
        "colour: blue\n")
    assert done.returncode != 0
    for line, words in [
        (2, ["keepalive.intervall", "interval"]), (3, ["keepalive.timeout", "soon"]), (5, ["limits.message", "lots"]),
        (6, ["limits.connections"]), (7, ["colour"])]:
        found = re.search(rf"^{re.escape(str(file))}:{line}:[0-9]+: (.*)$", done.stdout, re.MULTILINE)
        assert found, f"nothing about line {line} in {done.stdout}"
        assert all(word in found[1] for word in words), found[1]


@pytest.mark.parametrize(
    "text, key",
    [
        ("access: { jwt: { keys: keys.json } }\n", "access.jwt"),
    ])
def test_settings_of_later_versions_are_refused(tmp_path, text, key):
    done, file = check(tmp_path, text)
    assert done.returncode != 0
    where = rf"^{re.escape(str(file))}:[0-9]+:[0-9]+: {re.escape(key)}"
    assert re.search(where, done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize(
    "text, line",
    [
        ("keepalive: [\n", None),
        ("a: b: c\n", 1),
        ("keepalive: { interval: 25s }\nkeepalive: { interval: 26s }\n", 2),
        ("- list\n", 1),
        ("just words\n", 1),
        ("limits: 5\n", 1),
        ("limits:\n  message: [1]\n", 2),
        ("listen: 127.0.0.1:8080\n", 1),
        ("listen:\n  - address: nowhere\n", 2),
        ("listen:\n  - address: 127.0.0.1:99999\n", 2),
        ("listen:\n  - {}\n", 2),
        ("metrics: { enabled: maybe }\n", 1),
        ("log: { level: shouting }\n", 1),
        ("log: { format: xml }\n", 1),
        ("origins: [ftp]\n", 1),
        ("access: { anonymous: { publish: [\"a/#/b\"] } }\n", 1),
        ("keepalive: { interval: 25 parsecs }\n", 1),
        ("limits: { message: 99999999999999999999 }\n", 1),
        ("limits: { message: 9999999999GiB }\n", 1),
        ("limits: { message: 0 }\n", 1),
        ("keepalive: &anchor { interval: 25s }\n", 1),
        ("--- \nlimits: {}\n---\nlimits: {}\n", None),
        (b"limits:\n  topic: \xff\n", None),
        (b"limits:\x00\n", None),
        ("[" * 5000, None),
    ])
def test_every_kind_of_mistake_has_a_place(tmp_path, text, line):
    done, file = check(tmp_path, text)
    assert done.returncode == 1, done
    found = re.search(rf"^{re.escape(str(file))}:([0-9]+):([0-9]+): .+$", done.stdout, re.MULTILINE)
    assert found, done.stdout
    if line:
        assert int(found[1]) == line


@pytest.mark.parametrize("text, place, message", [
    ("listen: [{ address: 127.0.0.1:0, tls: { certificate: none.pem, key: none.key } }]\n", "1:54",
     "listen[0].tls.certificate: none.pem: No such file or directory"),
    ("admin:\n  socket_group: no-such-group\n", "2:17", 'admin.socket_group: there is no group "no-such-group"'),
    ("access:\n  users: none/users.jsonl\n", "2:10", "access.users: none is not a directory"),
    ("access:\n  users: /tmp\n", "2:10", "access.users: /tmp is a directory"),
    ("log:\n  audit: none/audit.log\n", "2:10", "log.audit: none is not a directory"),
])
def test_what_the_settings_name_and_is_not_there_has_a_place(tmp_path, text, place, message):
    done, file = check(tmp_path, text)
    assert done.returncode == 1 and f"{file}:{place}: {message}\n" in done.stdout, done
    checked = run_control("config", "check", str(file), cwd=tmp_path)
    assert checked.returncode == 1 and f"{file}:{place}: {message}\n" in checked.stderr.decode(), checked


@pytest.mark.parametrize("users, message", [("none/users.jsonl", "none is not a directory"), ("/tmp", "/tmp is a directory")])
def test_a_start_names_the_missing_directory_of_the_users_file(tmp_path, users, message):
    file = tmp_path / "broker.yaml"
    file.write_text(f"access:\n  users: {users}\n")
    done = run_brokerd("--listen", "127.0.0.1:0", "--config", str(file), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, f"brokerd: {file}:2:10: access.users: {message}\n")
    assert list(tmp_path.iterdir()) == [file], "nothing is made before"


def test_a_setting_from_the_environment_is_named_by_its_variable(tmp_path):
    done = run_brokerd("--check", cwd=tmp_path, wrapper=["env", "BROKER_LOG_AUDIT=none/audit.log"])
    assert (done.returncode, done.stdout) == (1, "BROKER_LOG_AUDIT: log.audit: none is not a directory\n")


def test_an_address_in_use_has_a_place(start_broker, tmp_path):
    """Unless it comes from the command line."""
    address = f"127.0.0.1:{start_broker().port}"
    (tmp_path / "b.yaml").write_text(f"listen:\n  - address: {address}\n")
    sentence = f"cannot listen on {address}: Address already in use\n"
    done = run_brokerd("--config", "b.yaml", "--data-dir", "other", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, f"brokerd: b.yaml:2:14: listen[0].address: {sentence}")
    done = run_brokerd("--config", "b.yaml", "--data-dir", "other", "--listen", address, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, f"brokerd: {sentence}")


DENYING = "access: { rules: [{ role: a, publish: [\"x/#\"], deny: [\"x/#\"] }, { role: b, publish: [\"x/#\"] }] }\n"


def test_a_rule_that_allows_nothing_is_a_warning(start_broker, tmp_path):
    warning = "access.rules[0] allows nothing: its deny covers all that it allows"
    done, file = check(tmp_path, DENYING)
    assert done.returncode == 0 and done.stdout == f"{file}: warning: {warning}\n{file}: ok\n"
    broker = start_broker("")
    broker.config_file.write_text(DENYING)
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line(re.escape(warning))


def test_a_group_that_cannot_reach_the_admin_socket_is_a_warning(start_broker, tmp_path):
    """The data directory is accessible to its owner only, whether it exists already or not."""
    group = "admin: { socket_group: nogroup%s }\n"
    warning = "warning: admin.socket_group has no effect, because the group nogroup may not enter ./data: set admin.socket to another place\n"
    done, file = check(tmp_path, group % "")
    assert done.returncode == 0 and done.stdout == f"{file}: {warning}{file}: ok\n"
    (tmp_path / "data").mkdir(0o700)
    assert check(tmp_path, group % "")[0].stdout == f"{file}: {warning}{file}: ok\n"
    (tmp_path / "open").mkdir(0o755)
    assert check(tmp_path, group % ", socket: ./open/admin.sock")[0].stdout == f"{file}: ok\n"
    start_broker(group % "").wait_for_line("admin.socket_group has no effect")


def test_passwords_in_urls_are_not_printed(tmp_path):
    done, file = check(
        tmp_path, "access: { jwt: [{ issuer: a, audience: b, keys: 'https://me:correct-horse@login.example.com/keys' }] }\n")
    assert done.returncode == 1 and 'found "https://***@login.example.com/keys"' in done.stdout
    assert "correct-horse" not in done.stdout


def test_a_missing_file_is_an_error(tmp_path):
    done = run_brokerd("--check", "--config", str(tmp_path / "none.yaml"), cwd=tmp_path)
    assert done.returncode == 1 and "none.yaml" in done.stdout


def test_an_invalid_file_stops_the_start(tmp_path):
    (tmp_path / "wrong.yaml").write_text("colour: blue\n")
    done = run_brokerd(
        "--config", "wrong.yaml", "--listen", f"127.0.0.1:{free_port()}", "--data-dir", "data", cwd=tmp_path)
    assert done.returncode == 1 and "wrong.yaml:1:" in done.stdout
    assert not (tmp_path / "data").exists()


# Options


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["--listen", "nowhere"], ["--listen"], ["--log-level", "shouting"], ["stray"]])
def test_invalid_options_are_usage_errors(tmp_path, arguments):
    done = run_brokerd(*arguments, cwd=tmp_path)
    assert done.returncode == 64 and done.stdout
    assert "listening" not in done.stdout.lower()


def test_help_names_every_option(tmp_path):
    done = run_brokerd("--help", cwd=tmp_path)
    assert done.returncode == 0
    for option in ("--config", "--listen", "--data-dir", "--log-level", "--check"):
        assert option in done.stdout


def test_one_line_says_where_it_listens(broker):
    assert f"127.0.0.1:{broker.port}" in broker.listening_line
    assert len([line for line in broker.lines if re.search("(?i)listening", line)]) == 1


def test_listen_may_be_given_more_than_once(start_broker):
    second = free_port()
    broker = start_broker(arguments=["--listen", f"127.0.0.1:{second}"])
    subscriber = broker.topic_socket("both")
    subscriber.synchronise()
    with socket.create_connection(("127.0.0.1", second), timeout=60) as plain:
        plain.sendall(b"POST /t/both HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
        assert read_head(plain)[0] == 200
    assert subscriber.receive_text() == "x"


def test_the_command_line_overrides_the_file(start_broker):
    port, elsewhere = free_port(), free_port()
    broker = start_broker(f"listen:\n  - address: 127.0.0.1:{elsewhere}\nlog: {{ level: error }}\n",
                          arguments=["--log-level", "info"], port=port)
    assert broker.http("GET", "/health/live").status == 200
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", elsewhere), timeout=60)


def test_a_port_that_is_taken_is_an_error(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_brokerd("--listen", address, "--data-dir", "data", cwd=tmp_path)
    assert done.returncode == 1 and address in done.stdout


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]"])
def test_does_not_listen_beyond_loopback_while_anyone_may_publish(tmp_path, address):
    done = run_brokerd("--listen", f"{address}:{free_port()}", "--data-dir", "data", cwd=tmp_path)
    assert done.returncode == 1
    assert "anonymous" in done.stdout and "loopback" in done.stdout


def test_listens_beyond_loopback_if_explicitly_allowed(tmp_path):
    for text in ["access: { anonymous_anywhere: true }\n", "access: { anonymous: { publish: [] } }\n"]:
        done, _ = check(tmp_path, "listen:\n  - address: 0.0.0.0:8080\n" + text)
        assert done.returncode == 0, done.stdout


def test_only_explicit_rights_apply_beyond_loopback(start_broker):
    port, inside = free_port(), free_port()
    broker = start_broker(
        f"listen: [{{ address: '0.0.0.0:{port}' }}, {{ address: '127.0.0.1:{inside}' }}]\n"
        "access: { anonymous: { subscribe: [open/#] } }\n", port=port, configured_listen=True)
    assert broker.http("GET", "/t/open/a").status == 404
    assert broker.http("GET", "/t/closed").status == 401
    assert broker.http("GET", "/t/$SYS/broker/version").status == 401
    assert broker.http("POST", "/t/open/a", b"x").status == 401
    broker.port = inside
    assert broker.http("POST", "/t/open/a", b"x").status == 200
    assert broker.http("GET", "/t/closed").status == 401


def test_reading_beyond_loopback_must_be_allowed_explicitly(start_broker):
    port = free_port()
    broker = start_broker(
        f"listen: [{{ address: '0.0.0.0:{port}' }}]\naccess: {{ anonymous: {{ publish: [] }} }}\n", port=port, configured_listen=True)
    for path in ["/t/a", "/t/$SYS/broker/version", "/s/a?poll=1", "/s/%23?poll=1"]:
        assert broker.http("GET", path).status == 401, path


# The effect of the keys


def test_listens_on_a_unix_socket(start_broker, tmp_path):
    path = tmp_path / "listen.sock"
    broker = start_broker(f"listen:\n  - address: unix:{path}\n", configured_listen=True)
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(60)
        plain.connect(str(path))
        plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_head(plain)[0] == 200
    broker.stop()
    assert not path.exists()


def test_serves_below_a_path_prefix(start_broker):
    port = free_port()
    broker = start_broker(
        f"listen:\n  - address: 127.0.0.1:{port}\n    path_prefix: /broker\n", configured_listen=True, port=port)
    assert broker.http("GET", "/broker/health/live").status == 200
    subscriber = broker.websocket("/broker/t/a")
    subscriber.synchronise()
    assert broker.http("POST", "/broker/t/a", body="x").status == 200
    assert subscriber.receive_text() == "x"
    assert broker.http("GET", "/health/live").status == 404
    assert broker.http("GET", "/brokerage/health/live").status == 404


def test_the_admin_socket_can_be_moved(start_broker, tmp_path):
    path = tmp_path / "elsewhere.sock"
    start_broker(f"admin: {{ socket: {path} }}\n")
    assert run_control("status", "--socket", str(path)).returncode == 0


def test_anonymous_rights_are_enforced(start_broker):
    broker = start_broker(
        'access: { anonymous: { publish: ["in/#"], subscribe: ["out/+"] } }\n')
    session = broker.session()
    session.publish("in/a", 1)
    session.subscribe("out/+")
    session.subscribe("out/a")
    assert session.request(op="publish", topic="out/a", data=1)["code"] == "forbidden"
    for filter_ in ("in/a", "#", "out/#", "out"):
        assert session.request(op="subscribe", filter=filter_)["code"] == "forbidden", filter_
    assert broker.http("POST", "/t/in/a", body="x").status == 200
    answer = broker.http("POST", "/t/out/a", body="x")
    assert (answer.status, answer.error_code) == (401, "unauthenticated")
    assert broker.http("DELETE", "/t/out/a").status == 401
    assert broker.http("GET", "/t/in/a").status == 401
    assert broker.http("GET", "/t/out/a").status == 404
    assert broker.http("GET", "/s/in/a?poll=1").status == 401


def test_anonymous_clients_without_rights_are_refused(start_broker):
    broker = start_broker("access: { anonymous: { publish: [], subscribe: [] } }\n")
    assert broker.http("POST", "/t/a", body="x").status == 401
    assert broker.http("GET", "/s/%23?poll=1").status == 401
    assert broker.http("GET", "/health/live").status == 200


def origin_answers(broker, origin):
    return broker.http("POST", "/t/a", body="x", headers={"Origin": origin}).status


def test_origins_match_the_list(start_broker):
    broker = start_broker('origins: ["https://*.example.com", "http://app.test:3000"]\n')
    assert origin_answers(broker, "https://shop.example.com") == 200
    assert origin_answers(broker, "http://app.test:3000") == 200
    for origin in ["http://shop.example.com", "https://example.com.evil.test", "https://evilexample.com",
                   "http://app.test:3001", "http://app.test", broker.url(), "null"]:
        assert origin_answers(broker, origin) == 403, origin
    assert broker.http("POST", "/t/a", body="x").status == 200  # no browser, no Origin
    anywhere = start_broker("origins: [any]\n")
    assert origin_answers(anywhere, "https://anybody.example") == 200


def test_the_log_can_be_json(start_broker):
    broker = start_broker("log: { level: debug, format: json }\n")
    broker.session().synchronise()
    broker.stop()
    for line in broker.lines:
        assert isinstance(json.loads(line), dict), line


def test_the_number_of_reactors_is_configurable(start_broker):
    for count in (1, 2, 3):
        broker = start_broker(f"reactors: {{ count: {count} }}\n")
        sockets = [broker.topic_socket("all") for _ in range(12)]
        for websocket in sockets:
            websocket.synchronise()
        broker.publish("all", "x")
        assert [websocket.receive_text() for websocket in sockets] == ["x"] * 12


def test_starts_without_a_data_directory_and_a_file(broker):
    assert broker.config_file is None and broker.data.is_dir()
    wait_until(lambda: broker.http("GET", "/health/ready").status == 200, "ready")


# The environment


def test_options_override_variables_and_variables_the_file(start_broker):
    broker = start_broker("limits: { subscriptions_per_client: 5, topic: 9 }\nlog: { level: error }\n", environment={
        "BROKER_LIMITS_SUBSCRIPTIONS_PER_CLIENT": "1", "BROKER_LIMITS_MESAGE": "1", "BROKER_LOG_LEVEL": "info"})
    session = broker.session()
    session.subscribe("one")
    assert session.request(op="subscribe", filter="two")["code"] == "limit-exceeded"
    assert session.request(op="publish", topic="0123456789", data=1)["code"] == "bad-topic"
    assert broker.wait_for_line("an environment variable matches no setting").endswith(
        'advice="did you mean BROKER_LIMITS_MESSAGE?" name=BROKER_LIMITS_MESAGE')


# brokerctl config


def test_config_show_and_check_print_json(tmp_path):
    file = tmp_path / "broker.yaml"
    file.write_text("limits: { message: 2MiB, wildcards: 3 }\nmetrics: { enabled: false }\n")
    shown = json.loads(run_control("config", "show", str(file), "--json").stdout)
    assert shown["limits"]["message"] == "2MiB" and shown["limits"]["wildcards"] == 3
    assert shown["metrics"] == {"enabled": False} and shown["listen"][0]["address"] == "127.0.0.1:8080"
    done = run_control("config", "check", str(file), "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"file": str(file), "ok": True, "errors": [], "warnings": []})
    file.write_text("limits: { mesage: 2MiB }\n")
    done = run_control("config", "check", str(file), "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["errors"] == [
        {"line": 1, "column": 11, "key": "limits.mesage", "message": 'unknown key, did you mean "message"?'}]
    file.write_text("listen: [{ address: 127.0.0.1:0, tls: { certificate: none.pem, key: none.key } }]\n")
    done = run_control("config", "check", str(file), "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["errors"] == [
        {"line": 1, "column": 54, "key": "listen[0].tls.certificate", "message": "none.pem: No such file or directory"}]


def test_both_checks_say_what_a_start_says(tmp_path):
    """An address that the broker refuses to listen on, and a rule whose `deny` covers everything."""
    file = tmp_path / "broker.yaml"
    file.write_text("access:\n  anonymous: { publish: [a] }\n  rules:\n"
                    "    - { user: a, publish: ['x/#'], deny: ['#'] }\nlisten:\n  - address: 0.0.0.0:8090\n")
    checked = run_brokerd("--config", str(file), "--check", cwd=tmp_path)
    controlled = run_control("config", "check", str(file))
    assert (checked.returncode, controlled.returncode) == (1, 1)
    for told in (checked.stdout, controlled.stderr.decode()):
        assert f"{file}:6:14: listen[0].address: refusing to listen on 0.0.0.0:8090, beyond loopback, while" in told
        assert f"{file}: warning: access.rules[0]" in told


def test_a_changed_file_is_told_until_a_reload(start_broker):
    broker = start_broker("limits: { message: 2MiB }\n")
    broker.config_file.write_text(broker.config_file.read_text().replace("2MiB", "3MiB"))
    broker.wait_for_line("the configuration file has changed; the old settings stay in force until a reload")
    assert broker.control("reload").returncode == 0
    assert "3MiB" in broker.control("config", "show").stdout.decode()


def test_the_commented_defaults_are_the_shipped_file():
    assert run_control("config", "show", "--defaults", "--comments").stdout == (REPOSITORY / "Config/broker.yaml").read_bytes()
