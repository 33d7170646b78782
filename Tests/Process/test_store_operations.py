"""Contract §7: export, import, backup, restore, deletion by filter, topics with rates."""

import json
import os
import random
import resource
import stat
import threading

import pytest

from command_line import run_control
from deadlines import wait_until

VALUES = {
    "plain": ("text", b"hello", None),
    "json/number": ("json", b"21.5", "application/json"),
    "json/object": ("json", b'{"a":[1,2,{"b":null}],"c":"\\u00fc"}', "application/json"),
    "json/string": ("json", b'"quoted"', "application/json"),
    "bytes": ("binary", bytes(range(256)), "image/png"),
    "typed": ("text", b"<p>", "text/html"),
    "a//b/": ("text", "ünïcode \U0001F600 \u0001".encode(), None),
    "x" * 900: ("text", b"long topic", None),
}


def put(broker, topic, body, type_=None, query="retain"):
    return broker.publish(topic, body, query, {"Content-Type": type_} if type_ else {}, "PUT")


def fill(broker):
    for topic, (_, body, type_) in VALUES.items():
        put(broker, topic, body, type_)


def shown(broker, topic):
    answer = broker.retained(topic)
    return answer.status, answer.body, answer.headers["Content-Type"]


def lines(done):
    assert done.returncode == 0 and done.stderr == b"", done
    return [json.loads(line) for line in done.stdout.splitlines()]


# Export and import


def test_exported_values_are_imported_unchanged(start_broker):
    source, target = start_broker(), start_broker()
    fill(source)
    put(source, "mortal", b"x", query="retain&ttl=600")
    exported = source.control("retained", "export")
    assert {value["topic"] for value in lines(exported)} == VALUES.keys() | {"mortal"}
    assert {value["topic"]: value["kind"] for value in lines(exported)} == {
        topic: kind for topic, (kind, _, _) in VALUES.items()} | {"mortal": "text"}
    done = target.control("retained", "import", input=exported.stdout)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"imported: {len(VALUES) + 1}\n".encode(), b"")
    for topic in VALUES:
        assert shown(target, topic) == shown(source, topic), topic
    again = lines(target.control("retained", "export"))
    (mortal,) = [value for value in again if value["topic"] == "mortal"]
    (before,) = [value for value in lines(exported) if value["topic"] == "mortal"]
    assert abs(mortal["expires"] - before["expires"]) < 60_000
    strip = lambda values: [{key: value[key] for key in value if key not in ("seq", "time", "expires")} for value in values]
    assert strip(again) == strip(lines(exported))


def random_json(dice, depth):
    kind = dice.randrange(7) if depth else dice.randrange(5)
    if kind == 5:
        return [random_json(dice, depth - 1) for _ in range(dice.randrange(4))]
    if kind == 6:
        return {random_text(dice, 8): random_json(dice, depth - 1) for _ in range(dice.randrange(4))}
    return [None, True, dice.randrange(-10**18, 10**18), dice.random(), random_text(dice, 20)][kind]


def random_text(dice, longest):
    letters = 'abc"\\/ \t\n\r\0\x1b\x7f\u0085\u00fc\u2028\u202e\ufffe\U0001F600'
    return "".join(dice.choice(letters) for _ in range(dice.randrange(longest)))


def random_topic(dice):
    words = ["a", "b", "$app", "", "x" * 300, "ü", 'quo"te', "back\\slash", " ", "\u202e", "$"]
    while True:
        topic = "/".join(dice.choice(words) for _ in range(dice.randrange(1, 5)))
        if topic:
            return topic


