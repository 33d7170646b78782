"""Contract §1: a publication with a key counts once within the window, over every endpoint, and across a restart if it is stored."""

import json

import pytest

KEY = {"Idempotency-Key": "k1"}


def publish_json(broker, topic, key, **options):
    answer = broker.session().request(op="publish", topic=topic, data="x", key=key, **options)
    return answer["seq"], answer["stored"]


def publish_http(broker, topic, key, **options):
    answer = broker.publish(topic, "x", "&".join(options), headers={"Idempotency-Key": key})
    return answer["seq"], answer["stored"]


def publish_line(broker, topic, key, **options):
    line = json.dumps({"topic": topic, "data": "x", "key": key, **options})
    answer = json.loads(broker.http("POST", "/t", body=line).body)
    return answer["seq"], answer["stored"]


WAYS = [publish_json, publish_http, publish_line]


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
def test_a_repetition_gets_the_first_answer(broker, first, second):
    session = broker.session()
    session.subscribe("#")
    assert first(broker, "a", "k1") == second(broker, "a", "k1") == (1, False)
    assert first(broker, "r", "k1", retain=True) == second(broker, "r", "k1", retain=True) == (2, True)
    assert first(broker, "a", "k2") == (3, False) and second(broker, "b", "k1") == (4, False)
    assert [session.expect("message")["seq"] for _ in range(4)] == [1, 2, 3, 4]
    assert broker.metrics()["broker_repeated_publications_total"] == 2
    assert broker.metrics()["broker_publish_keys"] == 4


def test_keys_of_stored_messages_survive_a_restart(broker):
    stored = publish_json(broker, "r", "k", retain=True)
    broker.kill()
    broker.start()
    assert publish_http(broker, "r", "k", retain=True) == stored
    assert broker.metrics()["broker_messages_published_total"] == 0


def test_the_window_ends(start_broker):
    broker = start_broker("publish: { key_window: 1s }\n")
    seqs = [publish_json(broker, "a", "k")[0]]
    while seqs[-1] == seqs[0]:
        seqs.append(publish_json(broker, "a", "k")[0])
    assert seqs[-1] == 2


def test_a_refused_publication_can_be_retried(broker):
    broker.publish("r", "x", "retain")
    headers = KEY | {"If-None-Match": "*"}
    assert broker.http("PUT", "/t/r?retain", body="y", headers=headers).status == 412
    broker.http("DELETE", "/t/r")
    first = broker.http("PUT", "/t/r?retain", body="y", headers=headers)
    assert first.status == 200
    # By now the condition does not hold, and it was this publication that made it so.
    again = broker.http("PUT", "/t/r?retain", body="y", headers=headers)
    assert (again.status, again.json) == (200, first.json)


@pytest.mark.parametrize("key", ["", "k" * 129])
def test_invalid_keys_are_refused(broker, key):
    answer = broker.session().request(op="publish", topic="a", data=1, key=key)
    assert answer["code"] == "bad-request" and answer["message"].startswith("key: expected 1 to 128 bytes")
    assert broker.http("POST", "/t/a", body="x", headers={"Idempotency-Key": key}).status == 400
    assert publish_json(broker, "a", "k" * 128)[0] == 1


def test_keys_are_limited_per_client(start_broker):
    broker = start_broker("publish: { keys_per_user: 64KiB }\n")
    session = broker.session()
    for number in range(300):
        session.send(op="publish", id=number, topic="a", data=1, key=f"{number:0100}")
    answers = [session.receive() for _ in range(300)]
    refused = [answer for answer in answers if answer["op"] == "error"]
    assert 0 < len(refused) < 250 and {answer["code"] for answer in refused} == {"limit-exceeded"}
    assert "publish.keys_per_user" in refused[0]["message"]
    assert session.publish("a", "without a key")["seq"] == 301 - len(refused)
