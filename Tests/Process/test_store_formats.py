"""Stores of the previous version are converted; stores of a newer version are refused and left unchanged."""

import base64
import json
import sys
from pathlib import Path

import pytest

from command_line import run_brokerd, run_control

sys.path.append(str(Path(__file__).with_name("stores")))
import format1  # noqa: E402


@pytest.fixture
def carried_over(start_broker, tmp_path):
    """A broker on a store of format 1, and the known contents."""
    facts = format1.unpack(tmp_path / "old" / "data" / "broker.mdb")
    return start_broker(format1.CONFIG, directory=tmp_path / "old"), facts


def check_values(broker, seqs):
    for topic, (body, type_, _) in format1.VALUES.items():
        answer = broker.retained(topic)
        assert (answer.status, answer.body, answer.headers["ETag"]) == (200, body, f'"{seqs[topic]}"'), topic
        if type_:
            assert answer.headers["Content-Type"] == type_, topic
    assert broker.retained("removed").status == 404


def replay(broker, epoch, filter_="log/#"):
    """The whole history, as (topic, seq, bytes, content type), and the announced gaps."""
    session = broker.session()
    session.send(op="subscribe", id=1, filter=filter_, since=f"{epoch}-0")
    messages, gaps = [], []
    while (received := session.receive())["op"] != "live":
        if received["op"] == "gap":
            gaps.append(received)
        elif received["op"] == "message":
            is_binary = received.get("encoding") == "base64"
            data = base64.b64decode(received["data"]) if is_binary else received["data"].encode()
            messages.append((received["topic"], received["seq"], data, received.get("type")))
    return messages, gaps


def kept(facts):
    """The expected replay: the value that a rule keeps, and the history without the two removed messages."""
    body, type_, _ = format1.VALUES["log/kept"]
    history = [(topic, seq, data, type_) for (topic, data, type_), seq in zip(format1.HISTORY, facts["kept"])]
    return [("log/kept", facts["seqs"]["log/kept"], body, type_), *history[2:]]


def test_a_store_of_format_1_is_converted(carried_over):
    broker, facts = carried_over
    assert broker.control_json("status")["epoch"] == facts["epoch"]
    assert not [path for path in broker.data.iterdir() if ".damaged-" in path.name]
    check_values(broker, facts["seqs"])
    messages, gaps = replay(broker, facts["epoch"])
    assert messages == kept(facts)
    assert gaps[-1]["seq"] == facts["kept"][1], "of log/a two were pushed out"
    exported = {value["topic"]: value for value in map(
        json.loads, broker.control("retained", "export").stdout.splitlines())}
    assert {topic: value["time"] for topic, value in exported.items()} == facts["times"]
    assert exported["mortal"]["expires"] - exported["mortal"]["time"] == pytest.approx(
        format1.LONG * 1000, abs=1000)
    assert broker.publish("after", "x")["seq"] > facts["newest"]


def test_one_store_can_hold_both_formats(carried_over):
    broker, facts = carried_over
    seqs = dict(facts["seqs"])
    for topic in ("plain", format1.LONG_TOPIC):
        body, type_, query = format1.VALUES[topic]
        seqs[topic] = broker.publish(topic, body, query, {"Content-Type": type_} if type_ else {})["seq"]
    new = broker.publish("log/b", b"new", "ack=stored", {"Content-Type": "text/x-new"})["seq"]
    broker.publish("bytes", b"", "retain")
    broker.kill()
    broker.start()
    assert broker.retained("bytes").status == 404
    body, type_, query = format1.VALUES["bytes"]
    seqs["bytes"] = broker.publish("bytes", body, query, {"Content-Type": type_})["seq"]
    check_values(broker, seqs)
    assert replay(broker, facts["epoch"])[0] == [*kept(facts), ("log/b", new, b"new", "text/x-new")]
    # The oldest are of format 1, and make room like the others.
    for number in range(3):
        last = broker.publish("log/a", str(number), "ack=stored")["seq"]
    topics = [(topic, data) for topic, _, data, _ in replay(broker, facts["epoch"], "log/a")[0]]
    assert topics == [("log/a", b"0"), ("log/a", b"1"), ("log/a", b"2")] and last > new