def random_value(dice):
    """A payload and its content type: everything that can be published over HTTP."""
    kind = dice.randrange(6)
    if kind == 0:
        text = json.dumps(random_json(dice, 5), indent=dice.choice([None, 2]), ensure_ascii=dice.random() < .5)
        before, after = (dice.choice(["", "", " ", "\t", "\r\n "]) for _ in range(2))
        return (before + text + after).encode(), "application/json"
    if kind == 1:
        depth = dice.randrange(60, 65)
        return b"[" * depth + b"]" * depth, "application/x+json"
    if kind == 2:
        return random_text(dice, 2000).encode() or b"x", dice.choice([None, "text/html", "text/plain; charset=utf-8"])
    if kind == 3:
        return dice.choice(['"', "\x1b", "\n", "x", "ü"]).encode() * dice.choice([1, 1000, 300_000]), "text/plain"
    if kind == 4:
        return b'"' + random_text(dice, 50).encode(), "application/json"  # hardly ever JSON
    return dice.randbytes(dice.randrange(1, 5000)), dice.choice(["image/png", "application/octet-stream"])


@pytest.mark.parametrize("seed", range(3))
def test_export_and_import_round_trip(start_broker, seed):
    """Whatever a store contains: data byte for byte, kind, content type, time to live."""
    dice = random.Random(seed)
    source, target = start_broker(), start_broker()
    topics = {random_topic(dice) for _ in range(150)}
    for topic in topics:
        body, type_ = random_value(dice)
        query = "retain&ttl=600" if dice.random() < .2 else "retain"
        put(source, topic, body, type_ or "text/plain", query=query)
    exported = source.control("retained", "export")
    assert {value["topic"] for value in lines(exported)} == topics
    done = target.control("retained", "import", input=exported.stdout, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"imported: {len(topics)}\n".encode()), done
    for topic in topics:
        assert shown(target, topic) == shown(source, topic), topic
    again = target.control("retained", "export")
    plain = lambda done: {
        value["topic"]: {key: value[key] for key in value if key not in ("seq", "time", "expires")}
        for value in lines(done)}
    assert plain(again) == plain(exported)
    mortal = lambda done: {value["topic"]: value["expires"] for value in lines(done) if "expires" in value}
    before, after = mortal(exported), mortal(again)
    assert before.keys() == after.keys() and all(abs(after[topic] - before[topic]) < 60_000 for topic in before)


def test_the_longest_values_are_exported_and_imported(start_broker):
    source, target = start_broker(), start_broker()
    longest = {"quotes": b'"' * (1 << 20), "controls": b"\x1b" * (1 << 20), "plain": b"x" * (1 << 20),
               "bytes": bytes(range(256)) * 4096, "json": b"[" + b"1,\n" * 349_524 + b"10]"}
    for topic, body in longest.items():
        types = {"bytes": "application/octet-stream", "json": "application/json"}
        put(source, topic, body, types.get(topic, "text/plain"))
    exported = source.control("retained", "export", timeout=60)
    done = target.control("retained", "import", input=exported.stdout, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"imported: 5\n"), done
    for topic in longest:
        assert shown(target, topic) == shown(source, topic), topic


@pytest.mark.parametrize("letter", ["x", '"', "\x1b"])
def test_the_message_limit_applies_to_administrators(start_broker, letter):
    broker = start_broker("limits: { message: 100KiB }\n")
    fits, exceeds = letter * (100 << 10), letter * ((100 << 10) + 1)
    assert broker.control("retained", "set", "t", "-", input=fits.encode()).returncode == 0
    assert broker.retained("t").body == fits.encode()
    done = broker.control("retained", "set", "t", "-", input=exceeds.encode())
    assert done.returncode == 1 and b"limits.message" in done.stderr
    for text in (exceeds, "\n" + exceeds):
        line = json.dumps({"topic": "u", "data": text}).encode()
        done = broker.control("retained", "import", input=line)
        assert done.returncode == 1 and b"too-large" in done.stderr
    assert broker.retained("u").status == 404


def test_lists_without_a_filter_include_dollar_topics(broker):
    """Topics that begin with `$` are among them; with the filter `#` they are not."""
    put(broker, "$app/x", b"1")
    put(broker, "a", b"2")
    for verb in (["retained", "list"], ["topics", "--seconds", "0"]):
        assert [row["topic"] for row in broker.control_json(*verb)] == ["$app/x", "a"]
        assert [row["topic"] for row in broker.control_json(*verb, "#")] == ["a"]
    assert broker.control_json("retained", "delete", "#") == {"deleted": 1}


