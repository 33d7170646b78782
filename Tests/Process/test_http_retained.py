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
def test_a_value_is_returned_as_published(broker, content_type, body):
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


def test_a_missing_value_is_404(broker):
    answer = broker.retained("none")
    assert (answer.status, answer.error_code) == (404, "not-found")


def test_a_known_value_is_answered_with_304(broker):
    tag = f'"{broker.publish("value", "x", "retain")["seq"]}"'
    for known in (tag, f'"1000000", {tag}', f"W/{tag}", "*"):
        answer = broker.http("GET", "/t/value", headers={"If-None-Match": known})
        assert answer.status == 304 and answer.body == b"" and answer.headers["ETag"] == tag, known
    assert broker.http("GET", "/t/value", headers={"If-None-Match": '"1000000"'}).status == 200
    modified = broker.retained("value").headers["Last-Modified"]
    assert broker.http("GET", "/t/value", headers={"If-Modified-Since": modified}).status == 304


def test_a_date_alone_never_hides_a_newer_value(broker):
    """Several values of the same second have the same date."""
    for number in range(100):
        broker.publish("value", str(number), "retain")
        shown = broker.retained("value")
        assert shown.body == str(number).encode()
        assert broker.http("GET", "/t/value", headers={"If-Modified-Since": shown.headers["Last-Modified"]}).body in (b"", shown.body)
        broker.publish("value", f"{number} again", "retain")
        again = broker.http("GET", "/t/value", headers={"If-Modified-Since": shown.headers["Last-Modified"]})
        assert (again.status, again.body) == (200, f"{number} again".encode())


OLD = "Thu, 01 Jan 2015 00:00:00 GMT"


@pytest.mark.parametrize("fields, status", [
    ({"If-Unmodified-Since": OLD}, 412), ({"If-Match": ""}, 412), ({"If-Match": 'W/"{seq}"'}, 412), ({"If-Match": '"seven"'}, 412),
    ({"If-Match": '"{seq}"', "If-Unmodified-Since": OLD}, None), ({"If-Match": '"7777", "{seq}"'}, None),
    ({"If-Unmodified-Since": "yesterday"}, 400), ({"If-Match": "{seq}"}, 400), ({"If-Match": '"'}, 400), ({"If-None-Match": "*"}, 412),
    ({"If-None-Match": "seven"}, 400), ({"If-None-Match": '"{seq}"'}, 400), ({"If-Match": "*", "If-None-Match": "*"}, 400),
    ({"If-Modified-Since": OLD}, None), ({"If-Unmodified-Since": "{later}"}, None),
], ids=lambda value: " ".join(value) if isinstance(value, dict) else None)
def test_a_conditional_write_is_never_unconditional(broker, fields, status):
    """RFC 9110 §13: a condition that is not understood, or does not hold, keeps the value as it is."""
    for method in ("PUT", "POST", "DELETE"):
        seq = broker.publish("value", "kept", "retain")["seq"]
        later = email.utils.formatdate(time.time() + 60, usegmt=True)
        headers = {name: value.format(seq=seq, later=later) for name, value in fields.items()}
        path, body = ("/t/value", None) if method == "DELETE" else ("/t/value?retain", "new")
        answer = broker.http(method, path, body=body, headers=headers)
        assert answer.status == (status or (204 if method == "DELETE" else 200)), answer
        assert (broker.retained("value").body == b"kept") is (status is not None)


@pytest.mark.parametrize("method, fields, status", [
    ("PUT", {"If-Unmodified-Since": OLD}, 200), ("DELETE", {"If-Unmodified-Since": OLD}, 404), ("DELETE", {"If-None-Match": "*"}, 404),
    ("PUT", {"If-None-Match": "*"}, 200), ("GET", {"If-Match": "*"}, 404),
])
def test_conditions_on_a_missing_value(broker, method, fields, status):
    path = "/t/none?retain" if method == "PUT" else "/t/none"
    assert broker.http(method, path, body="x" if method == "PUT" else None, headers=fields).status == status


@pytest.mark.parametrize("fields, status", [
    ({"If-Match": '"7777"'}, 412), ({"If-Match": '"{seq}"'}, 200), ({"If-Match": "*"}, 200), ({"If-Match": ""}, 412), ({"If-Unmodified-Since": OLD}, 412),
    ({"If-Unmodified-Since": "{later}"}, 200), ({"If-Match": '"{seq}"', "If-Modified-Since": "{later}"}, 304), ({"If-None-Match": ""}, 200),
    ({"If-Modified-Since": "yesterday"}, 200), ({"If-Modified-Since": OLD}, 200),
])
def test_conditional_reads(broker, fields, status):
    seq = broker.publish("value", "kept", "retain")["seq"]
    later = email.utils.formatdate(time.time() + 60, usegmt=True)
    headers = {name: value.format(seq=seq, later=later) for name, value in fields.items()}
    answer = broker.http("GET", "/t/value", headers=headers)
    assert answer.status == status and (answer.body == b"kept") is (status == 200)


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"], ids=["fixed", "RFC 850", "asctime"])
def test_all_forms_of_a_date_are_read(broker, form):
    """RFC 9110 §5.6.7 requires all three to be understood."""
    broker.publish("value", "kept", "retain")
    later = time.strftime(form, time.gmtime(time.time() + 60))
    assert broker.http("GET", "/t/value", headers={"If-Modified-Since": later}).status == 304
    earlier = time.strftime(form, time.gmtime(time.time() - 60))
    assert broker.http("GET", "/t/value", headers={"If-Modified-Since": earlier}).status == 200


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


