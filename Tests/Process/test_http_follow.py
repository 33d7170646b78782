"""Contract §2: GET /s/FILTER as JSON lines and as Server-Sent Events."""

import json
import signal

import pytest

from deadlines import wait_until
from raw_websocket import read_head

EVENTS = {"Accept": "text/event-stream"}


def next_message(follower):
    """The next JSON line that is a message; markers are passed over."""
    while (received := follower.json()) is not None:
        if "topic" in received:
            return received
    raise AssertionError("the stream ended")


def next_event(follower):
    while (event := follower.event()) is not None:
        if "data" in event and "topic" in json.loads(event["data"]):
            return event
    raise AssertionError("the stream ended")


def test_streams_json_lines(broker):
    broker.publish("follow/kept", "retained", "retain")
    follower = broker.follow("follow/#")
    assert follower.status == 200
    assert follower.headers.get_content_type() == "application/x-ndjson"
    first = next_message(follower)
    assert first["retained"] is True and first["data"] == "retained" and "op" not in first
    answer = broker.publish("follow/live", "now")
    second = next_message(follower)
    assert second["seq"] == answer["seq"] and second["data"] == "now" and "retained" not in second


def test_streams_server_sent_events(broker):
    broker.publish("follow/kept", "retained", "retain")
    follower = broker.follow("follow/#", headers=EVENTS)
    assert follower.status == 200 and follower.headers.get_content_type() == "text/event-stream"
    assert follower.headers["Cache-Control"] == "no-store"
    first = next_event(follower)
    assert json.loads(first["data"])["retained"] is True
    answer = broker.publish("follow/live", "two\nlines")
    event = next_event(follower)
    assert event["id"] == f"{broker.session().welcome['epoch']}-{answer['seq']}"
    assert json.loads(event["data"])["data"] == "two\nlines"


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["lines", "events"])
def test_json_of_several_lines_stays_one_message(broker, headers):
    """A line end in the JSON that was published is white space, but it would end a line or a field here."""
    follower = broker.follow("follow/#", headers=headers)
    body = b'{\r\n  "a": [1,\n 2]\r}\n'
    broker.publish("follow/pretty", body, headers={"Content-Type": "application/json"})
    message = json.loads(next_event(follower)["data"]) if headers else next_message(follower)
    assert message["data"] == {"a": [1, 2]}
    assert broker.publish("follow/after", "x")["seq"] == (
        json.loads(next_event(follower)["data"]) if headers else next_message(follower))["seq"]


@pytest.mark.parametrize(
    "accept, kind",
    [("text/event-stream", "text/event-stream"), ("text/event-stream, */*;q=0.1", "text/event-stream"),
     ("application/json, text/event-stream;q=0.5", "json"), ("*/*", "json"), (None, "json")])
def test_accept_selects_the_format(broker, accept, kind):
    follower = broker.follow("follow", headers={"Accept": accept} if accept else {})
    assert kind in follower.headers["Content-Type"]


def test_poll_is_only_the_snapshot(broker):
    for number in range(100):
        broker.publish(f"poll/{number}", str(number), "retain")
    broker.publish("other", "x", "retain")
    answer = broker.http("GET", "/s/poll/%2B?poll=1")
    assert answer.status == 200
    messages = [json.loads(line) for line in answer.body.splitlines() if line.strip()]
    messages = [message for message in messages if "topic" in message]
    assert sorted(message["topic"] for message in messages) == sorted(f"poll/{number}" for number in range(100))
    assert all(message["retained"] is True for message in messages)


def test_a_poll_without_values_ends(broker):
    answer = broker.http("GET", "/s/nothing?poll=1")
    assert answer.status == 200