def test_a_truncated_list_says_so(broker):
    session = broker.session()
    for begin in range(0, 10_500, 500):
        for number in range(begin, begin + 500):
            session.send(op="publish", topic=f"many/{number:05}", data=number, retain=True, ack="routed")
        session.synchronise()
    wait_until(lambda: broker.metrics()["broker_retained_messages"] == 10_500, "all are stored")
    expected = [f"many/{number:05}" for number in range(10_500)]
    assert [row["topic"] for row in broker.control_json("retained", "list")] == expected
    assert broker.control("retained", "list", "many/#").stdout.count(b"\n") == 10_501
    done = broker.control("topics", "--seconds", "0", "--json")
    assert done.returncode == 1 and b"there are too many to list" in done.stderr
    assert [row["topic"] for row in json.loads(done.stdout)] == expected[:10_000]


def test_export_works_by_filter_and_in_pieces(broker):
    session = broker.session()
    for begin in range(0, 5000, 500):
        for number in range(begin, begin + 500):
            session.send(op="publish", topic=f"many/{number:04}/x", data=number, retain=True, ack="routed")
        session.synchronise()
    session.publish("last", 1, retain=True)
    values = lines(broker.control("retained", "export", "many/+/x"))
    assert sorted(value["data"] for value in values) == list(range(5000))
    assert lines(broker.control("retained", "export", "many/0007/x"))[0]["data"] == 7
    assert broker.control("retained", "export", "none/#").stdout == b""
    assert broker.control("retained", "export", "a/#/b").returncode == 1


def test_import_accepts_hand_written_lines(broker, tmp_path):
    file = tmp_path / "values.jsonl"
    file.write_text('{"topic":"a","data":21.5}\n\n{"topic":"b","data":"text","type":"text/css"}\r\n'
                    '{"topic":"c","data":"AP8=","encoding":"base64"}\n{"topic":"d","data":"x","ttl":600}')
    done = broker.control("retained", "import", str(file))
    assert done.returncode == 0 and done.stdout == b"imported: 4\n", done
    assert shown(broker, "a")[1:] == (b"21.5", "application/json")
    assert shown(broker, "b")[1:] == (b"text", "text/css")
    assert broker.retained("c").body == b"\x00\xff" and broker.retained("d").status == 200


def test_import_names_failed_lines_and_continues(start_broker):
    broker = start_broker("limits: { message: 4KiB }\n")
    bad = [
        b'{"topic":"good/1","data":1}', b"no json", b'{"topic":"bad/#","data":1}', b'{"data":1}', b'{"topic":"x"}',
        b'{"topic":"$SYS/x","data":1}', b'{"topic":"x","data":"!","encoding":"base64"}',
        b'{"topic":"x","data":1,"kind":"picture"}', b'{"topic":"long","data":"' + b"x" * 20_000 + b'"}',
        b'{"topic":"gone","data":1,"expires":1000}', b'{"topic":"good/2","data":"\xff"}', b'{"topic":"good/3","data":2}',
    ]
    done = broker.control("retained", "import", "-", "--json", input=b"\n".join(bad) + b"\n")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert (result["imported"], result["expired"], result["failed"]) == (2, 1, 9), result
    assert sorted(error["line"] for error in result["errors"]) == [2, 3, 4, 5, 6, 7, 8, 9, 11]
    assert broker.retained("good/1").status == broker.retained("good/3").status == 200
    done = broker.control("retained", "import", input=b"{}\n")
    assert done.returncode == 1 and b"line 1: topic: expected a string" in done.stderr
    done = broker.control("retained", "import", "/no/such/file")
    assert done.returncode == 1 and b"/no/such/file: No such file" in done.stderr


# Deletion


