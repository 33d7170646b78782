"""Contract §1, §3.5, §5: the store is full, the disk is full, fails or is read-only; everything that does not need it continues."""

import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from broker_process import free_port
from command_line import BROKERD
from deadlines import START_DEADLINE, wait_until
from fragile_disk import FragileDisk


def everything_else_works(broker, marker):
    """Routing, reading and following do not need a write to the store."""
    topic = f"alive/{marker}"
    follower = broker.topic_socket(topic, "snapshot=false&echo=false")
    follower.synchronise()
    answer = broker.http("POST", f"/t/{topic}", body=b"x" * 1000)
    assert answer.status == 200 and answer.json["stored"] is False
    assert follower.receive_message()[1] == b"x" * 1000
    assert broker.http("GET", "/health/live").status == 200
    follower.close()


def fill(broker, size, maximum):
    """Stores values until one is refused; returns those that were stored."""
    for number in range(maximum):
        answer = broker.http("PUT", f"/t/full/{number}?retain", body=b"x" * size)
        if answer.status != 200:
            assert (answer.status, answer.error_code) == (507, "storage-full"), answer
            return number
    raise AssertionError(f"{maximum} values of {size} bytes were stored, and the store is not full")


def stored(broker, topic, body=b"x"):
    return broker.http("PUT", f"/t/{topic}?retain", body=body)


# Full: the map