@pytest.fixture
def slow_poll(start_broker):
    """A poll of sixty values of 64 KiB that its client has begun to read."""
    broker = start_broker("reactors: { count: 1 }\nlimits: { pending: 256KiB }\n")
    for number in range(60):
        broker.publish(f"v/{number:02}", "x" * 65_536, "retain")
    plain = broker.connect(receive_buffer=4096)
    plain.sendall(b"GET /s/v/%23?poll=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    status, _, begun = read_head(plain)
    assert status == 200
    return broker, plain, begun


def test_publications_during_a_poll_do_not_extend_it(slow_poll):
    broker, plain, begun = slow_poll
    for number in range(30):
        broker.publish(f"v/{number:02}", "y" * 65_536)
    answer = read_to_end_of_chunks(plain, begun)
    assert answer.count(b'"retained":true') == 60 and b"yyy" not in answer
    metrics = broker.metrics()
    assert metrics["broker_messages_dropped_total"] == 0 and metrics['broker_disconnects_total{reason="slow"}'] == 0


def test_an_interrupted_poll_does_not_look_complete(slow_poll):
    broker, plain, begun = slow_poll
    assert broker.control("clients", "kick", "--filter", "v/#", "--yes").returncode == 0
    with pytest.raises(ConnectionResetError):
        read_to_end_of_chunks(plain, begun)


def test_a_poll_completes_during_shutdown(slow_poll):
    broker, plain, begun = slow_poll
    broker.send_signal(signal.SIGTERM)
    assert read_to_end_of_chunks(plain, begun).count(b'"retained":true') == 60


def read_to_end_of_chunks(plain, received):
    while not received.endswith(b"\r\n0\r\n\r\n"):
        more = plain.recv(1 << 16)
        assert more, f"ended within a chunk, after {len(received)} bytes"
        received += more
    return received


def test_snapshot_false_omits_retained_values(broker):
    broker.publish("follow", "old", "retain")
    follower = broker.follow("follow", "snapshot=false")
    broker.publish("follow", "new")
    assert next_message(follower)["data"] == "new"


def test_many_followers_each_get_everything_in_order(broker):
    followers = [broker.follow("many/#", headers=EVENTS if number % 2 else {}) for number in range(10)]
    for number in range(200):
        broker.publish(f"many/{number % 7}", str(number))
    for index, follower in enumerate(followers):
        if index % 2:
            received = [json.loads(next_event(follower)["data"]) for _ in range(200)]
        else:
            received = [next_message(follower) for _ in range(200)]
        assert [message["data"] for message in received] == [str(number) for number in range(200)]
        sequence = [message["seq"] for message in received]
        assert sequence == sorted(set(sequence))


def test_the_subscription_of_a_closed_follower_ends(broker):
    follower = broker.follow("leaving")
    def is_there():
        return any("leaving" in str(item) for item in broker.control_json("subscriptions"))

    wait_until(is_there, "it to be there")
    follower.close()
    wait_until(lambda: not is_there(), "it to be gone")


@pytest.mark.parametrize(
    "path, headers, code",
    [
        ("/s/a/%23/b", {}, "bad-filter"),
        ("/s/", {}, "bad-filter"),
        ("/s/a+", {}, "bad-filter"),
        ("/s/a?since=x", {}, "bad-request"),
        ("/s/a?slow=nonsense", {}, "bad-request"),
        ("/s/a", {"Last-Event-ID": "one"}, "bad-request"),
        ("/s/a?poll=perhaps", {}, "bad-request"),
    ])
def test_every_invalid_request_has_its_code(broker, path, headers, code):
    answer = broker.http("GET", path, headers=headers)
    assert (answer.status, answer.error_code) == (400, code)


def test_resuming_without_history_is_announced(broker):
    for number in range(5):
        broker.publish("resumed", str(number))
    follower = broker.follow("resumed", headers={**EVENTS, "Last-Event-ID": "1"})
    assert follower.status == 200
    gap = json.loads(follower.event()["data"])  # §3.4: what is no longer kept is announced
    assert gap["filter"] == "resumed" and gap["since"] == 1


def test_head_of_a_stream_does_not_hang(broker):
    answer = broker.http("HEAD", "/s/a")
    assert answer.status == 200 and answer.body == b""


def test_foreign_origins_are_forbidden(broker):
    assert broker.http("GET", "/s/a?poll=1", headers={"Origin": "https://evil.example"}).status == 403


# Alive without messages


@pytest.mark.parametrize("accept, beat", [("text/event-stream", b":\n\n"), ("*/*", b"\n")], ids=["events", "lines"])
def test_an_idle_stream_sends_heartbeats(start_broker, accept, beat):
    broker = start_broker("keepalive: { interval: 1s, timeout: 1s }\n")
    follower = broker.follow("idle", "snapshot=false", headers={"Accept": accept})
    marker = follower.event() if accept == EVENTS["Accept"] else follower.json()
    assert marker
    assert follower.response.read(3 * len(beat)) == 3 * beat
    broker.publish("idle", "awake")
    message = json.loads(next_event(follower)["data"]) if accept == EVENTS["Accept"] else next_message(follower)
    assert message["data"] == "awake"


def test_a_follower_that_is_behind_gets_no_heartbeat(start_broker):
    broker = start_broker("keepalive: { interval: 1s, timeout: 60s }\nlimits: { pending: 64KiB }\n")
    stuck = broker.follow("flood/#", "snapshot=false&slow=drop-oldest")
    assert stuck.json()["op"] == "live"
    clock = broker.follow("idle", "snapshot=false")
    assert clock.json()["op"] == "live"
    publisher = broker.session()
    for _ in range(1000):
        publisher.send(op="publish", topic="flood/0", data="x" * 8192)
    last = publisher.publish("flood/0", "last")
    assert clock.response.read(3) == b"\n\n\n"
    lines = []
    while not lines or json.loads(lines[-1]).get("seq") != last["seq"]:
        lines.append(stuck.line())
        assert lines[-1], "an empty line among messages that waited"


def test_an_event_stream_begins_with_a_retry_field(broker):
    """Otherwise the time told by a drain would stay with an EventSource as long as its page lives."""
    follower = broker.follow("idle", "snapshot=false", headers=EVENTS)
    assert follower.event()["event"] == "live" and follower.retry == 3000