def test_delete_by_filter_has_a_dry_run(broker):
    session = broker.session()
    for number in range(2500):
        session.send(op="publish", topic=f"old/{number}", data=number, retain=True, ack="routed")
    session.publish("new", 1, retain=True)
    for filter, sentence in (("old/#", b"2500 values"), ("new", b"1 value"), ("none", b"0 values")):
        told = broker.control("retained", "delete", filter, "--dry-run").stdout
        assert told == sentence + b" would be deleted; nothing was.\n"
    assert broker.control_json("retained", "delete", "old/#", "--dry-run") == {"deleted": 0, "matching": 2500}
    assert broker.control("retained", "delete", "old/#").stdout == b"deleted: 2500\n"
    assert broker.control_json("retained", "delete", "old/#") == {"deleted": 0}
    assert broker.metrics()["broker_retained_messages"] == 1


# Topics


def test_topics_lists_rates_and_sizes(broker):
    put(broker, "kept", b"x" * 300)
    session = broker.session()
    session.subscribe("listened")
    stop = threading.Event()

    def publish():
        other = broker.session()
        while not stop.wait(0.02):
            other.publish("busy/1", "x" * 98)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        rows = {row["topic"]: row for row in broker.control_json("topics", "--seconds", "1.5")}
    finally:
        stop.set()
        thread.join()
    assert rows["kept"]["bytes"] == 300 and rows["kept"]["messagesPerSecond"] == 0
    assert rows["listened"]["subscriptions"] == 1 and rows["listened"]["retained"] is False
    assert 0 < rows["busy/1"]["messagesPerSecond"] < 60
    assert rows["busy/1"]["bytesPerSecond"] == pytest.approx(98 * rows["busy/1"]["messagesPerSecond"])
    assert "messagesPerSecond" not in broker.control_json("topics", "kept", "--seconds", "0")[0]
    assert b"MESSAGES/S" in broker.control("topics").stdout
    assert broker.control("topics", "--seconds", "61").returncode == 64


# Backup and restore


def test_a_backup_is_consistent_during_publishing(start_broker, tmp_path):
    broker = start_broker()
    fill(broker)
    stop = threading.Event()

    def publish():
        session = broker.session()
        number = 0
        while not stop.is_set():
            # Both or neither: the second lags by one at most.
            session.publish("pair/1", number, retain=True, ack="routed")
            session.publish("pair/2", number, retain=True)
            number += 1

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        wait_until(lambda: broker.retained("pair/2").status == 200, "publishers at work")
        done = broker.control("backup", str(tmp_path / "backup"))
    finally:
        stop.set()
        thread.join()
    assert done.returncode == 0 and b"backup: " in done.stdout and b"checked" in done.stdout, done
    seq = broker.publish("after", "x", "retain")["seq"]
    again = broker.control("backup", str(tmp_path / "backup"))
    assert again.returncode == 1 and b"the file exists already" in again.stderr
    other = tmp_path / "other"
    restored = run_control("restore", str(tmp_path / "backup"), "--data-dir", str(other / "data"), "--json")
    assert restored.returncode == 0 and json.loads(restored.stdout)["values"] == len(VALUES) + 2, restored
    target = start_broker(directory=other)
    for topic in VALUES:
        assert shown(target, topic) == shown(broker, topic)
    first, second = int(target.retained("pair/1").body), int(target.retained("pair/2").body)
    assert first - second in (0, 1)
    assert target.retained("after").status == 404
    assert target.control_json("status")["epoch"] != broker.control_json("status")["epoch"]
    assert seq > 0


def test_restore_does_not_reset_seq(start_broker, tmp_path):
    broker = start_broker()
    put(broker, "a", b"old")
    assert broker.control("backup", str(tmp_path / "backup")).returncode == 0
    for _ in range(20):
        last = put(broker, "a", b"new")["seq"]
    epoch = broker.control_json("status")["epoch"]
    refused = run_control("restore", str(tmp_path / "backup"), "--data-dir", str(broker.data))
    assert refused.returncode == 1 and b"stop it first" in refused.stderr
    broker.kill()
    done = run_control("restore", str(tmp_path / "backup"), "--data-dir", str(broker.data))
    assert done.returncode == 0, done
    assert len([path for path in broker.data.iterdir() if ".replaced-" in path.name]) == 1
    broker.start()
    assert broker.retained("a").body == b"old"
    assert broker.publish("a", "x")["seq"] > last
    assert broker.control_json("status")["epoch"] != epoch


