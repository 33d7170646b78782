"""Contract §2: GET, HEAD, DELETE and conditional PUT of the retained value of /t/TOPIC."""

import email.utils
import http.client
import threading
import time

import pytest

from deadlines import wait_until


@pytest.mark.parametrize(
    "content_type, body",
    [("text/plain; charset=utf-8", "grüße".encode()), ("application/json", b' {"a" : 1} '),
     ("image/png", bytes(range(256))), ("application/octet-stream", b"\x00")])
def test_a_value_is_read_back_as_it_was_published(broker, content_type, body):
    published = broker.publish("value", body, "retain", {"Content-Type": content_type}, "PUT")
    answer = broker.retained("value")
    assert answer.status == 200 and answer.body == body
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["ETag"] == f'"{published["seq"]}"'
    modified = email.utils.parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp()
    assert abs(time.time() - modified) < 60


def test_head_is_get_without_the_body(broker):
    broker.publish("value", "12345", "retain")
    get, head = broker.retained("value"), broker.http("HEAD", "/t/value")
    assert head.status == 200 and head.body == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified"):
        assert head.headers[name] == get.headers[name], name
    assert broker.http("HEAD", "/t/none").status == 404


def test_none_is_404(broker):
    answer = broker.retained("none")
    assert (answer.status, answer.error_code) == (404, "not-found")


def test_a_value_that_is_known_is_not_sent_again(broker):
    tag = f'"{broker.publish("value", "x", "retain")["seq"]}"'
    for known in (tag, f'"1000000", {tag}', f"W/{tag}", "*"):
        answer = broker.http("GET", "/t/value", headers={"If-None-Match": known})
        assert answer.status == 304 and answer.body == b"" and answer.headers["ETag"] == tag, known
    assert broker.http("GET", "/t/value", headers={"If-None-Match": '"1000000"'}).status == 200
    modified = broker.retained("value").headers["Last-Modified"]
    assert broker.http("GET", "/t/value", headers={"If-Modified-Since": modified}).status == 304


def test_a_new_value_replaces_the_old_and_its_tag(broker):
    first, second = broker.publish("value", "1", "retain"), broker.publish("value", "2", "retain")
    assert second["seq"] > first["seq"]
    answer = broker.http("GET", "/t/value", headers={"If-None-Match": f'"{first["seq"]}"'})
    assert answer.status == 200 and answer.body == b"2"


def test_a_publish_without_retain_leaves_the_value(broker):
    broker.publish("value", "kept", "retain")
    broker.publish("value", "passing")
    assert broker.retained("value").body == b"kept"


def test_delete_removes(broker):
    broker.publish("value", "x", "retain")
    answer = broker.http("DELETE", "/t/value")
    assert answer.status == 204 and answer.body == b""
    assert broker.retained("value").status == 404
    again = broker.http("DELETE", "/t/value")
    assert (again.status, again.error_code) == (404, "not-found")


def test_an_empty_body_removes(broker):
    broker.publish("value", "x", "retain")
    broker.publish("value", "", "retain")
    assert broker.retained("value").status == 404


def test_delete_tells_the_subscribers(broker):
    broker.publish("value", "x", "retain")
    session = broker.session()
    assert len(session.subscribe("value")) == 1
    broker.http("DELETE", "/t/value")
    session.expect("message", topic="value", data="")


def test_delete_of_sys_is_forbidden(broker):
    assert broker.http("DELETE", "/t/$SYS/x").status == 403


def test_if_none_match_creates_only(broker):
    created = broker.publish("value", "first", "retain", {"If-None-Match": "*"}, "PUT")
    answer = broker.http("PUT", "/t/value?retain", body="second", headers={"If-None-Match": "*"})
    assert (answer.status, answer.error_code) == (412, "conflict")
    kept = broker.retained("value")
    assert kept.body == b"first" and kept.headers["ETag"] == f'"{created["seq"]}"'


def test_if_match_replaces_only_what_was_seen(broker):
    first = broker.publish("value", "1", "retain")["seq"]
    second = broker.publish("value", "2", "retain", {"If-Match": f'"{first}"'}, "PUT")["seq"]
    answer = broker.http("PUT", "/t/value?retain", body="3", headers={"If-Match": f'"{first}"'})
    assert (answer.status, answer.error_code) == (412, "conflict")
    assert broker.retained("value").headers["ETag"] == f'"{second}"'
    assert broker.http("PUT", "/t/none?retain", body="x", headers={"If-Match": f'"{second}"'}).status == 412


@pytest.mark.parametrize("value", ["seven", '"seven"', '"', '"99999999999999999999999"'])
def test_a_match_that_is_no_seq_cannot_succeed(broker, value):
    broker.publish("value", "1", "retain")
    assert broker.http("PUT", "/t/value?retain", body="2", headers={"If-Match": value}).status in (400, 412)
    assert broker.retained("value").body == b"1"


def test_of_many_conditional_writers_one_wins(broker):
    statuses = []

    def write(number):
        headers = {"If-None-Match": "*"}
        statuses.append(broker.http("PUT", "/t/race?retain", body=str(number), headers=headers).status)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(statuses) == [200] + [412] * 15


def test_a_conditional_publish_that_fails_reaches_nobody(broker):
    broker.publish("value", "1", "retain")
    socket = broker.topic_socket("value", "snapshot=false")
    socket.synchronise()
    assert broker.http("PUT", "/t/value?retain", body="2", headers={"If-None-Match": "*"}).status == 412
    broker.publish("value", "3")
    assert socket.receive_text() == "3"


def test_time_to_live(broker):
    broker.publish("brief", "x", "retain&ttl=1")
    assert broker.retained("brief").status == 200
    wait_until(lambda: broker.retained("brief").status == 404, "the value to expire", 5)


@pytest.mark.parametrize("length", [480, 511, 512, 1000, 1024])
def test_long_topics_keep_values_apart(broker, length):
    stem = "x" * (length - 1)
    broker.publish(stem + "1", "one", "retain")
    broker.publish(stem + "2", "two", "retain")
    assert broker.retained(stem + "1").body == b"one"
    assert broker.retained(stem + "2").body == b"two"


@pytest.mark.parametrize("topic", ["a//b", "/a", "a/", "ü/🐘", "a b", "a%b", "$own/x"])
def test_topics_of_every_shape(broker, topic):
    broker.publish(topic, topic.encode(), "retain")
    assert broker.retained(topic).body == topic.encode()


def test_a_large_value(broker):
    body = bytes(range(256)) * 4096
    broker.publish("large", body, "retain", {"Content-Type": "application/octet-stream"})
    assert broker.retained("large").body == body


def test_a_counter_that_many_raise_by_condition_loses_nothing(start_broker):
    """Read, then write with If-Match: of writers on several reactors each step is one writer's."""
    broker = start_broker("reactors: { count: 3 }\n")
    broker.publish("counter", "0", "retain")
    raised = [0] * 6

    def raise_it(number):
        connection = http.client.HTTPConnection("127.0.0.1", broker.port, timeout=20)
        while raised[number] < 25:
            connection.request("GET", "/t/counter")
            answer = connection.getresponse()
            value, tag = int(answer.read()), answer.headers["ETag"]
            connection.request("PUT", "/t/counter?retain&ack=routed", body=str(value + 1), headers={"If-Match": tag})
            answer = connection.getresponse()
            answer.read()
            assert answer.status in (200, 412)
            raised[number] += answer.status == 200

    writers = [threading.Thread(target=raise_it, args=(number,)) for number in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert broker.retained("counter").body == str(sum(raised)).encode() == b"150"