def test_a_backup_of_format_1_is_restored(start_broker, tmp_path):
    facts = format1.unpack(tmp_path / "backup.mdb")
    done = run_control("restore", str(tmp_path / "backup.mdb"), "--data-dir", str(tmp_path / "new" / "data"), "--json")
    assert json.loads(done.stdout) == {"values": len(format1.VALUES), "messages": len(kept(facts))}, done
    broker = start_broker(format1.CONFIG, directory=tmp_path / "new")
    check_values(broker, facts["seqs"])
    assert broker.control_json("status")["epoch"] != facts["epoch"]
    assert broker.publish("after", "x")["seq"] > facts["newest"]


# The numbers that a later version may raise: those of the store, of its records, and of the state of the history.
NEWER = {
    "of format 4": (b"state\x02\0\0\0\x02\0\0\0", b"state\x04\0\0\0\x02\0\0\0", 3),
    "with records of format 3": (b"state\x02\0\0\0\x02\0\0\0", b"state\x02\0\0\0\x03\0\0\0", 2),
    "with a history of format 2": (b"history\x01\0\0\0\0\0\0\0", b"history\x02\0\0\0\0\0\0\0", 1),
}


def files(directory):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


@pytest.fixture(params=NEWER)
def newer(request, start_broker):
    """A stopped broker whose store a newer version has written, and the expected error."""
    broker = start_broker(format1.CONFIG)
    broker.publish("a", b"1", "retain")
    broker.stop()
    before, after, known = NEWER[request.param]
    file = broker.data / "broker.mdb"
    content = file.read_bytes()
    assert before in content
    file.write_bytes(content.replace(before, after))
    return broker, f"broker.mdb is a store {request.param}, and this version reads up to {known}"


def test_a_newer_store_is_refused_and_unchanged(newer):
    broker, sentence = newer
    before = files(broker.data)
    done = run_brokerd(*broker.command()[1:], cwd=broker.directory)
    assert (done.returncode, done.stdout) == (1, f"brokerd: {broker.data}/{sentence}\n")
    assert files(broker.data) == before


def test_check_reports_a_newer_store(newer):
    broker, sentence = newer
    before = files(broker.data)
    done = run_brokerd(*broker.command()[1:], "--check", cwd=broker.directory)
    assert (done.returncode, done.stdout) == (1, f"{broker.config_file}: data_dir: {broker.data}/{sentence}\n")
    assert files(broker.data) == before


def test_a_newer_backup_is_not_restored(newer, start_broker):
    source, sentence = newer
    target = start_broker()
    target.publish("a", b"2", "retain")
    target.stop()
    before = files(target.data)
    done = run_control("restore", str(source.data), "--data-dir", str(target.data))
    assert done.returncode == 1 and f"{source.data}/{sentence}" in done.stderr.decode(), done
    assert files(target.data) == before


@pytest.mark.parametrize("newer", ["of format 4"], indirect=True)
def test_a_backup_can_replace_a_newer_store(newer, tmp_path):
    broker, _ = newer
    format1.unpack(tmp_path / "backup.mdb")
    content = (broker.data / "broker.mdb").read_bytes()
    done = run_control("restore", str(tmp_path / "backup.mdb"), "--data-dir", str(broker.data))
    assert done.returncode == 0, done
    (aside,) = [path for path in broker.data.iterdir() if ".replaced-" in path.name]
    assert aside.read_bytes() == content
    broker.start()
    assert broker.retained("plain").body == b"hello"
    # The newest number of the newer store is not known; numbers from the time are above it.
    assert broker.publish("after", "x")["seq"] > 1 << 50
