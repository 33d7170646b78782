"""`brokerctl pub` of many messages; `sub` with a format, a command, a policy, and connections that break."""

import json
import os
import pty
import subprocess
import time

import pytest

from command_line import BROKERCTL, run_control
from deadlines import ANSWER_DEADLINE, wait_until


def done(process, status=0):
    assert process.returncode == status, (process.stdout, process.stderr)
    return (process.stdout if status == 0 else process.stderr).decode()


@pytest.fixture
def follow(broker):
    """Starts `brokerctl VERB …` and returns it when it has subscribed."""
    children = []

    def start(*arguments, of=None):
        child = subprocess.Popen(
            [BROKERCTL, "--socket", str((of or broker).admin_socket), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        children.append(child)
        wait_until(lambda: (of or broker).control_json("subscriptions") != [], "the subscription")
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stderr.close()


# Many messages


def test_each_line_is_a_message(broker):
    session = broker.session()
    session.subscribe("a")
    done(broker.control("pub", "a", "--lines", input="one\n\n two é\nthree".encode()))
    assert [session.expect("message")["data"] for _ in range(4)] == ["one", "", " two é", "three"]


def test_lines_have_the_options_of_the_command(broker):
    done(broker.control("pub", "a", "--lines", "--retain", "--type", "application/json", "--json", input=b"[1]\n[2.50]\n"))
    assert broker.retained("a").body == b"[2.50]"
    assert json.loads(done(broker.control("pub", "a", "--lines", "--json", input=b"1\n2\n3\n"))) == {"published": 3}


def test_lines_may_be_binary(broker):
    done(broker.control("pub", "a", "--lines", "--binary", "--retain", input=b"\xff\xfe\n"))
    assert broker.retained("a").body == b"\xff\xfe"
    refused = broker.control("pub", "a", "--lines", input=b"ok\n\xff\n")
    assert "line 2: " in done(refused, 1) and "UTF-8" in refused.stderr.decode()


def test_thousands_of_lines_keep_their_order(broker):
    session = broker.session()
    session.subscribe("a")
    count = 5000
    done(broker.control("pub", "a", "--lines", input="".join(f"{number}\n" for number in range(count)).encode()))
    assert [session.expect("message")["data"] for _ in range(count)] == [str(number) for number in range(count)]


def test_each_line_is_published_at_once(broker):
    session = broker.session()
    session.subscribe("a")
    child = subprocess.Popen([BROKERCTL, "--socket", str(broker.admin_socket), "pub", "a", "--lines"], stdin=subprocess.PIPE)
    try:
        child.stdin.write(b"first\n")
        child.stdin.flush()
        assert session.expect("message")["data"] == "first"
        child.stdin.close()
        assert child.wait(ANSWER_DEADLINE) == 0
    finally:
        child.kill()
        child.wait()


def test_a_refusal_is_reported_during_an_incomplete_line(broker):
    child = subprocess.Popen(
        [BROKERCTL, "--socket", str(broker.admin_socket), "pub", "--json-lines"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        child.stdin.write(b'{"topic":"a/+","data":1}\n{"topic":')
        child.stdin.flush()
        assert child.wait(ANSWER_DEADLINE) == 1 and b"line 1: " in child.stderr.read()
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stderr.close()


def test_json_lines_have_publish_options(broker):
    session = broker.session()
    session.subscribe("#")
    text = '{"topic":"a","data":{"x":1.50}}\n\n{"data":"text","retain":true}\n{"topic":"c","data":"AP8=","encoding":"base64","op":"x","id":7}\n'
    done(broker.control("pub", "b", "--json-lines", input=text.encode()))
    first, second, third = (session.expect("message") for _ in range(3))
    assert (first["topic"], first["data"]) == ("a", {"x": 1.5}) and (second["topic"], second["data"]) == ("b", "text")
    assert (third["topic"], third["data"], third["encoding"]) == ("c", "AP8=", "base64")
    assert broker.retained("b").body == b"text"


@pytest.mark.parametrize("text, advice", [
    ('{"topic":"a","data":1}\n{"data":1}', "line 2: "), ("{", "line 1: "), ('{"topic":"a/+","data":1}', "bad-topic"),
    ('{"topic":"a","data":1}\n{"topic":"$SYS/a","data":1}', "line 2: ")])
def test_a_refused_line_is_named(broker, text, advice):
    assert advice in done(broker.control("pub", "--json-lines", input=text.encode()), 1)


def test_count_publishes_numbered_messages(broker):
    session = broker.session()
    session.subscribe("t/#")
    done(broker.control("pub", "t/{n}", "value {n} of {n}", "--count", "3"))
    assert [(message["topic"], message["data"]) for message in (session.expect("message") for _ in range(3))] == [
        (f"t/{n}", f"value {n} of {n}") for n in (1, 2, 3)]
    # Without a count there is nothing to replace.
    done(broker.control("pub", "t/x", "{n}"))
    assert session.expect("message")["data"] == "{n}"


def test_interval_spaces_messages(broker):
    session = broker.session()
    session.subscribe("a")
    begin = time.monotonic()
    done(broker.control("pub", "a", "{n}", "--count", "4", "--interval", "200ms"))
    assert time.monotonic() - begin >= 0.6
    times = [session.expect("message")["time"] for _ in range(4)]
    assert times[3] - times[0] >= 550


@pytest.mark.parametrize("arguments, advice", [
    (["--lines"], "Missing"), (["a", "x", "--lines"], "standard input"), (["a", "--lines", "--json-lines"], "cannot be combined"),
    (["a", "x", "--count", "0"], "1 or more"), (["a", "x", "--interval", "1s"], "requires --count"),
    (["a", "x", "--count", "2", "--interval", "soon"], "expected a time"), (["--json-lines", "--retain"], "each line"),
    (["a", "--lines", "--count", "3"], "cannot be combined")])
def test_invalid_arguments_of_pub_are_usage_errors(broker, arguments, advice):
    assert advice in done(broker.control("pub", *arguments), 64)


# Handling of messages


def test_sub_prints_by_a_format(broker):
    broker.publish("a/b", "x\ty", "retain", {"Content-Type": "text/html"})
    seq = broker.control_json("retained", "list")[0]["seq"]
    shown = done(broker.control("sub", "a/b", "--count", "1", "--format", r"{{{topic}}}\t{data}|{seq}|{type}|{retained}\\"))
    assert shown == "{a/b}\tx\ty|" + f"{seq}|text/html|true\\\n"
    broker.publish("bytes", b"\x00\xff", "retain", {"Content-Type": "image/png"})
    assert done(broker.control("sub", "bytes", "--count", "1", "--format", "{data}")) == "base64:AP8=\n"


def test_a_format_on_a_terminal_is_escaped(broker):
    broker.publish("evil", b"\x1b[2J", "retain")
    process, terminal = pty.fork()
    if process == 0:
        os.execv(BROKERCTL, [BROKERCTL, "--socket", str(broker.admin_socket), "sub", "evil", "--count", "1", "--format", "<{data}>"])
    shown = b""
    try:
        while more := os.read(terminal, 65536):
            shown += more
    except OSError:
        pass  # The terminal's other end is closed.
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0 and shown == b"<\\u{1b}[2J>\r\n"


def test_exec_runs_a_command_for_each_message(broker, tmp_path):
    payload = bytes(range(256)) * 1000
    broker.publish("kept", payload, "retain", {"Content-Type": "image/png"})
    script = f'cat > "{tmp_path}/$SEQ"; echo "$TOPIC $TYPE $RETAINED"'
    assert done(broker.control("sub", "kept", "--count", "1", "--exec", script)) == "kept image/png 1\n"
    file, = tmp_path.glob("[0-9]*")
    assert file.read_bytes() == payload


def test_commands_run_one_at_a_time_and_in_order(broker, follow, tmp_path):
    child = follow("sub", "a", "--count", "5", "--exec", 'read number; echo "begin $number"; sleep 0.1; echo "end $number"')
    for number in range(5):
        broker.publish("a", f"{number}\n")
    output, _ = child.communicate(timeout=ANSWER_DEADLINE)
    assert output.decode().split("\n")[:-1] == [f"{word} {number}" for number in range(5) for word in ("begin", "end")]


def test_a_failed_command_is_reported_and_the_next_one_runs(broker, follow):
    child = follow("sub", "a/#", "--count", "3", "--exec", 'test "$TOPIC" != a/2 && echo "$TOPIC"')
    for number in (1, 2, 3):
        broker.publish(f"a/{number}", "x")
    output, errors = child.communicate(timeout=ANSWER_DEADLINE)
    assert child.returncode == 1 and output == b"a/1\na/3\n"
    assert b"exit status 1 for a/2" in errors and b"1 of 3 commands failed" in errors


def test_a_command_may_ignore_its_input(broker):
    broker.publish("big", b"x" * 900_000, "retain")
    done(broker.control("sub", "big", "--count", "1", "--exec", "exit 0"))
    assert b"exit status 137" in broker.control("sub", "big", "--count", "1", "--exec", "kill -9 $$").stderr


def test_a_command_can_get_json(broker):
    broker.publish("a", "text", "retain")
    found = json.loads(done(broker.control("sub", "a", "--count", "1", "--json", "--exec", "cat")))
    assert (found["topic"], found["data"], found["retained"]) == ("a", "text", True)


def test_sub_sets_the_slow_policy(broker, follow):
    follow("sub", "a", "--slow", "latest")
    assert [client["policy"] for client in broker.control_json("clients")] == ["latest"]


@pytest.mark.parametrize("arguments, advice", [
    (["--slow", "never"], "expected one of"), (["--format", "{colour}"], "no field {colour}"), (["--format", "{topic"], "no field {topic}"),
    (["--format", "a}"], "}}"), (["--format", "x", "--exec", "y"], "cannot be combined"), (["--format", "x", "--json"], "cannot be combined")])
def test_invalid_arguments_of_sub_are_usage_errors(broker, arguments, advice):
    assert advice in done(broker.control("sub", "a", *arguments), 64)


# Connections that break


def lines(child, count):
    return [child.stdout.readline().decode().rstrip("\n") for _ in range(count)]


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("verb", ["sub", "record"])
def test_reconnects_and_misses_nothing(start_broker, follow, how, verb):
    broker = start_broker('history: [ { filter: "h/#", messages: 1000 } ]\n')
    child = follow(verb, "h/#", "--count", "30", *(["--json"] if verb == "sub" else []), of=broker)
    found = []

    def read(count):
        while len(found) < count:
            line = json.loads(child.stdout.readline())
            # After a crash there may be a gap without anything missing; a record has a line for it.
            if "gap" not in line:
                found.append(int(line["data"]))

    for round_ in range(3):
        for number in range(5):
            broker.publish("h/a", str(10 * round_ + number))
        read(10 * round_ + 5)
        getattr(broker, how)()
        broker.start()
        # These arrive before it.
        for number in range(5, 10):
            broker.publish("h/a", str(10 * round_ + number))
        read(10 * round_ + 10)
    assert found == list(range(30))
    assert child.wait(ANSWER_DEADLINE) == 0
    errors = child.stderr.read()
    assert errors.count(b"reconnecting") == errors.count(b"reconnected") == 3


def test_reports_missed_messages_after_reconnecting(start_broker, follow):
    broker = start_broker()
    child = follow("sub", "a", "--count", "2", of=broker)
    broker.publish("a", "before")
    assert lines(child, 1) == ["a before"]
    broker.stop()
    broker.start()
    broker.publish("a", "lost")
    wait_until(lambda: broker.control_json("subscriptions") != [], "the subscription", 60)
    broker.publish("a", "after")
    assert lines(child, 1) == ["a after"]
    assert child.wait(ANSWER_DEADLINE) == 0 and b"of a are missing" in child.stderr.read()


def test_no_reconnect_exits_instead(broker, follow):
    child = follow("sub", "a", "--no-reconnect")
    broker.stop()
    _, errors = child.communicate(timeout=ANSWER_DEADLINE)
    assert child.returncode == 2 and b"went away (1012" in errors and b"reconnecting" not in errors


def test_does_not_reconnect_after_a_kick(broker, follow):
    child = follow("sub", "a")
    broker.control_json("clients", "kick", broker.control_json("clients")[0]["id"])
    _, errors = child.communicate(timeout=ANSWER_DEADLINE)
    assert child.returncode == 1 and b"4410" in errors and b"reconnecting" not in errors


def test_ends_when_its_right_is_revoked(start_broker, follow):
    broker = start_broker("access: { anonymous: { subscribe: ['#'], publish: ['#'] } }\n")
    child = subprocess.Popen([BROKERCTL, "--url", f"http://127.0.0.1:{broker.port}", "sub", "a"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: broker.control_json("subscriptions") != [], "the subscription")
        broker.config_file.write_text("access: { anonymous: { subscribe: ['b'], publish: ['#'] } }\n")
        done(broker.control("reload"))
        _, errors = child.communicate(timeout=ANSWER_DEADLINE)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 1 and b"the subscription has ended" in errors


def test_a_failed_first_connection_is_an_error(tmp_path):
    assert run_control("sub", "a", "--socket", str(tmp_path / "none.sock")).returncode == 2