def test_a_full_store_recovers(start_broker):
    broker = start_broker("store: { maximum_size: 1MiB }\n")
    count = fill(broker, 3000, 1000)
    assert count > 50
    everything_else_works(broker, "full")
    session = broker.session()
    answer = session.request(op="publish", topic="more", data="x" * 100_000, retain=True)
    assert (answer["op"], answer["code"]) == ("error", "storage-full")
    # `routed` does not wait for the disk, and says that it is not stored.
    answer = session.request(op="publish", topic="more", data="x" * 100_000, retain=True, ack="routed")
    assert (answer["op"], answer["stored"]) == ("ok", False)
    assert broker.retained("full/0").status == 200
    assert broker.http("GET", "/health/ready").status == 200
    assert broker.metrics()["broker_store_failures_total"] >= 2
    for number in range(count // 2):
        assert broker.http("DELETE", f"/t/full/{number}").status == 204
    assert stored(broker, "more", b"x" * 3000).json["stored"] is True
    broker.kill()
    broker.start()
    assert broker.retained(f"full/{count - 1}").body == b"x" * 3000
    assert broker.retained("full/0").status == 404


def test_a_refused_value_is_delivered_but_the_old_one_stays(start_broker):
    broker = start_broker("store: { maximum_size: 1MiB }\n")
    stored(broker, "value", b"old")
    fill(broker, 3000, 1000)
    follower = broker.topic_socket("value", "snapshot=false")
    follower.synchronise()
    answer = stored(broker, "value", b"n" * 100_000)
    assert answer.json["error"]["message"] == (
        "The store is full. The message was delivered to subscribers, but is not stored."
    )
    assert follower.receive_message()[1] == b"n" * 100_000
    assert follower.receive_message()[1] == b"old", "who was shown the refused value is shown the one that stayed"
    assert broker.retained("value").body == b"old"
    assert broker.topic_socket("value").receive_message()[1] == b"old"


def test_the_file_starts_small_and_grows(start_broker):
    broker = start_broker("store: { maximum_size: 64MiB }\n")
    file = broker.data / "broker.mdb"
    assert file.stat().st_size < 1 << 20
    sizes = []
    for round_ in range(3):
        for number in range(8):
            assert stored(broker, f"grow/{round_}/{number}", b"x" * 900_000).json["stored"] is True
        sizes.append(file.stat().st_size)
    assert sizes[0] < sizes[1] < sizes[2] <= 64 << 20
    metrics = broker.metrics()
    assert metrics["broker_store_maximum_bytes"] == 64 << 20
    assert 20 << 20 < metrics["broker_store_used_bytes"] < 64 << 20


def test_limited_address_space_makes_a_smaller_map(start_broker):
    """The map is reserved whole; where that much address space is not available a smaller one serves."""
    broker = start_broker("store: { maximum_size: 256GiB }\nreactors: { count: 1 }\n", limits={
        resource.RLIMIT_AS: 8 << 30})
    assert broker.metrics()["broker_store_maximum_bytes"] < 8 << 30
    assert stored(broker, "a").json["stored"] is True


# Full: the disk


@pytest.fixture
def small_disk(tmp_path):
    """A directory on a file system of 3 MiB; if this process may not mount, a disk that refuses to grow."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(mounted)], capture_output=True)
    if done.returncode == 0:
        yield mounted, {}, lambda: subprocess.run(
            ["mount", "-o", "remount,size=16m", str(mounted)], check=True)
        subprocess.run(["umount", "-l", str(mounted)], check=True)
        return
    disk = FragileDisk(tmp_path, mounted / "broker" / "data")
    disk.faults.set(disk_size=3 << 20)
    yield mounted, disk.environment, lambda: disk.faults.set(disk_size=0)


def test_a_full_disk_recovers(start_broker, small_disk):
    mounted, environment, enlarge = small_disk
    broker = start_broker(environment=environment, directory=mounted / "broker")
    count = fill(broker, 20_000, 1000)
    assert count > 20
    everything_else_works(broker, "disk")
    assert broker.retained(f"full/{count - 1}").body == b"x" * 20_000
    follower = broker.topic_socket(f"full/{count - 1}", "snapshot=false")
    follower.synchronise()
    assert stored(broker, f"full/{count - 1}", b"n" * 200_000).status == 507
    assert [follower.receive_message()[1] for _ in range(2)] == [b"n" * 200_000, b"x" * 20_000]
    # Values can be removed, and their space is used again, although the disk is as full as before.
    for number in range(count // 2):
        assert broker.http("DELETE", f"/t/full/{number}").status == 204, number
    for number in range(count // 4):
        assert stored(broker, f"again/{number}", b"y" * 20_000).status == 200, number
    more = fill(broker, 20_000, 1000)
    enlarge()
    for number in range(100):
        assert stored(broker, f"after/{number}", b"z" * 20_000).json["stored"] is True
    broker.kill()
    broker.start()
    assert broker.retained("after/99").body == b"z" * 20_000
    assert broker.retained("again/0").body == b"y" * 20_000
    assert broker.retained(f"full/{more - 1}").status == 200


def run_broker(data, environment):
    """A brokerd that is expected to exit."""
    return subprocess.run(
        [BROKERD, "--data-dir", str(data), "--listen", f"127.0.0.1:{free_port()}"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=START_DEADLINE, text=True,
        env=os.environ | environment)


def test_the_first_start_on_a_full_disk_fails_with_a_reason(tmp_path):
    data = tmp_path / "data"
    disk = FragileDisk(tmp_path, data)
    disk.faults.set(disk_size=1)
    done = run_broker(data, disk.environment)
    assert done.returncode == 1
    assert done.stdout == f"brokerd: cannot create the store in {data}: no space is left on the disk\n"


def test_a_later_start_on_a_full_disk_serves_existing_values(start_broker, tmp_path):
    disk = FragileDisk(tmp_path, tmp_path / "broker0" / "data")
    broker = start_broker(environment=disk.environment)
    before = stored(broker, "a", b"1").json["seq"]
    broker.kill()
    # Not even the free space in the file is available.
    disk.faults.set(disk_size=1)
    broker.start()
    assert broker.retained("a").body == b"1"
    answer = broker.http("POST", "/t/b", body=b"x")
    assert (answer.status, answer.error_code) == (507, "storage-full")
    assert broker.http("GET", "/health/ready").status == 503
    disk.faults.set(disk_size=0)
    wait_until(lambda: broker.http("POST", "/t/b", body=b"x").status == 200, "the disk is noticed to have room")
    assert stored(broker, "a", b"2").json["seq"] > before
    wait_until(lambda: broker.http("GET", "/health/ready").status == 200, "ready again")


# A disk that fails


@pytest.fixture
def fragile(start_broker, tmp_path):
    disk = FragileDisk(tmp_path, tmp_path / "broker0" / "data")
    return start_broker(environment=disk.environment), disk.faults


def test_a_failed_sync_is_not_acknowledged_as_stored(fragile):
    broker, faults = fragile
    assert stored(broker, "a", b"1").json["stored"] is True
    faults.set(failing_syncs=1)
    answer = stored(broker, "a", b"2")
    assert (answer.status, answer.error_code) == (503, "unavailable")
    everything_else_works(broker, "sync")
    assert stored(broker, "a", b"3").json["stored"] is True
    broker.kill()
    broker.start()
    assert broker.retained("a").body == b"3"


def test_recovers_from_a_failed_meta_page_without_a_restart(fragile):
    """If LMDB cannot write its meta page it must be opened again."""
    broker, faults = fragile
    for number in range(50):
        assert stored(broker, f"before/{number}").json["stored"] is True
    subscriber = broker.session()
    faults.set(failing_dsync_writes=1)
    answer = stored(broker, "lost", b"2")
    assert (answer.status, answer.error_code) == (503, "unavailable")
    assert faults.get("failed") == 1
    # Readers notice nothing.
    assert len(subscriber.subscribe("before/#")) == 50
    assert broker.retained("before/49").status == 200
    assert stored(broker, "after", b"3").json["stored"] is True
    assert broker.metrics()["broker_store_reopenings_total"] == 1
    assert broker.http("GET", "/health/ready").status == 200
    broker.kill()
    broker.start()
    assert broker.retained("after").body == b"3" and broker.retained("before/0").status == 200


def test_a_failing_disk_makes_the_broker_unready(fragile):
    broker, faults = fragile
    assert stored(broker, "a").status == 200
    faults.set(failing_dsync_writes=1 << 40, failing_syncs=1 << 40)
    assert stored(broker, "b").status == 503
    answer = wait_until(lambda: (a := broker.http("GET", "/health/ready")).status == 503 and a, "unready")
    assert answer.json["reason"]
    shown = [broker.control("status", *options) for options in ((), ("--json",))]
    assert [done.returncode for done in shown] == [1, 1]
    assert b"not ready" in shown[0].stdout and json.loads(shown[1].stdout)["ready"] is False
    everything_else_works(broker, "failing")
    faults.set(failing_dsync_writes=0, failing_syncs=0)
    wait_until(lambda: broker.http("GET", "/health/ready").status == 200, "ready again")
    assert stored(broker, "c").json["stored"] is True
    assert broker.retained("a").status == 200


# Read-only


@pytest.fixture
def read_only_directory():
    """A directory of the broker's user to which that user may not write."""
    directory = Path(tempfile.mkdtemp(prefix="broker-read-only-"))
    directory.chmod(0o755)
    data = directory / "data"
    data.mkdir(mode=0o555)
    if os.getuid() == 0:
        os.chown(data, 65534, 65534)
    yield data
    shutil.rmtree(directory)


def test_a_read_only_data_directory_is_a_clear_error(read_only_directory):
    data = read_only_directory

    def drop_privileges():
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)

    done = subprocess.run(
        [BROKERD, "--data-dir", str(data), "--listen", f"127.0.0.1:{free_port()}"], cwd="/",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=START_DEADLINE, text=True,
        preexec_fn=drop_privileges)
    assert done.returncode == 1, done.stdout
    assert f"{data}/lock" in done.stdout and "Permission denied" in done.stdout
    assert len(done.stdout.strip().splitlines()) == 1


