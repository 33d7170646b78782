"""Contract §6 `limits`, §3.5, §3.6: every limit, just met and just exceeded; refusals harm no other client."""

import base64
import os
import re
import signal
import threading
import time

import pytest

from deadlines import wait_until
from json_session import JSONSession
from raw_websocket import BINARY, PING, PONG, ConnectionEnded, RefusedHandshake, read_head


def refusals(before, after):
    return [name for name, value in after.items()
            if value > before.get(name, 0) and re.search("refus|reject|error|limit|close|evict|slow|drop", name)]


# Messages


def test_a_message_above_the_limit_closes_with_1009(start_broker):
    broker = start_broker("limits: { message: 1KiB }\n")
    subscriber, publisher = broker.topic_socket("size"), broker.topic_socket("size", "echo=false")
    subscriber.synchronise()
    publisher.send_binary(b"x" * 1024)
    assert subscriber.receive_message() == (BINARY, b"x" * 1024)
    publisher.send_binary(b"x" * 1025)
    assert publisher.receive_close()[0] == 1009
    subscriber.synchronise()


def test_the_limit_applies_to_the_sum_of_fragments(start_broker):
    broker = start_broker("limits: { message: 1KiB }\n")
    publisher = broker.topic_socket("size", "echo=false")
    publisher.send_frame(BINARY, b"x" * 1000, final=False)
    publisher.send_frame(0, b"x" * 25, final=True)
    assert publisher.receive_close()[0] == 1009


def test_json_and_http_have_the_same_limit(start_broker):
    broker = start_broker("limits: { message: 1KiB }\n")
    session = broker.session()
    assert session.welcome["maximumMessage"] == 1024
    whole = base64.b64encode(b"x" * 1024).decode()
    assert session.request(op="publish", topic="size", data=whole, encoding="base64", retain=True)["op"] == "ok"
    assert broker.retained("size").body == b"x" * 1024
    assert session.request(op="publish", topic="size", data="\n" * 1024)["op"] == "ok", "the limit is the payload's"
    for fields in [{"data": "x" * 1025}, {"data": base64.b64encode(b"x" * 1025).decode(), "encoding": "base64"}, {"data": ["x" * 1021]}]:
        assert session.request(op="publish", topic="size", **fields)["code"] == "too-large"
    assert broker.http("POST", "/t/size", body=b"x" * 1024).status == 200
    answer = broker.http("POST", "/t/size", body=b"x" * 1025)
    assert (answer.status, answer.error_code) == (413, "too-large")


# Topics


def test_topic_length_and_levels_are_limited(start_broker):
    broker = start_broker("limits: { topic: 20, topic_levels: 3 }\n")
    session = broker.session()
    session.publish("x" * 20, 1)
    session.publish("a/b/c", 1)
    for topic in ("x" * 21, "ü" * 11, "a/b/c/d", "///"):
        assert session.request(op="publish", topic=topic, data=1)["code"] == "bad-topic", topic
        assert session.request(op="subscribe", filter=topic)["code"] == "bad-filter", topic
    assert broker.http("GET", "/t/a/b/c/d").error_code == "bad-topic"


def test_subscriptions_and_values_above_a_lowered_limit_can_be_removed(start_broker):
    broker = start_broker("limits: { topic: 20 }\n")
    session = broker.session()
    long = "x" * 20
    session.subscribe(long)
    session.publish(long, 1, retain=True)
    broker.config_file.write_text("limits: { topic: 10 }\n")
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line("settings reloaded")
    assert session.request(op="subscribe", filter=long)["code"] == "bad-filter"
    assert session.request(op="unsubscribe", filter=long)["op"] == "ok"
    assert broker.control("retained", "get", long).stdout.strip() == b"1"
    assert broker.control("retained", "set", long, "2").returncode == 1
    assert broker.control("retained", "delete", long, "--yes").returncode == 0
    assert broker.control("retained", "get", long).returncode == 1


def test_a_value_above_a_lowered_limit_can_be_read_and_deleted_over_http(start_broker):
    broker = start_broker("limits: { topic: 20 }\n")
    long = "x" * 20
    broker.publish(long, "kept", "retain")
    broker.config_file.write_text("limits: { topic: 10 }\n")
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line("settings reloaded")
    assert broker.retained(long).body == b"kept"
    assert broker.http("HEAD", f"/t/{long}").status == 200
    assert broker.http("PUT", f"/t/{long}?retain", body=b"new").error_code == "bad-topic"
    assert broker.http("DELETE", f"/t/{long}").status == 204
    assert broker.http("GET", f"/t/{long}").error_code == "bad-topic"
    assert broker.http("DELETE", f"/t/{long}").error_code == "bad-topic"


