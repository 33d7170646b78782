"""access.md §13, "Rights": nothing can be read, written or learnt in a way other than the refused one."""

import json

import pytest

from access_file import AccessFile
from access_harness import bearer
from json_session import JSONSession
from raw_websocket import RefusedHandshake

CONFIG = """
access:
  anonymous: { publish: [], subscribe: [] }
  rules:
    - { role: writer, publish: ["hidden/#"] }
    - { role: reader, subscribe: ["a/+/c", "b/#", "many/#"], publish: ["many/#", "b/#"] }
    - { role: keeper, publish: ["#"], subscribe: ["#", "$SYS/#"] }
"""


class Rights:
    def __init__(self, start_broker, tmp_path):
        directory = tmp_path / "rights"
        self.file = AccessFile(directory / "data" / "access.jsonl")
        for role in ("writer", "reader", "keeper"):
            self.file.user(role, roles=[role])
            setattr(self, role, bearer(self.file.token(role)[0]))
        self.file.write()
        self.broker = start_broker(CONFIG, directory=directory)

    def reload(self, old, new):
        """Loads other rules, which are in force when this returns."""
        assert old in CONFIG
        self.broker.config_file.write_text(CONFIG.replace(old, new))
        assert self.broker.control("reload").returncode == 0


@pytest.fixture
def rights(start_broker, tmp_path):
    return Rights(start_broker, tmp_path)


CONDITIONS = [
    ("PUT", {"If-Match": '"1"'}), ("PUT", {"If-Match": "*"}), ("PUT", {"If-None-Match": "*"}),
    ("PUT", {"If-Unmodified-Since": "Sat, 28 Nov 2026 10:00:00 GMT"}), ("DELETE", {"If-Match": '"1"'}),
    ("DELETE", {"If-None-Match": "*"}), ("DELETE", {"If-Unmodified-Since": "Sat, 28 Nov 2026 10:00:00 GMT"}),
    ("GET", {"If-None-Match": '"1"'}), ("GET", {"If-Modified-Since": "Sat, 28 Nov 2026 10:00:00 GMT"}),
    ("HEAD", {"If-Match": '"1"'})]


def test_a_condition_does_not_reveal_an_unreadable_value(rights):
    """Whether there is a value, and its number: 412 would reveal what GET does not."""
    broker = rights.broker
    assert broker.http("PUT", "/t/hidden/there?retain", "x", rights.keeper).status == 200
    for method, condition in CONDITIONS:
        there, missing = (
            broker.http(method, f"/t/hidden/{name}" + "?retain" * (method == "PUT"), "x" if method == "PUT" else None,
                        rights.writer | condition) for name in ("there", "missing"))
        assert [there.status, missing.status] == [403, 403], (method, condition)
        assert there.body.replace(b"there", b"missing") == missing.body
        assert "ETag" not in there.headers and "Last-Modified" not in there.headers
    session = broker.session(headers=rights.writer)
    for ifSeq in (0, 1):
        for name in ("there", "missing"):
            answer = session.request(op="publish", topic=f"hidden/{name}", data=1, retain=True, ifSeq=ifSeq)
            assert answer["code"] == "forbidden"
    assert broker.http("GET", "/t/hidden/there", headers=rights.keeper).body == b"x"


SUBSCRIBING = [("a/b/c", True), ("a/+/c", True), ("a/+/+", False), ("a/#", False), ("a/b/c/d", False), ("+/b/c", False),
               ("b", True), ("b/c", True), ("b/+", True), ("b/+/#", True), ("b/#", True), ("+", False), ("#", False),
               ("$SYS/#", False)]


def test_a_filter_is_covered_exactly_or_not_at_all(rights):
    session = rights.broker.session(headers=rights.reader)
    found = [(one, session.request(op="subscribe", filter=one, snapshot=False)["op"] == "ok") for one, _ in SUBSCRIBING]
    assert found == SUBSCRIBING


@pytest.mark.parametrize("path, status, code", [
    # A `/` that is encoded is one; wildcards are no topics, however they are written.
    ("/t/a%2Fb%2Fc", 404, "not-found"), ("/t/a%2Fb%2Fd", 403, "forbidden"), ("/t/%61/b/c", 404, "not-found"),
    ("/t/a/%2B/c", 400, "bad-topic"), ("/t/b/%23", 400, "bad-topic"), ("/t/a/%252B/c", 404, "not-found"),
    ("/t/%24SYS/broker/uptime", 403, "forbidden"),
    ("/s/a%2F%23", 403, "forbidden"), ("/s/%23", 403, "forbidden"), ("/s/%2B/b/c", 403, "forbidden"),
    ("/s/a/%252B/%2523", 403, "forbidden")])
def test_percent_encoding_does_not_bypass_rights(rights, path, status, code):
    answer = rights.broker.http("GET", path, headers=rights.reader)
    assert (answer.status, answer.error_code) == (status, code)


def test_a_topic_socket_closes_when_the_right_to_read_is_revoked(rights):
    socket = rights.broker.topic_socket("b/x", headers=rights.reader)
    socket.synchronise()
    rights.reload('"b/#", ', "")
    assert socket.receive_close() == (4403, "You may not subscribe to b/x.")


def test_publishing_without_the_right_is_reported_on_a_topic_socket(rights):
    """The message is refused; messages of others still arrive."""
    socket = rights.broker.topic_socket("b/x", headers=rights.reader)
    socket.synchronise()
    rights.reload('publish: ["many/#", "b/#"]', 'publish: ["many/#"]')
    socket.send_text("mine")
    assert socket.receive_close()[0] == 4403
    with pytest.raises(RefusedHandshake):
        rights.broker.topic_socket("c", headers=rights.reader)
    assert rights.broker.http("GET", "/t/b/x", headers=rights.reader).status == 404, "nothing was published"


def test_a_snapshot_stops_when_its_right_is_revoked(rights):
    """The client reads slowly, so that most of the values are still to be sent when the rule changes."""
    broker = rights.broker
    writer = broker.session(headers=rights.keeper)
    value, count = "x" * 16384, 1000
    for begin in range(0, count, 50):
        writer.websocket.send_text("\n".join(
            json.dumps({"op": "publish", "topic": f"many/{number}", "data": value, "retain": True, "ack": "routed"})
            for number in range(begin, begin + 50)))
        writer.request(op="ping")
    websocket = broker.websocket("/ws", headers=rights.reader, receive_buffer=8192)
    session = JSONSession(websocket)
    session.send(op="subscribe", id=1, filter="many/#")
    session.expect("ok")
    session.expect("message")
    rights.reload('"many/#"], publish', '"b/#"], publish')
    received = 1
    while (one := session.receive())["op"] == "message":
        received += 1
    assert one["op"] == "revoked" and one["filter"] == "many/#" and received < count
    # Nothing arrives afterwards, neither values nor the marker of their end.
    assert session.request(op="ping")["op"] == "pong" and not session.waiting