# Out of descriptors


def test_new_connections_are_refused_while_descriptors_are_exhausted(start_broker):
    broker = start_broker("reactors: { count: 2 }\n", limits={resource.RLIMIT_NOFILE: 64})
    session = broker.session()
    session.subscribe("news/#")
    publisher = broker.topic_socket("news/1", "echo=false")
    crowd = []
    for _ in range(100):
        try:
            crowd.append(broker.connect())
        except ConnectionResetError:
            pass  # Refused before the call returned.
    turned_away = 'broker_connections_refused_total{reason="descriptors"}'
    status = wait_until(lambda: broker.control_json("status"), "an answer to the administrator")
    assert status["connections"] < 64
    # Connected clients continue, and the store accepts writes.
    for number in range(20):
        publisher.send_text(f"message {number}")
        assert session.expect("message", topic="news/1")["data"] == f"message {number}"
    assert session.publish("kept", 1, retain=True)["stored"] is True
    for one in crowd:
        one.close()

    def is_ready():
        try:
            return broker.http("GET", "/health/ready").status == 200
        except ConnectionError:
            return False

    wait_until(is_ready, "accepting again")
    assert broker.metrics()[turned_away] > 0
    assert broker.retained("kept").status == 200


# The clock


@pytest.fixture
def time_traveller(start_broker, tmp_path):
    disk = FragileDisk(tmp_path, tmp_path / "broker0" / "data")
    broker = start_broker("keepalive: { interval: 1s, timeout: 30s }\n", environment=disk.environment)
    return broker, lambda seconds: disk.faults.set(clock_offset=seconds)


