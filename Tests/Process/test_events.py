"""What happens to clients and to the broker: in `brokerctl events`, in `$SYS/events`, in the log and in the metrics."""

import datetime
import json
import signal
import time

import pytest

from command_line import run_control
from deadlines import wait_until
from fragile_disk import FragileDisk
from raw_websocket import CLOSE
from test_slow_readers import flood, slow_session

CONFIG = """
limits: { pending: 65536, subscriptions_per_client: 2 }
access: { anonymous: { publish: ["open/#", "$SYS/#"], subscribe: ["open/#", "$SYS/#"] } }
log: { level: debug }
"""


@pytest.fixture
def broker(start_broker):
    return start_broker(CONFIG)


def events(broker, kind, count=1):
    """The events of that kind, once there are this many."""
    def found():
        return broker.control_json("events", "--kind", kind)
    wait_until(lambda: len(found()) >= count, f"{count} events of the kind {kind}")
    assert len(found()) == count
    return found()


def test_clients_connect_and_leave(broker):
    begun = time.monotonic()
    session = broker.session()
    (connected,) = events(broker, "connected")
    assert connected["client"] == session.welcome["client"] and connected["address"].startswith("127.0.0.1:")
    assert connected["protocol"] == "broker.v1.json" and connected["listener"].startswith("127.0.0.1:")
    session.websocket.send_frame(CLOSE, b"\x03\xe9bye")
    (left,) = events(broker, "left")
    assert (left["client"], left["code"], left["reason"]) == (connected["client"], 1001, "bye")
    assert 0 <= left["seconds"] <= time.monotonic() - begun
    broker.wait_for_line(rf"debug a client left .*client={connected['client']} code=1001 reason=bye")
    assert broker.metrics()['broker_events_total{kind="left"}'] == 1


def test_followers_connect_and_leave(broker):
    follower = broker.follow("open/#")
    (connected,) = events(broker, "connected")
    assert connected["protocol"] == "lines"
    follower.close()
    (left,) = events(broker, "left")
    assert left["client"] == connected["client"] and "code" not in left


def test_each_refusal_names_its_cause(broker):
    session = broker.session()
    session.request(op="publish", topic="closed/a", data=1)
    session.request(op="subscribe", filter=["open/1", "open/2"])
    session.request(op="subscribe", filter="open/3")
    broker.http("GET", "/t/open/a", headers={"Host": "evil.test"})
    broker.http("GET", "/t/open/a", headers={"Origin": "https://evil.test"})
    broker.http("GET", "/t/open/a", headers={"Authorization": "Bearer nonsense"})
    rule, limit, host, origin, token = events(broker, "refused", 5)
    assert (rule["by"], rule["what"], rule["target"], rule["rule"]) == (
        "rule", "publish", "closed/a", "none allows it")
    assert rule["client"] == session.welcome["client"]
    assert (limit["by"], limit["target"]) == ("limit", "limits.subscriptions_per_client")
    assert (host["by"], host["target"]) == ("host", "evil.test")
    assert (origin["by"], origin["target"]) == ("origin", "https://evil.test")
    assert (token["by"], token["what"]) == ("credentials", "token") and "nonsense" not in json.dumps(token)


def test_size_limits_are_reported(start_broker):
    """Whatever is too long: a head, a body, a line of a batch, a batch, a frame, a message in a frame."""
    broker = start_broker("limits: { message: 1KiB, request_head: 2KiB, batch: 2 }\n")
    assert broker.http("GET", "/t/" + "a" * 3000).status == 414
    assert broker.http("GET", "/t/a", headers={"X-Long": "b" * 3000}).status == 431
    assert broker.http("PUT", "/t/a", body=b"x" * 2000).status == 413
    line = json.dumps({"topic": "a", "data": "x" * 2000}).encode()
    assert broker.http("POST", "/t", body=line).status == 207
    assert broker.http("POST", "/t", body=b'{"topic":"a","data":1}\n' * 3).status == 413
    session = broker.session()
    assert session.request(op="publish", topic="a", data="x" * 2000)["code"] == "too-large"
    topic = broker.websocket("/t/a")
    topic.send_text("x" * 2000)
    assert topic.receive_close()[0] == 1009
    told = events(broker, "refused", 7)
    assert {event["by"] for event in told} == {"limit"}
    assert [event["target"] for event in told] == [
        "limits.request_head", "limits.request_head", "limits.message", "limits.message", "limits.batch", "limits.message",
        "limits.message"]
    assert told[5]["client"] == session.welcome["client"] and "client" in told[6]