def test_a_shared_subscription_is_refused(broker):
    answer = broker.session().request(op="subscribe", filter="$share/group/news/#")
    assert answer["code"] == "bad-filter" and "Shared subscriptions" in answer["message"]
    assert broker.http("GET", "/s/$share/group/news/%23").error_code == "bad-filter"


# Subscriptions


def test_subscriptions_per_client_are_limited(start_broker):
    broker = start_broker("limits: { subscriptions_per_client: 3 }\n")
    session, other = broker.session(), broker.session()
    session.subscribe(["a", "b", "c"])
    assert session.request(op="subscribe", filter="d")["code"] == "limit-exceeded"
    other.subscribe(["a", "b", "d"])
    session.publish("a", 1)
    session.expect("message", topic="a")
    other.expect("message", topic="a")
    assert session.request(op="unsubscribe", filter="a")["op"] == "ok"
    assert session.request(op="subscribe", filter="d", snapshot=False)["op"] == "ok"
    assert other.request(op="subscribe", filter=["x", "y"])["code"] == "limit-exceeded"


# Connections


def can_connect(broker):
    try:
        broker.websocket("/t/x").close()
        return True
    except (RefusedHandshake, ConnectionEnded, ConnectionError):
        return False


@pytest.mark.parametrize("key, status", [("connections", 503), ("connections_per_address", 429)])
def test_connections_above_the_limit_are_refused_until_one_closes(start_broker, key, status):
    broker = start_broker(f"limits: {{ {key}: 3 }}\nreactors: {{ count: 1 }}\n")
    sockets = [broker.websocket("/t/x") for _ in range(3)]
    with pytest.raises(RefusedHandshake) as refused:
        broker.websocket("/t/x")
    assert refused.value.status == status
    for websocket in sockets:
        websocket.synchronise()
    sockets[0].close()
    wait_until(lambda: can_connect(broker), "room for one more")


@pytest.mark.parametrize("key, code", [("connections", 1013), ("connections_per_address", 4429), ("per_address", 4429)])
def test_a_page_learns_why_its_connection_is_refused(start_broker, key, code):
    """A page does not see the status of a refused handshake."""
    value = "{ connections: 2 }" if key == "per_address" else "2"
    broker = start_broker(f"limits: {{ {key}: {value} }}\n")
    sessions = [broker.session() for _ in range(2)]
    page = broker.websocket("/ws", headers={"Origin": broker.url()})
    assert page.receive_close()[0] == code
    assert all(session.request(op="ping")["op"] == "pong" for session in sessions)


def test_the_connection_limit_covers_all_reactors(start_broker):
    broker = start_broker("limits: { connections: 10 }\nreactors: { count: 2 }\n")
    taken = []
    for _ in range(30):
        try:
            taken.append(broker.websocket("/t/x"))
        except (RefusedHandshake, ConnectionEnded, ConnectionError):
            pass
    assert len(taken) == 10
    for websocket in taken:
        websocket.synchronise()


# Time and size of a request