@pytest.mark.parametrize("jump", [3600, -3600, 40 * 365 * 86400])
def test_a_clock_jump_does_not_affect_lifetimes_or_connections(time_traveller, jump):
    broker, set_clock = time_traveller
    broker.publish("long", "x", "retain&ttl=600")
    begin = time.monotonic()
    broker.publish("short", "x", "retain&ttl=4")
    session = broker.session()
    session.subscribe("news")
    set_clock(jump)
    published = broker.publish("news", "after the jump")
    message = session.expect("message", topic="news")
    assert message["seq"] == published["seq"]
    assert abs(message["time"] / 1000 - (time.time() + jump)) < 60, "the time is the clock's"
    # Nothing expires early …
    broker.publish("another", "x", "retain&ttl=600")
    status = broker.retained("short").status
    # Lifetimes are counted in milliseconds.
    assert status == 200 or time.monotonic() - begin >= 3.99
    # … nor late, and the connection lives through a PING.
    wait_until(lambda: broker.retained("short").status == 404, "the value's end")
    assert time.monotonic() - begin >= 3.99
    assert broker.retained("long").status == 200 and broker.retained("another").status == 200
    assert broker.metrics()["broker_disconnects_total{reason=\"dead\"}"] == 0
    broker.publish("news", "still there")
    assert session.expect("message", topic="news")["data"] == "still there"


@pytest.mark.parametrize("jump", [-40 * 86400, 40 * 86400])
def test_a_clock_jump_does_not_age_the_history(start_broker, tmp_path, jump):
    disk = FragileDisk(tmp_path, tmp_path / "broker0" / "data")
    broker = start_broker(
        'history: [ { filter: "brief/#", age: 3s }, { filter: "long/#", age: 1h } ]\n', environment=disk.environment)
    since = broker.publish("plain", "x")["seq"]
    broker.publish("long/a", "before", "ack=stored")
    disk.faults.set(clock_offset=jump)
    broker.publish("long/a", "after", "ack=stored")
    begin = time.monotonic()
    broker.publish("brief/a", "x", "ack=stored")
    # Three seconds are three seconds, and an hour is longer than that.
    wait_until(lambda: broker.metrics()["broker_history_messages"] == 2, "the brief message to be too old")
    assert time.monotonic() - begin >= 2.9
    follower = broker.follow("long/a", f"since={since}")
    assert [follower.json()["data"] for _ in range(2)] == ["before", "after"]