def test_limits_that_are_found_later_are_reported_with_their_clients(start_broker):
    """A publication is refused where all are put into order, or by the disk after its publisher has its answer."""
    broker = start_broker("limits: { requests_per_client: 1, ephemeral_bytes: 1KiB }\n"
                          "retained: { maximum_messages: 1 }\npublish: { keys_per_user: 64KiB }\nlog: { audit: stdout }\n")
    session = broker.session()
    client = session.welcome["client"]
    session.send(op="publish", topic="a", data=1, reply=True, id=1)
    session.send(op="publish", topic="a", data=1, reply=True, id=2)
    session.send(op="publish", topic="b", data="x" * 2000, ephemeral=True, id=3)
    for number in range(240):
        session.send(op="publish", topic="c", data=1, key=f"{number:080}", id=4)
    session.send(op="publish", topic="d", data=1, retain=True, ack="routed", id=5)
    session.send(op="publish", topic="e", data=1, retain=True, ack="routed", id=6)
    targets = ["limits.requests_per_client", "limits.ephemeral_bytes", "publish.keys_per_user", "retained.maximum_messages"]

    def told():
        return {event["target"]: event for event in broker.control_json("events", "--kind", "refused")}

    wait_until(lambda: set(told()) == set(targets), "the four limits")
    assert {event["client"] for event in told().values()} == {client}
    audited = {json.loads(broker.wait_for_line(f'"limit.hit".*"{target}"'))["client"] for target in targets}
    assert audited == {client}


def test_storage_and_subscription_limits_are_reported(start_broker):
    broker = start_broker("limits: { subscriptions_per_client: 1 }\nretained: { maximum_messages: 1 }\n")
    assert broker.http("PUT", "/t/a?retain", body=b"x").status == 200
    assert broker.http("PUT", "/t/b?retain", body=b"x").status == 429
    session = broker.session()
    assert session.request(op="subscribe", filter=["a", "b"])["code"] == "limit-exceeded"
    kept, filters = events(broker, "refused", 2)
    assert (kept["by"], kept["target"]) == ("limit", "retained.maximum_messages")
    assert kept["address"].startswith("127.0.0.1:")
    assert (filters["by"], filters["target"]) == ("limit", "limits.subscriptions_per_client")
    assert filters["client"] == session.welcome["client"]


def test_a_kick_names_the_administrator(broker):
    session = broker.session()
    broker.control("clients", "kick", session.welcome["client"], "--yes")
    (kicked,) = events(broker, "kicked")
    assert kicked["client"] == session.welcome["client"] and kicked["by"].startswith("uid ")
    (left,) = events(broker, "left")
    assert left["code"] == 4410


def test_a_slow_reader_and_its_gap_are_reported(start_broker):
    broker = start_broker("limits: { pending: 65536 }\n")
    receive = slow_session(broker, "slow/#", "drop-oldest")
    last = flood(broker, "slow", count=300)[-1]
    assert len(broker.control_json("events", "--kind", "slow")) >= 1
    received = receive()
    while received.get("seq") != last:
        received = receive()
    gaps = broker.control_json("events", "--kind", "gap")
    assert gaps[0]["filter"] == "slow/#" and gaps[0]["missed"] > 0 and gaps[0]["since"] < gaps[0]["seq"]


def test_a_dead_peer_is_reported(start_broker):
    broker = start_broker("keepalive: { interval: 1s, timeout: 1s }\n")
    websocket = broker.websocket("/t/quiet")
    (connected,) = events(broker, "connected")
    (dead,) = events(broker, "dead")
    (left,) = events(broker, "left")
    assert dead["client"] == left["client"] == connected["client"] and left["reason"] == "no sign of life"
    websocket.close()