def test_delete_notifies_subscribers(broker):
    broker.publish("value", "x", "retain")
    session = broker.session()
    assert len(session.subscribe("value")) == 1
    broker.http("DELETE", "/t/value")
    session.expect("message", topic="value", removed=True)


def test_delete_of_sys_is_forbidden(broker):
    assert broker.http("DELETE", "/t/$SYS/x").status == 403


def test_if_none_match_creates_only(broker):
    created = broker.publish("value", "first", "retain", {"If-None-Match": "*"}, "PUT")
    answer = broker.http("PUT", "/t/value?retain", body="second", headers={"If-None-Match": "*"})
    assert (answer.status, answer.error_code) == (412, "conflict")
    kept = broker.retained("value")
    assert kept.body == b"first" and kept.headers["ETag"] == f'"{created["seq"]}"'


def test_if_match_replaces_only_the_matching_value(broker):
    first = broker.publish("value", "1", "retain")["seq"]
    second = broker.publish("value", "2", "retain", {"If-Match": f'"{first}"'}, "PUT")["seq"]
    answer = broker.http("PUT", "/t/value?retain", body="3", headers={"If-Match": f'"{first}"'})
    assert (answer.status, answer.error_code) == (412, "conflict")
    assert broker.retained("value").headers["ETag"] == f'"{second}"'
    assert broker.http("PUT", "/t/none?retain", body="x", headers={"If-Match": f'"{second}"'}).status == 412


@pytest.mark.parametrize("value, status", [("seven", 400), ('"seven"', 412), ('"', 400), ('"99999999999999999999999"', 412), ('""', 412)])
def test_an_invalid_if_match_never_succeeds(broker, value, status):
    broker.publish("value", "1", "retain")
    assert broker.http("PUT", "/t/value?retain", body="2", headers={"If-Match": value}).status == status
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


def test_a_failed_conditional_publish_is_not_delivered(broker):
    broker.publish("value", "1", "retain")
    socket = broker.topic_socket("value", "snapshot=false")
    socket.synchronise()
    assert broker.http("PUT", "/t/value?retain", body="2", headers={"If-None-Match": "*"}).status == 412
    broker.publish("value", "3")
    assert socket.receive_text() == "3"


def test_a_value_expires_after_its_time_to_live(broker):
    broker.publish("brief", "x", "retain&ttl=4")
    assert broker.retained("brief").status == 200
    wait_until(lambda: broker.retained("brief").status == 404, "the value to expire", 60)


@pytest.mark.parametrize("length", [480, 511, 512, 1000, 1024])
def test_values_of_long_topics_are_distinct(broker, length):
    stem = "x" * (length - 1)
    broker.publish(stem + "1", "one", "retain")
    broker.publish(stem + "2", "two", "retain")
    assert broker.retained(stem + "1").body == b"one"
    assert broker.retained(stem + "2").body == b"two"


@pytest.mark.parametrize("topic", ["a//b", "/a", "a/", "ü/🐘", "a b", "a%b", "$own/x"])
def test_values_of_topics_of_every_shape(broker, topic):
    broker.publish(topic, topic.encode(), "retain")
    assert broker.retained(topic).body == topic.encode()


def test_a_large_value_is_kept(broker):
    body = bytes(range(256)) * 4096
    broker.publish("large", body, "retain", {"Content-Type": "application/octet-stream"})
    assert broker.retained("large").body == body


def test_a_counter_raised_by_compare_and_set_loses_nothing(start_broker):
    """Read, then write with If-Match: with writers on several reactors, each step belongs to one writer."""
    broker = start_broker("reactors: { count: 3 }\n")
    broker.publish("counter", "0", "retain")
    raised = [0] * 6

    def raise_it(number):
        connection = http.client.HTTPConnection("127.0.0.1", broker.port, timeout=60)
        while raised[number] < 25:
            connection.request("GET", "/t/counter")
            answer = connection.getresponse()
            value, tag = int(answer.read()), answer.headers["ETag"]
            connection.request("PUT", "/t/counter?retain&ack=routed", body=str(value + 1), headers={"If-Match": tag})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 412:
                continue  # another was quicker
            assert answer.status == 200
            raised[number] += 1

    writers = [threading.Thread(target=raise_it, args=(number,)) for number in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert broker.retained("counter").body == str(sum(raised)).encode() == b"150"