def test_restored_files_belong_to_the_owner_of_the_directory(start_broker, tmp_path):
    """The superuser restores, and the broker's own user must be able to open the store."""
    broker = start_broker()
    assert broker.control("backup", str(tmp_path / "backup")).returncode == 0
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data, 65534, 65534)
    done = run_control("restore", str(tmp_path / "backup"), "--data-dir", str(data))
    assert done.returncode == 0, done
    owner = data.stat()
    assert {(path.name, path.stat().st_uid, path.stat().st_gid) for path in data.iterdir()} == {
        (name, owner.st_uid, owner.st_gid) for name in ("broker.mdb", "lock")}


def test_restore_refuses_invalid_backups(broker, tmp_path):
    put(broker, "a", b"1")
    assert broker.control("backup", str(tmp_path / "backup")).returncode == 0
    broker.stop()
    done = run_control("restore", str(tmp_path / "none"), "--data-dir", str(broker.data))
    assert done.returncode == 1 and b"No such file" in done.stderr
    file = tmp_path / "backup"
    file.write_bytes(file.read_bytes()[:9000])
    done = run_control("restore", str(tmp_path / "backup"), "--data-dir", str(broker.data))
    assert done.returncode == 1 and b"damaged" in done.stderr
    broker.start()
    assert broker.retained("a").body == b"1"


def test_backup_to_an_unwritable_path_is_an_error(broker, tmp_path):
    target = tmp_path / "none" / "file"
    done = broker.control("backup", str(target))
    assert done.returncode == 1 and str(target).encode() in done.stderr and not done.stdout
    assert broker.http("GET", "/health/ready").status == 200


def test_a_backup_is_written_where_brokerctl_runs(start_broker, tmp_path):
    """A path of the caller has no meaning for the broker, which may have another root."""
    broker = start_broker()
    fill(broker)
    here = tmp_path / "here"
    here.mkdir()
    done = broker.control("backup", "copy.mdb", "--json", cwd=here)
    assert done.returncode == 0 and json.loads(done.stdout) == {
        "path": "copy.mdb", "bytes": (here / "copy.mdb").stat().st_size}
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in here.iterdir()] == [("copy.mdb", 0o600)]
    done = broker.control("backup", "folder/", cwd=here)
    assert done.returncode == 0 and (here / "folder" / "broker.mdb").exists()
    assert broker.control("backup", "folder", cwd=here).returncode == 1, "a backup is never replaced"


def test_a_backup_can_be_written_to_a_pipe(start_broker, tmp_path):
    broker = start_broker()
    fill(broker)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = broker.control("backup", "-", environment={"TMPDIR": str(temporary)})
    assert done.returncode == 0 and done.stderr == b""
    assert list(temporary.iterdir()) == []
    (tmp_path / "copy").write_bytes(done.stdout)
    other = tmp_path / "other"
    assert run_control("restore", str(tmp_path / "copy"), "--data-dir", str(other / "data")).returncode == 0
    target = start_broker(directory=other)
    for topic in VALUES:
        assert shown(target, topic) == shown(broker, topic)


def test_an_interrupted_backup_leaves_no_file(start_broker, tmp_path):
    """The broker is killed in the middle: nothing that looks like a backup is left."""
    broker = start_broker()
    for number in range(40):
        put(broker, f"big/{number}", os.urandom(1 << 20), "application/octet-stream")
    target = tmp_path / "copy"
    # A limit of the file size stops brokerctl in the middle, as a full disk does.
    done = broker.control("backup", str(target), limits={resource.RLIMIT_FSIZE: 8 << 20})
    assert done.returncode == 1 and b"copy.partial: File too large" in done.stderr
    assert list(tmp_path.glob("copy*")) == []
    assert broker.control("backup", str(target)).returncode == 0, "the next one need not wait"
