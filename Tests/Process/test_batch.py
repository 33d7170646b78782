"""Contract §2: POST /t publishes many messages, one per line: one commit, one answer per line, in order."""

import json

import pytest


def post(broker, lines, **options):
    """The status, and the answer to each line."""
    body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    answer = broker.http("POST", "/t", body=body.encode(), **options)
    return answer.status, [json.loads(line) for line in answer.body.splitlines()]


def test_each_line_is_a_publication(broker):
    session = broker.session()
    session.subscribe("#")
    commits = broker.metrics()["broker_store_commits_total"]
    status, answers = post(broker, [
        {"topic": "a", "data": {"n": 1}}, "", {"topic": "b", "data": "AP8=", "encoding": "base64", "type": "image/png", "retain": True},
        "  \r", {"topic": "c", "data": "text", "headers": {"x": "y"}, "ttl": 60, "id": "mine"}, {"topic": "d", "data": 1, "retain": True}])
    assert status == 200
    assert answers == [{"seq": 1, "stored": False}, {"seq": 2, "stored": True}, {"id": "mine", "seq": 3, "stored": False},
                       {"seq": 4, "stored": True}]
    assert broker.metrics()["broker_store_commits_total"] == commits + 1
    found = [session.expect("message") for _ in range(4)]
    assert [(message["topic"], message["data"]) for message in found] == [
        ("a", {"n": 1}), ("b", "AP8="), ("c", "text"), ("d", 1)]
    assert found[1]["type"] == "image/png" and found[2]["headers"] == {"x": "y"} and "expires" in found[2]
    assert broker.retained("b").body == b"\0\xff"


def test_a_refused_line_does_not_stop_the_others(broker):
    broker.publish("taken", "x", "retain")
    status, answers = post(broker, [
        {"topic": "a", "data": 1}, "{", {"topic": "a/+", "data": 1}, {"data": 1, "id": 3}, {"topic": "$SYS/x", "data": 1},
        {"topic": "taken", "data": 1, "retain": True, "ifSeq": 0}, "[]", {"topic": "b", "data": 2}])
    assert status == 207
    assert [answer.get("seq") for answer in answers] == [2, None, None, None, None, None, None, 3]
    assert [answer["error"]["code"] for answer in answers if "error" in answer] == [
        "bad-request", "bad-topic", "bad-topic", "forbidden", "conflict", "bad-request"]
    assert answers[3]["id"] == 3 and all(answer["error"]["message"] for answer in answers[1:7])


def test_a_batch_is_limited(start_broker):
    broker = start_broker("limits: { batch: 3, message: 1000 }\n")
    line = {"topic": "a", "data": "x"}
    assert post(broker, [line] * 3)[0] == 200
    status, answers = post(broker, [line] * 4)
    assert (status, answers[0]["error"]["code"]) == (413, "too-large") and "limits.batch" in answers[0]["error"]["message"]
    status, answers = post(broker, [line, {"topic": "a", "data": "x" * 1001}])
    assert status == 207 and answers[1]["error"]["code"] == "too-large"
    assert post(broker, [{"topic": "a", "data": "x" * 70_000}])[0] == 413
    assert broker.publish("a", "x")["seq"] == 5


@pytest.mark.parametrize("body, path, status", [
    ("", "/t", 400), ("\n \n", "/t", 400), ("{}", "/t?retain", 400), ("{}", "/t/", 400)])
def test_malformed_batches_are_refused(broker, body, path, status):
    answer = broker.http("POST", path, body=body)
    assert answer.status == status and answer.json["error"]["code"].startswith("bad-")
    assert broker.http("GET", "/t").status == 405


def test_a_thousand_lines_come_in_order(broker):
    session = broker.session()
    session.subscribe("a")
    status, answers = post(broker, [{"topic": "a", "data": number} for number in range(1000)])
    assert status == 200 and [answer["seq"] for answer in answers] == list(range(1, 1001))
    assert [session.expect("message")["data"] for _ in range(1000)] == list(range(1000))
