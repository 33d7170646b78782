"""Contract §1: headers, reply topics and correlation pass through every endpoint, and are stored with the message."""

import json

import pytest

CONFIG = 'history:\n  - { filter: "#", messages: 100 }\n'
PROPERTIES = {"headers": {"trace": "7f3a", "tag": ["one", "", "zwei ü"]}, "replyTo": "answers/1", "correlation": "ü1"}


@pytest.fixture
def broker(start_broker):
    return start_broker(CONFIG)


def properties(message):
    return {name: message[name] for name in PROPERTIES if name in message}


def test_headers_from_json_reach_every_endpoint(broker):
    session, events = broker.session(), broker.follow("a", headers={"Accept": "text/event-stream"})
    session.subscribe("a")
    socket, lines = broker.subscription_socket("a"), broker.follow("a")
    for next_object in (lambda: json.loads(socket.receive_text()), lines.json):
        assert next_object()["op"] == "live"
    seq = session.publish("a", 1, **PROPERTIES)["seq"]
    assert properties(session.expect("message")) == PROPERTIES
    assert properties(json.loads(socket.receive_text())) == PROPERTIES
    assert properties(lines.json()) == PROPERTIES
    while "topic" not in (message := json.loads(events.event().get("data", "{}"))):
        pass
    assert properties(message) == PROPERTIES
    # From the history, after a restart.
    session.publish("a", 2, ack="stored")
    broker.stop()
    broker.start()
    again = broker.session()
    again.send(op="subscribe", filter="a", since=seq - 1)
    assert properties(again.expect("message")) == PROPERTIES
    assert properties(again.expect("message", data=2)) == {}


def test_http_fields_become_headers_and_back(broker):
    session = broker.session()
    session.subscribe("a")
    fields = [("Message-Trace", "7f3a"), ("message-tag", "one"), ("Message-tag", "two"), ("X-Message-No", "x")]
    with broker.connect() as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        connection.sendall(f"PUT /t/a?retain HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n{head}\r\nx".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert session.expect("message")["headers"] == {"Trace": "7f3a", "tag": ["one", "two"]}
    answer = broker.retained("a")
    assert answer.headers.get_all("Message-Trace") == ["7f3a"] and answer.headers.get_all("Message-Tag") == ["one", "two"]
    assert answer.headers["Access-Control-Expose-Headers"] == "Message-Trace, Message-tag"


def test_headers_that_are_not_valid_fields_are_omitted(broker):
    headers = {"good": "1", "with space": "2", "lines": "a\r\nX-Evil: 1", "": "3"}
    assert broker.session().request(op="publish", topic="a", data=1, headers=headers)["code"] == "bad-request"
    del headers[""]
    broker.session().publish("a", 1, retain=True, headers=headers)
    answer = broker.retained("a")
    named = {name.lower() for name in answer.headers if name.lower().startswith(("message-", "x-evil"))}
    assert named == {"message-good"}
    assert broker.session().subscribe("a")[0]["headers"] == headers


@pytest.mark.parametrize("headers", [{"a": "x" * 8192}, {"a": ["x"] * 257}, {str(number): "x" * 100 for number in range(90)}])
def test_too_many_headers_are_refused(broker, headers):
    answer = broker.session().request(op="publish", topic="a", data=1, headers=headers)
    assert (answer["op"], answer["code"]) == ("error", "too-large")
    assert broker.session().publish("a", 1, headers={"a": "x" * 8191})["op"] == "ok"
    fields = {"Message-a": "x" * 8192}
    answer = broker.http("POST", "/t/a", body="x", headers=fields)
    assert (answer.status, answer.error_code) == (413, "too-large")


def test_export_and_import_keep_headers(broker, start_broker):
    broker.session().publish("a", "x", retain=True, **PROPERTIES)
    exported = broker.control("retained", "export").stdout
    assert properties(json.loads(exported)) == PROPERTIES
    assert properties(broker.control_json("retained", "get", "a")) == PROPERTIES
    other = start_broker(CONFIG, name="other")
    assert other.control("retained", "import", "-", input=exported).returncode == 0
    assert properties(other.session().subscribe("a")[0]) == PROPERTIES


def test_the_command_line_sends_headers(broker):
    session = broker.session()
    session.subscribe("a")
    assert broker.control("pub", "a", "x", "-H", "trace: 7f3a", "-H", "tag:1", "-H", "tag: 2").returncode == 0
    assert session.expect("message")["headers"] == {"trace": "7f3a", "tag": ["1", "2"]}
    refused = broker.control("pub", "a", "x", "-H", "none")
    assert refused.returncode == 64 and b"NAME: VALUE" in refused.stderr