@pytest.mark.parametrize("beginning, told", [
    (b"", b""), (b"GET /t/x HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"HTTP/1.1 408")])
def test_an_incomplete_handshake_times_out(start_broker, beginning, told):
    broker = start_broker("limits: { handshake_timeout: 2s }\n")
    plain = broker.connect()
    start = time.monotonic()
    plain.sendall(beginning)
    received = b""
    while more := plain.recv(4096):
        received += more
    assert 0.5 < time.monotonic() - start < 9, "not the default's ten seconds"
    assert received[:12] == told


def test_a_slow_handshake_times_out(start_broker):
    broker = start_broker("limits: { handshake_timeout: 2s }\n")
    plain = broker.connect(timeout=0.1)
    start = time.monotonic()
    plain.sendall(b"GET /t/x HTTP/1.1\r\nX-Slow: ")
    with pytest.raises(ConnectionError):
        while time.monotonic() < start + 9:
            try:
                if plain.recv(4096) == b"":
                    raise ConnectionError
            except TimeoutError:
                plain.sendall(b"x")


def test_the_size_of_a_request_head_is_limited(start_broker):
    broker = start_broker("limits: { request_head: 2KiB }\n")
    assert broker.http("GET", "/health/live", headers={"X-Long": "x" * 1000}).status == 200
    with broker.connect() as plain:
        plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 2048)  # not even finished
        assert read_head(plain)[0] == 431


# Rate


def test_publish_rate_over_json_is_an_error_with_its_id(start_broker):
    broker = start_broker("limits: { publish_rate: 10 }\n")
    session = broker.session()
    for number in range(100):
        session.send(op="publish", id=number, topic="rate", data=number)
    answers = []
    try:
        while len(answers) < 100:
            answers.append(session.receive())
    except ConnectionEnded as ended:
        assert ended.close_frame[0] == 4429
    refused = [answer for answer in answers if answer["op"] == "error"]
    assert all(answer["code"] == "rate-limited" for answer in refused)
    accepted = [answer for answer in answers if answer["op"] == "ok"]
    assert 10 <= len(accepted) < 100


def test_publish_rate_on_a_topic_socket_is_4429(start_broker):
    broker = start_broker("limits: { publish_rate: 10 }\n")
    websocket, watcher = broker.topic_socket("rate", "echo=false"), broker.session()
    watcher.subscribe("rate")
    try:
        for _ in range(1000):
            websocket.send_text("x")
    except ConnectionError:
        pass
    assert websocket.receive_close()[0] == 4429
    watcher.synchronise()
    assert 10 <= len(watcher.waiting) < 1000


def test_publish_rate_over_http_is_429(start_broker):
    broker = start_broker("limits: { publish_rate: 10 }\n")
    request = b"POST /t/rate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
    statuses, received = [], b""
    with broker.connect() as plain:
        plain.sendall(request * 100)
        while len(statuses) < 100:
            try:
                status, headers, received = read_head(plain, received)
            except (ConnectionEnded, ConnectionError):
                break
            statuses.append(status)
            length = int(headers["content-length"])
            while len(received) < length:
                received += plain.recv(65536)
            received = received[length:]
    assert set(statuses) == {200, 429} and 10 <= statuses.count(200) < 100


# Slow readers


class Slow:
    """A subscriber with a small receive buffer that reads nothing until it is asked to."""

    def __init__(self, broker, path):
        self.websocket = broker.websocket(path, receive_buffer=4096)

    def end(self, timeout=60):
        """Reads what is left; the close frame."""
        return self.websocket.wait_for_end(timeout)


@pytest.mark.parametrize("path", ["/t/flood", "/s/flood"])
def test_a_reader_that_falls_behind_is_closed_and_the_others_are_not(start_broker, path):
    broker = start_broker("limits: { pending: 256KiB }\n")
    before = broker.metrics()
    slow, quick = Slow(broker, path), broker.topic_socket("flood")
    quick.synchronise()
    publisher = broker.topic_socket("flood", "echo=false")
    block = os.urandom(64 * 1024)
    for number in range(400):  # 25 MiB: more than any socket buffers hold
        publisher.send_binary(number.to_bytes(4, "big") + block)
        opcode, payload = quick.receive_message()
        assert opcode == BINARY and payload == number.to_bytes(4, "big") + block
    ended = slow.end()
    assert ended[0] == 1013
    assert refusals(before, broker.metrics())


def test_a_json_session_that_falls_behind_is_closed(start_broker):
    broker = start_broker("limits: { pending: 256KiB }\n")
    slow = JSONSession(broker.websocket("/ws", receive_buffer=4096))
    slow.subscribe("flood")
    block = "x" * (256 * 1024)
    for number in range(100):
        broker.publish("flood", block)
    ended = slow.websocket.wait_for_end(60)
    assert ended[0] == 1013


def test_a_follower_that_falls_behind_is_closed(start_broker):
    broker = start_broker("limits: { pending: 256KiB }\n")
    plain = broker.connect(receive_buffer=4096, timeout=60)
    plain.sendall(b"GET /s/flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert read_head(plain)[0] == 200
    for _ in range(100):
        broker.publish("flood", "x" * (256 * 1024))
    with pytest.raises(ConnectionResetError):
        while plain.recv(1 << 18):
            pass
    assert broker.metrics()['broker_disconnects_total{reason="slow"}'] == 1


def test_a_follower_that_falls_behind_in_its_snapshot_is_closed(start_broker):
    broker = start_broker("limits: { pending: 256KiB }\n")
    for number in range(60):
        broker.publish(f"v/{number}", "x" * 65_536, "retain")
    plain = broker.connect(receive_buffer=4096, timeout=60)
    plain.sendall(b"GET /s/v/%23 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert read_head(plain)[0] == 200
    for _ in range(30):
        broker.publish("v/live", "y" * 65_536)
    with pytest.raises(ConnectionResetError):
        while plain.recv(1 << 18):
            pass
    assert broker.metrics()['broker_disconnects_total{reason="slow"}'] == 1


def test_the_wildcards_of_a_filter_are_limited(start_broker):
    broker = start_broker("limits: { wildcards: 3 }\n")
    answers = [broker.http("GET", f"/s/{'/'.join(['%2B'] * count)}?poll=1") for count in (3, 4)]
    assert [answer.status for answer in answers] == [200, 400]
    assert answers[1].json["error"] == {
        "code": "bad-filter", "message": "filter: The filter has 4 wildcards '+'; at most 3 are allowed."}


def test_an_oversized_chunk_is_refused_by_its_size(start_broker):
    broker = start_broker("limits: { message: 64KiB }\n")
    with broker.connect() as plain:
        plain.sendall(b"POST /t/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n")
        assert read_head(plain)[0] == 413


def test_a_reader_with_old_unsent_bytes_is_closed(start_broker):
    """The bytes are well within `pending`, but none was read for `pending_age`."""
    broker = start_broker("limits: { pending: 64MiB, pending_age: 1s }\n")
    slow = Slow(broker, "/t/stuck")
    for _ in range(40):
        broker.publish("stuck", b"x" * (1 << 19), headers={"Content-Type": "application/octet-stream"})

    def is_gone():
        return broker.control_json("clients") == []

    wait_until(is_gone, "the stuck reader to be closed", 25)
    ended = slow.end()
    assert ended[0] == 1013


def test_a_snapshot_larger_than_pending_arrives_whole(start_broker):
    """The store is read at the pace of the reader, which does not make it a slow reader."""
    broker = start_broker("limits: { pending: 256KiB }\n")
    for number in range(64):
        broker.publish(f"album/{number}", os.urandom(64 * 1024), "retain", {"Content-Type": "image/png"})
    session = JSONSession(broker.websocket("/ws", receive_buffer=65536))
    assert len(session.subscribe("album/#")) == 64


def test_pings_get_through_while_messages_wait(start_broker):
    broker = start_broker("limits: { pending: 16MiB }\n")
    websocket = broker.websocket("/t/behind", receive_buffer=4096)
    for _ in range(20):
        broker.publish("behind", b"x" * (1 << 18), headers={"Content-Type": "application/octet-stream"})
    websocket.send_frame(PING, b"are you there")
    while True:
        _, opcode, payload = websocket.receive_frame()
        if opcode == PONG:
            assert payload == b"are you there"
            return


# Retained values


@pytest.mark.parametrize("limits", ["maximum_messages: 2", "maximum_bytes: 2KiB"])
def test_retained_values_are_limited(start_broker, limits):
    broker = start_broker(f"retained: {{ {limits} }}\n")
    body = "x" * 1000
    broker.publish("one", body, "retain")
    broker.publish("two", body, "retain")
    session = broker.session()
    session.subscribe("three")
    answer = broker.http("PUT", "/t/three?retain", body=body)
    assert (answer.status, answer.error_code) == (429, "limit-exceeded")
    assert session.expect("message", topic="three")["data"] == body
    assert session.expect("message", topic="three")["removed"] is True, "shown, and taken back"
    broker.publish("two", "y" * 1000, "retain")  # replacing needs no more room
    assert broker.retained("one").status == 200 and broker.retained("three").status == 404
    assert broker.http("DELETE", "/t/one").status == 204
    broker.publish("three", body, "retain")


def test_a_full_store_refuses_and_recovers(start_broker):
    broker = start_broker("store: { maximum_size: 2MiB }\n")
    body, stored = os.urandom(100_000), []
    for number in range(40):
        answer = broker.http("PUT", f"/t/fill/{number}?retain", body=body)
        if answer.status != 200:
            break
        stored.append(number)
    assert (answer.status, answer.error_code) == (507, "storage-full")
    assert stored and all(broker.retained(f"fill/{number}").body == body for number in stored)
    live = broker.topic_socket("alive")
    live.synchronise()
    broker.publish("alive", "routing goes on")
    assert live.receive_text() == "routing goes on"
    for number in stored[: len(stored) // 2]:
        assert broker.http("DELETE", f"/t/fill/{number}").status == 204
    broker.publish("fill/again", "fits", "retain")


def test_limits_hold_under_parallel_use(start_broker):
    broker = start_broker("retained: { maximum_messages: 10 }\n")
    statuses = []

    def write(number):
        for index in range(10):
            statuses.append(broker.http("PUT", f"/t/parallel/{number}/{index}?retain", body="x").status)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert statuses.count(200) == 10
