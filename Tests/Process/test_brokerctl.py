"""Contract §7: brokerctl over the admin socket."""

import json
import os
import pty
import re
import subprocess
import threading

import pytest

from command_line import BROKERCTL, run_control
from deadlines import wait_until
from raw_websocket import ConnectionEnded


def values(text):
    """The JSON values in the output: one, or one per line; arrays are unpacked."""
    try:
        parsed = json.loads(text)
        return parsed if isinstance(parsed, list) else [parsed]
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def succeed(done):
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stderr == b""
    return done.stdout.decode()


def on_a_terminal(broker, *arguments, typed=""):
    """The output of brokerctl on a terminal, with `typed` as input, and its exit status."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(BROKERCTL, [BROKERCTL, "--socket", str(broker.admin_socket), *arguments])
    os.write(terminal, typed.encode())
    shown = b""
    try:
        while more := os.read(terminal, 65536):
            shown += more
    except OSError:
        pass  # The terminal's other end is closed.
    os.close(terminal)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


# Looking


def test_status(broker):
    broker.session()
    assert succeed(broker.control("status")).strip()
    assert isinstance(broker.control_json("status"), dict)


def test_clients(broker):
    assert broker.control_json("clients") == []
    session, topic, subscription = broker.session(), broker.topic_socket("a"), broker.subscription_socket("b/#")
    session.subscribe(["x", "y/+"])
    topic.synchronise()
    assert subscription.status == 101
    clients = broker.control_json("clients")
    assert len(clients) == 3
    for client in clients:
        assert {"id", "user", "address", "protocol", "connectedAt", "subscriptions", "pendingBytes",
                "roundTripMilliseconds"} <= set(client)
        assert client["address"].startswith("127.0.0.1")
    assert len({client["id"] for client in clients}) == 3
    mine = [client for client in clients if str(client["id"]) == str(session.welcome["client"])]
    assert len(mine) == 1, "the welcome's client is the id here"
    listed = broker.control_json("clients", "list")
    assert {client["id"] for client in listed} == {client["id"] for client in clients}
    table = succeed(broker.control("clients"))
    assert str(session.welcome["client"]) in table and "127.0.0.1" in table


def test_clients_show(broker):
    session = broker.session()
    session.subscribe("shown/+")
    identifier = str(session.welcome["client"])
    assert "shown/+" in json.dumps(broker.control_json("clients", "show", identifier))
    assert "shown/+" in succeed(broker.control("clients", "show", identifier))
    assert broker.control("clients", "show", "nobody").returncode == 1


def test_clients_kick(broker):
    session, other = broker.session(), broker.session()
    succeed(broker.control("clients", "kick", str(session.welcome["client"])))
    with pytest.raises(ConnectionEnded) as ended:
        session.receive()
    assert ended.value.close_frame[0] == 4410
    # It does not answer with a CLOSE; the broker waits for that for a limited time.
    session.websocket.wait_for_end(60)
    other.synchronise()
    wait_until(lambda: len(broker.control_json("clients")) == 1, "the kicked client to be gone")
    done = broker.control("clients", "kick", str(session.welcome["client"]))
    assert done.returncode == 1 and done.stderr and not done.stdout


def test_clients_by_filter_lists_overlapping_subscriptions(broker):
    sessions = {filter_: broker.session() for filter_ in ("#", "a/+", "+/b", "c", "a/x/#")}
    for filter_, session in sessions.items():
        session.subscribe(filter_)
    names = {str(session.welcome["client"]): filter_ for filter_, session in sessions.items()}
    for asked, expected in [
            ("a/b", {"#", "a/+", "+/b"}), ("a/#", {"#", "a/+", "+/b", "a/x/#"}), ("c", {"#", "c"}), ("d/e/f", {"#"})]:
        listed = broker.control_json("clients", "--filter", asked)
        assert {names[client["id"]] for client in listed} == expected, asked


def test_kick_by_filter_spares_wider_subscriptions(broker):
    """`kick --filter 'a/#'` must not disconnect a client that follows everything."""
    wide, across, inside, below = sessions = [broker.session() for _ in range(4)]
    for session, filter_ in zip(sessions, ["#", "+/b", "a/+", "a/x/#"]):
        session.subscribe(filter_)
    assert broker.control_json("clients", "kick", "--filter", "a/#") == {"kicked": 2}
    for session in (inside, below):
        with pytest.raises(ConnectionEnded) as ended:
            session.receive()
        assert ended.value.close_frame[0] == 4410
    for session in (wide, across):
        session.synchronise()


def test_a_list_of_subscriptions_is_limited(broker):
    """More rows than one answer has are an error, and a narrower filter shows them."""
    sessions = [broker.session() for _ in range(11)]
    for number, session in enumerate(sessions):
        filters = [f"{number}/{one}/#" for one in range(1000 if number < 10 else 1)]
        assert session.request(op="subscribe", filter=filters, snapshot=False)["op"] == "ok"
    done = broker.control("subscriptions")
    assert done.returncode == 1 and b"there are too many to list; use a narrower filter" in done.stderr, done.stderr
    assert len(broker.control_json("subscriptions", "10/#")) == 1
    assert sessions[10].request(op="unsubscribe", filter="10/0/#")["op"] == "ok"
    assert len(broker.control_json("subscriptions")) == 10_000


def test_topics_and_subscriptions(broker):
    session = broker.session()
    session.subscribe(["a/#", "b"])
    broker.publish("a/1", "x", "retain")
    broker.publish("b", "y", "retain")
    assert "a/1" in json.dumps(broker.control_json("topics"))
    listed = json.dumps(broker.control_json("topics", "a/#"))
    assert "a/1" in listed and '"b"' not in listed
    subscriptions = broker.control_json("subscriptions")
    assert isinstance(subscriptions, list)
    text = json.dumps(subscriptions)
    assert '"a/#"' in text and '"b"' in text
    assert '"b"' not in json.dumps(broker.control_json("subscriptions", "a/#"))
    assert "a/#" in succeed(broker.control("subscriptions"))


# Retained values


def test_retained(broker):
    succeed(broker.control("retained", "set", "kept/1", "hello"))
    assert broker.retained("kept/1").body == b"hello"
    assert succeed(broker.control("retained", "get", "kept/1")).rstrip("\n") == "hello"
    broker.publish("kept/2", "other", "retain")
    listed = broker.control_json("retained", "list", "kept/+")
    assert sorted(item["topic"] for item in listed) == ["kept/1", "kept/2"]
    assert len(broker.control_json("retained", "list")) == 2
    assert "kept/2" in succeed(broker.control("retained", "list"))
    shown = broker.control_json("retained", "get", "kept/2")
    assert shown["topic"] == "kept/2" and shown["data"] == "other"
    succeed(broker.control("retained", "delete", "kept/1"))
    assert broker.retained("kept/1").status == 404
    assert broker.control("retained", "get", "kept/1").returncode == 1
    assert broker.control("retained", "delete", "kept/1").returncode == 1


def test_retained_delete_by_filter(broker):
    for number in range(5):
        broker.publish(f"many/{number}", "x", "retain")
    broker.publish("other", "x", "retain")
    succeed(broker.control("retained", "delete", "many/#"))
    assert [item["topic"] for item in broker.control_json("retained", "list")] == ["other"]


def test_retained_get_prints_bytes_unchanged(broker):
    payload = bytes(range(256))
    broker.publish("bytes", payload, "retain", {"Content-Type": "application/octet-stream"})
    assert broker.control("retained", "get", "bytes").stdout == payload


def test_control_characters_are_escaped_only_on_a_terminal(broker, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    evil = "\x1b]0;owned\x07\x1b[2J one\n\ttwo \u009b31m \u202egnp.exe \u2066x \u200e\u2028"
    broker.publish("evil", evil.encode(), "retain")
    assert broker.control("retained", "get", "evil").stdout == evil.encode()
    for arguments in (["retained", "get", "evil"], ["retained", "get", "evil", "--json"], ["sub", "evil", "--count", "1"],
                      ["sub", "evil", "--count", "1", "--json"], ["sub", "evil", "--count", "1", "--raw"], ["record", "evil", "--count", "1"]):
        shown, status = on_a_terminal(broker, *arguments)
        assert status == 0 and not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", shown)
        assert "gnp.exe" in shown
    shown, _ = on_a_terminal(broker, "retained", "get", "evil")
    assert " one\r\n\ttwo \\u{9b}31m \\u{202e}gnp.exe" in shown
    shown, _ = on_a_terminal(broker, "retained", "get", "evil", "--json")
    assert json.loads(shown)["data"] == evil


def test_retained_get_prints_multi_line_json_unchanged(broker):
    value = b'{\n  "a": [1,\r\n 2]\n}\n'
    broker.publish("pretty", value, "retain", {"Content-Type": "application/json"})
    assert broker.control("retained", "get", "pretty").stdout == value
    assert broker.control_json("retained", "get", "pretty")["data"] == {"a": [1, 2]}


# Confirmation


@pytest.mark.parametrize("typed, is_gone", [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("\x04", False)])
def test_deleting_asks_for_confirmation_on_a_terminal(broker, typed, is_gone):
    broker.publish("kept/1", "x", "retain")
    shown, status = on_a_terminal(broker, "retained", "delete", "kept/#", typed=typed)
    assert "Delete the retained values that kept/# matches? [y/N]" in shown
    assert status == (0 if is_gone else 1)
    assert broker.retained("kept/1").status == (404 if is_gone else 200)


def test_destructive_verbs_ask_unless_yes_is_given(broker, tmp_path):
    session = broker.session()
    session.subscribe("a/b")
    identifier = str(session.welcome["client"])
    for arguments in (["clients", "kick", identifier], ["clients", "kick", "--filter", "a/#"],
                      ["retained", "delete", "#"], ["restore", "none", "--data-dir", str(tmp_path / "x")]):
        shown, status = on_a_terminal(broker, *arguments, typed="n\n")
        assert "[y/N]" in shown and "nothing was done" in shown and status == 1, arguments
    session.synchronise()
    shown, status = on_a_terminal(broker, "clients", "kick", identifier, "--yes")
    assert "[y/N]" not in shown and status == 0
    shown, status = on_a_terminal(broker, "retained", "delete", "#", "--dry-run")
    assert "[y/N]" not in shown and status == 0


# Publishing and subscribing


@pytest.mark.parametrize("arguments, body", [
    (["pub", "t", "-5", "-r"], b"-5"), (["pub", "-r", "t", "-1.5e3"], b"-1.5e3"), (["retained", "set", "t", "-0"], b"-0"),
    (["pub", "--retain", "t", "--", "-x"], b"-x")])
def test_a_negative_number_is_accepted_as_data(broker, arguments, body):
    succeed(broker.control(*arguments))
    assert broker.retained("t").body == body


@pytest.mark.parametrize("verb", [["pub", "-r"], ["retained", "set"]])
@pytest.mark.parametrize("data", ["{bad", "{} {}", "nul", '"', "[" * 65 + "]" * 65])
def test_invalid_json_is_refused(broker, verb, data):
    done = broker.control(*verb, "t", data, "--type", "application/json; charset=utf-8")
    assert done.returncode == 1 and b"DATA is not JSON" in done.stderr
    assert broker.retained("t").status == 404


@pytest.mark.parametrize("data", ["{}", '"a string"', "-5", "[" * 64 + "]" * 64, "null"])
@pytest.mark.parametrize("verb", [["pub", "-r"], ["retained", "set"]])
def test_json_is_published_unchanged(broker, verb, data):
    succeed(broker.control(*verb, "t", "--type", "application/json", "--", data))
    answer = broker.retained("t")
    assert (answer.body, answer.headers["Content-Type"]) == (data.encode(), "application/json")


def test_pub(broker):
    subscriber = broker.topic_socket("told")
    subscriber.synchronise()
    succeed(broker.control("pub", "told", "hello"))
    assert subscriber.receive_text() == "hello"
    succeed(broker.control("pub", "told", "-", input=b"from standard input"))
    assert subscriber.receive_text() == "from standard input"
    succeed(broker.control("pub", "told", "kept", "-r"))
    assert subscriber.receive_text() == "kept"
    assert broker.retained("told").body == b"kept"


def test_sub(broker):
    broker.publish("heard/0", "retained", "retain")
    found = []

    def subscribe():
        found.append(broker.control("sub", "heard/#", "--count", "3", timeout=60))

    subscriber = threading.Thread(target=subscribe)
    subscriber.start()
    wait_until(lambda: "heard/#" in json.dumps(broker.control_json("subscriptions")), "the subscription")
    broker.publish("heard/1", "one")
    broker.publish("heard/2", "two")
    subscriber.join(20)
    printed = succeed(found[0])
    assert [word in printed for word in ("heard/0", "retained", "heard/1", "one", "heard/2", "two")] == [True] * 6
    assert printed.index("retained") < printed.index("one") < printed.index("two")


def test_sub_json(broker):
    for number in range(3):
        broker.publish(f"heard/{number}", str(number), "retain")
    done = broker.control("sub", "heard/#", "--count", "3", "--json")
    messages = values(succeed(done))
    assert sorted(message["data"] for message in messages) == ["0", "1", "2"]
    assert all(message["retained"] is True for message in messages)


def test_sub_raw(broker):
    payload = bytes(range(256))
    broker.publish("raw", payload, "retain", {"Content-Type": "application/octet-stream"})
    assert broker.control("sub", "raw", "--raw", "--count", "1").stdout == payload + b"\n"
    shown, status = on_a_terminal(broker, "sub", "raw", "--raw", "--count", "1")
    assert status == 0 and "\x1b" not in shown and "\x00" not in shown
    for other in (["--json"], ["--format", "x"], ["--exec", "true"]):
        done = broker.control("sub", "raw", "--raw", *other)
        assert done.returncode == 64 and b"--raw cannot be combined" in done.stderr


def test_sub_shows_time_and_colours_on_a_terminal(broker, monkeypatch):
    broker.publish("a", "one", "retain")
    clock = r"\d\d:\d\d:\d\d\.\d{3}"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown, status = on_a_terminal(broker, "sub", "a", "--count", "1")
    assert status == 0
    assert re.fullmatch(rf"\x1b\[2m{clock}\x1b\[0m \x1b\[36ma\x1b\[0m \x1b\[33m\(retained\)\x1b\[0m one\r\n", shown), shown
    monkeypatch.setenv("NO_COLOR", "1")
    shown, _ = on_a_terminal(broker, "sub", "a", "--count", "1")
    assert re.fullmatch(rf"{clock} a \(retained\) one\r\n", shown), shown
    assert broker.control("sub", "a", "--count", "1").stdout == b"a one\n"


def test_sub_shows_removals_on_a_terminal(broker, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    broker.publish("a", "one", "retain")
    process, terminal = pty.fork()
    if process == 0:
        os.execv(BROKERCTL, [BROKERCTL, "--socket", str(broker.admin_socket), "sub", "a", "--count", "2"])
    assert b"(retained) one" in os.read(terminal, 65536)
    broker.http("DELETE", "/t/a")
    assert re.search(rb" a \(removed\)\r\n$", os.read(terminal, 65536))
    # The end of the terminal would end it by SIGHUP.
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    os.close(terminal)


def test_sub_prints_at_once_into_a_pipe(broker):
    child = subprocess.Popen(
        [BROKERCTL, "sub", "live", "--socket", str(broker.admin_socket)], stdout=subprocess.PIPE)
    try:
        wait_until(lambda: "live" in json.dumps(broker.control_json("subscriptions")), "the subscription")
        broker.publish("live", "now")
        assert b"now" in child.stdout.readline()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_sub_ends_when_its_pipe_closes(broker):
    """At once, not at the next message, which may never come."""
    child = subprocess.Popen([BROKERCTL, "sub", "quiet", "--socket", str(broker.admin_socket)], stdout=subprocess.PIPE)
    try:
        wait_until(lambda: "quiet" in json.dumps(broker.control_json("subscriptions")), "the subscription")
        child.stdout.close()
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.wait()


# Words


@pytest.mark.parametrize("words, advice", [
    (["stauts"], 'did you mean "status"?'), (["subscription"], 'did you mean "subscriptions"?'),
    (["clients", "kik", "x"], 'did you mean "clients kick"?'), (["retained", "lst"], 'did you mean "retained list"?'),
    (["--ca-file", "f", "stat"], 'did you mean "status"?'),
    (["--ca-file", "x", "--url", "https://h", "repli", "list"], 'did you mean "reply"?'), (["dance"], 'unknown verb "dance"')])
def test_an_unknown_verb_suggests_the_nearest(words, advice):
    done = run_control(*words)
    assert done.returncode == 64 and advice in done.stderr.decode()


@pytest.mark.parametrize("verb", [["clients"], ["clients", "show"], ["clients", "kick"]])
def test_the_help_shows_realistic_ids(broker, verb):
    identifier = broker.session().welcome["client"]
    shown = re.findall(r"(?:show|kick) ([0-9a-z-]{4,})$", run_control(*verb, "--help").stdout.decode(), re.MULTILINE)
    assert shown
    for example in shown:
        assert re.fullmatch("[0-9a-z]+", example) and len(example) == len(identifier)


# Exit statuses


@pytest.mark.parametrize(
    "arguments", [["pub", "a/+", "x"], ["pub", "$SYS/x", "x"], ["sub", "a/#/b"], ["retained", "get", "none"],
                  ["retained", "list", "a/#/b"], ["topics", "a/#/b"]])
def test_exits_1_with_the_reason_on_stderr_after_a_failure(broker, arguments):
    done = broker.control(*arguments)
    assert done.returncode == 1 and done.stderr and not done.stdout


@pytest.mark.parametrize("verb",
    [["status"], ["clients"], ["topics"], ["pub", "a", "x"], ["sub", "a"], ["retained", "list"]])
def test_exits_2_when_no_broker_answers(tmp_path, verb):
    done = run_control(*verb, "--socket", str(tmp_path / "none.sock"))
    assert done.returncode == 2 and b"none.sock" in done.stderr and not done.stdout


@pytest.mark.parametrize(
    "arguments", [["dance"], ["status", "--nonsense"], ["pub"], ["clients", "kick"], ["retained", "get"],
                  ["sub", "a", "--count", "many"], ["acl", "list"]])
def test_exits_64_after_invalid_arguments(broker, arguments):
    done = broker.control(*arguments)
    assert done.returncode == 64 and done.stderr


def test_exits_2_when_the_broker_stops(broker):
    child = subprocess.Popen(
        [BROKERCTL, "sub", "gone", "--no-reconnect", "--socket", str(broker.admin_socket)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    try:
        wait_until(lambda: "gone" in json.dumps(broker.control_json("subscriptions")), "the subscription")
        broker.stop()
        _, errors = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 2 and b"went away (1012" in errors


@pytest.mark.parametrize("variables, arguments, status", [
    (["BROKER_SOCKET"], [], 0), (["BROKER_URL"], [], 0), (["BROKER_SOCKET"], ["--socket", "/none"], 2),
    (["BROKER_URL"], ["--socket", "/none"], 2), (["BROKER_SOCKET"], ["--url", "unix:/none"], 2)])
def test_options_override_the_environment(broker, tmp_path, variables, arguments, status):
    values = {"BROKER_SOCKET": str(broker.admin_socket), "BROKER_URL": f"unix:{broker.admin_socket}"}
    done = run_control("status", *arguments, cwd=tmp_path, environment={name: values[name] for name in variables})
    assert done.returncode == status, done.stderr


@pytest.mark.parametrize("shell, word", [("bash", b"complete "), ("zsh", b"#compdef brokerctl"), ("fish", b"complete -c")])
def test_completions_list_the_verbs(shell, word):
    done = run_control("completions", shell)
    assert done.returncode == 0 and word in done.stdout and b"subscriptions" in done.stdout


def test_the_socket_option_may_precede_the_verb(broker):
    assert run_control("--socket", str(broker.admin_socket), "status").returncode == 0


# Without a broker


def test_config_check(tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("keepalive: { interval: 10s }\n")
    bad.write_text("keepalive: { intervall: 10s }\nlimits: { message: lots }\n")
    assert run_control("config", "check", str(good)).returncode == 0
    done = run_control("config", "check", str(bad))
    assert done.returncode == 1
    printed = (done.stdout + done.stderr).decode()
    assert f"{bad}:1:" in printed and f"{bad}:2:" in printed and "interval" in printed
    assert run_control("config", "check", str(tmp_path / "none.yaml")).returncode == 1


@pytest.mark.parametrize("verb", [[], ["status"], ["clients"], ["retained"], ["pub"], ["sub"], ["config", "check"], ["bench"]])
def test_help_has_an_example(verb):
    done = run_control(*verb, "--help")
    assert done.returncode == 0
    assert b"brokerctl" in done.stdout and b"xample" in done.stdout


OFF = "disk=off,commit=off,canary=off"


@pytest.mark.parametrize("arguments, kind", [
    (["status"], dict), (["clients"], list), (["topics"], list), (["subscriptions"], list), (["retained", "list"], list),
    (["retained", "get", "a"], dict), (["users", "list"], list), (["token", "list"], list), (["bans"], list),
    (["acl", "explain", "anonymous", "publish", "a"], dict), (["acl", "list", "anonymous"], list), (["acl", "test", "-"], dict),
    (["config", "show"], dict), (["config", "diff"], dict), (["config", "check", "broker.yaml"], dict), (["audit"], list),
    (["config", "plan", "broker.yaml"], dict), (["events"], list), (["explain", "1001"], list), (["contexts"], list),
    (["context", "list"], list), (["log", "level"], dict), (["check", "--warning", OFF, "--critical", OFF], dict),
    (["top", "--count", "1"], dict)])
def test_each_reading_verb_prints_one_json_value(start_broker, arguments, kind):
    broker = start_broker("access: { users: ./data/access.jsonl }\nlog: { audit: stdout }\n")
    broker.publish("a", "1", "retain")
    done = broker.control(*arguments, "--json", input=b"anonymous publish a allow\n", cwd=broker.directory)
    assert done.returncode == 0, done
    assert type(json.loads(done.stdout)) is kind


def test_acl_list_and_test_print_json(broker):
    (publish, subscribe, *_) = broker.control_json("acl", "list", "anonymous")
    assert (publish["right"], publish["filters"], publish["denied"]) == ("publish", ["#"], False)
    assert subscribe["right"] == "subscribe" and subscribe["rule"]
    done = broker.control("acl", "test", "-", "--json", input=b"anonymous publish a allow\nanonymous publish a deny\n")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "wrong": [{"line": 2, "text": "anonymous publish a deny", "decision": "allowed"}], "expectations": 2}