def test_the_store_fails_and_recovers(start_broker):
    broker = start_broker("store: { maximum_size: 1MiB }\n")
    number = 0
    while broker.http("PUT", f"/t/full/{number}?retain", body=b"x" * 3000).status == 200:
        number += 1
    broker.http("PUT", "/t/full/more?retain", body=b"x" * 3000)
    (failed,) = events(broker, "store-failed")
    assert failed["reason"] == "the store is full"
    for place in range(number // 2):
        broker.http("DELETE", f"/t/full/{place}")

    def recovered():
        broker.http("PUT", "/t/small?retain", body=b"x")
        return broker.control_json("events", "--kind", "store-recovered")

    wait_until(recovered, "the store has recovered")
    assert len(recovered()) == 1
    assert len(events(broker, "store-failed")) == 1
    broker.wait_for_line("error the store does not accept messages reason=")
    broker.wait_for_line("info the store accepts messages again")


def test_a_recovered_disk_is_reported_without_a_message(start_broker, tmp_path):
    """There is no publication and no readiness probe in between."""
    disk = FragileDisk(tmp_path, tmp_path / "broker0" / "data")
    broker = start_broker(environment=disk.environment)
    disk.faults.set(failing_dsync_writes=1 << 40, failing_syncs=1 << 40)
    assert broker.http("PUT", "/t/a?retain", body=b"x").status == 503
    (failed,) = events(broker, "store-failed")
    disk.faults.set(failing_dsync_writes=0, failing_syncs=0)
    (recovered,) = events(broker, "store-recovered")
    assert failed["time"] < recovered["time"]


def test_reload_and_drain_are_reported(broker):
    broker.config_file.write_text(CONFIG.replace("subscriptions_per_client: 2", "subscriptions_per_client: 3"))
    broker.send_signal(signal.SIGHUP)
    (reload,) = events(broker, "reload")
    assert reload["changed"] == "limits.subscriptions_per_client"
    session = broker.session()
    session.subscribe("$SYS/events/drain")
    broker.send_signal(signal.SIGTERM)
    message = session.expect("message", topic="$SYS/events/drain")
    assert (message["data"]["event"], message["data"]["clients"]) == ("drain", 1)


def test_subscribers_of_sys_events_get_new_events_only(broker):
    broker.session().websocket.close()
    events(broker, "left")
    watcher = broker.session()
    assert watcher.subscribe("$SYS/events/#") == []
    client = broker.session().welcome["client"]
    # Among the next two events: another one may come before, and often comes much later.
    messages = (watcher.receive() for _ in range(2))
    seen = next(
        message["data"] for message in messages
        if message["topic"] == "$SYS/events/connected" and message["data"]["client"] == client)
    assert seen == broker.control_json("events", "--client", client)[0]
    assert broker.http("GET", "/t/$SYS/events/connected").status == 404


def test_a_flood_of_one_kind_is_counted_and_leaves_the_log_readable(start_broker):
    broker = start_broker(CONFIG)
    session = broker.session()
    for number in range(1500):
        session.send(op="publish", topic="closed/a", data=number, id=number)
    for number in range(1500):
        session.expect("error", id=number)
    wait_until(lambda: broker.metrics()['broker_events_total{kind="refused"}'] == 1500, "all are counted")
    (connected,) = events(broker, "connected")
    broker.wait_for_line(r"info … and \d+ more in 10 s event=refused", deadline=60)
    logged = [line for line in broker.lines if " info refused " in line]
    assert len(logged) in range(20, 41)


def test_the_verb_prints_lines_and_rejects_unknown_kinds(broker):
    client = broker.session().welcome["client"]
    events(broker, "connected")
    (line,) = broker.control("events", "--client", client).stdout.decode().splitlines()
    assert " connected client=" + client in line and " protocol=broker.v1.json " in line
    answer = broker.control("events", "--kind", "slwo")
    assert answer.returncode == 1 and 'there is no kind "slwo"; there are connected, left,' in answer.stderr.decode()


def test_since_is_a_duration_or_a_time(broker):
    session = broker.session()
    (connected,) = events(broker, "connected")
    instant = datetime.datetime.fromisoformat(connected["time"].replace("Z", "+00:00"))
    later = (instant + datetime.timedelta(milliseconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    local = instant.astimezone().replace(tzinfo=None)

    def found(since):
        return [one["client"] for one in broker.control_json("events", "--kind", "connected", "--since", since)]

    mine = [session.welcome["client"]]
    assert found("1h") == found(connected["time"]) == found(local.strftime("%Y-%m-%dT%H:%M")) == mine
    assert found(local.strftime("%Y-%m-%d")) == mine and found(later) == [] == found("9999-01-01")


@pytest.mark.parametrize("verb", ["events", "audit"])
@pytest.mark.parametrize("since", ["soon", "0s", "2026-02-30", "2026-13-01", "2026-01-01T25:00", "2026-1-1", "2026-01-01T10", ""])
def test_an_invalid_since_is_a_usage_error(tmp_path, verb, since):
    done = run_control(verb, "--since", since, "--socket", str(tmp_path / "none"))
    assert done.returncode == 64 and "such as 10m, 1h or 7d" in done.stderr.decode(), done
