"""Contract §2, §3.1: a request waits for one reply, which no other client gets."""

import json
import signal
import socket
import struct
import subprocess
import threading

import pytest

from command_line import BROKERCTL, run_control
from deadlines import ANSWER_DEADLINE, wait_until
from raw_websocket import RefusedHandshake


class Replier(threading.Thread):
    """Answers every request to `service` with `reply(message)`, several times if there are several."""

    def __init__(self, broker, *replies):
        super().__init__(daemon=True)
        self.session, self.replies, self.requests = broker.session(), replies, []
        self.session.subscribe("service")
        self.start()

    def run(self):
        try:
            while True:
                message = self.session.receive(timeout=60)
                if message["op"] != "message":
                    continue
                self.requests.append(message)
                for reply in self.replies:
                    self.session.send(op="publish", topic=message["replyTo"], **reply)
        except Exception:  # the broker ends
            return


def request(session, **members):
    """The answer to the publication, and the outcome of the request."""
    session.send(op="publish", id="r", topic="service", reply=True, **members)
    answers = [session.receive()]
    if answers[0]["op"] == "ok":
        answers.append(session.receive())
    assert all(answer["id"] == "r" for answer in answers)
    return answers


def test_a_reply_reaches_the_requester(broker):
    replier = Replier(broker, {"data": {"sum": 3}, "headers": {"x": "y"}, "correlation": "c"}, {"data": "too late"})
    session, other = broker.session(), broker.session()
    other.subscribe("#")
    ok, reply = request(session, data=[1, 2], correlation="c")
    assert (ok["op"], ok["seq"]) == ("ok", 1)
    assert reply["op"] == "reply" and reply["data"] == {"sum": 3} and reply["seq"] == 2
    assert (reply["headers"], reply["correlation"]) == ({"x": "y"}, "c")
    assert replier.requests[0]["correlation"] == "c"
    # The second reply is dropped, and no other client sees either.
    session.publish("after", 1)
    assert [other.expect("message")["topic"] for _ in range(2)] == ["service", "after"]
    assert broker.metrics()["broker_requests_total"] == 1 and broker.metrics()["broker_requests_waiting"] == 0


def test_requests_work_over_http(broker):
    Replier(broker, {"data": "AP8=", "encoding": "base64", "type": "image/png", "headers": {"trace": "7"}})
    answer = broker.http("POST", "/t/service?reply=20s", body="x", headers={"Message-trace": "7"})
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"\0\xff", "image/png")
    assert answer.headers["Message-trace"] == "7"


def test_replies_may_come_from_any_endpoint_and_reactor(start_broker):
    broker = start_broker("reactors: { count: 3 }\n")
    session, helper = broker.session(), broker.session()
    helper.subscribe("service")
    for number in range(20):
        session.send(op="publish", id=number, topic="service", data=number, reply=True)
        topic = helper.expect("message", data=number)["replyTo"]
        assert broker.publish(topic, str(number))["stored"] is False
        assert session.expect("ok", id=number) and session.expect("reply", id=number)["data"] == str(number)


def test_a_request_times_out(broker):
    ok, late = request(broker.session(), data=1, timeout=0.1)
    assert ok["op"] == "ok" and (late["op"], late["code"]) == ("error", "unavailable")
    answer = broker.http("POST", "/t/service?reply=100ms", body="x")
    assert (answer.status, answer.error_code) == (504, "unavailable")
    assert broker.metrics()["broker_requests_late_total"] == 2 and broker.metrics()["broker_requests_waiting"] == 0


def test_a_refused_request_has_one_answer(broker):
    session = broker.session()
    session.send(op="publish", id=1, topic="$SYS/x", data=1, reply=True)
    assert session.expect("error", id=1)["code"] == "forbidden"
    session.send(op="publish", id=2, topic="r", data=1, retain=True, ifSeq=5, reply=True)
    assert session.expect("error", id=2)["code"] == "conflict"
    assert broker.metrics()["broker_requests_waiting"] == 0
    assert session.request(op="ping")["op"] == "pong"


@pytest.mark.parametrize("members", [
    {"id": None}, {"replyTo": "a"}, {"timeout": 0}, {"timeout": 301}, {"timeout": "1"}, {"reply": 1}])
def test_invalid_requests_are_refused(broker, members):
    session = broker.session()
    session.send(**({"op": "publish", "id": 1, "topic": "a", "data": 1, "reply": True} | members))
    assert session.expect("error")["code"] == "bad-request"


@pytest.mark.parametrize("query", ["reply", "reply=2", "reply=0s", "reply=301s", "reply=soon"])
def test_invalid_durations_are_refused(broker, query):
    assert broker.http("POST", f"/t/a?{query}", body="x").status == 400


def test_only_the_owner_can_read_an_inbox(broker):
    session = broker.session()
    for filter_ in ("$inbox/#", "$inbox/+/+", "$inbox", "$inbox/a/b"):
        assert session.request(op="subscribe", filter=filter_)["code"] == "forbidden"
    assert broker.http("GET", "/s/$inbox%2F%23").status in {401, 403}
    assert broker.http("GET", "/t/$inbox/a/b").status in {401, 403}
    with pytest.raises(RefusedHandshake):
        broker.websocket("/t/$inbox/a/b")
    assert session.request(op="publish", topic="$inbox/a/b", data=1, retain=True)["code"] == "bad-request"
    assert session.publish("$inbox/a/b", 1)["stored"] is False


def test_a_batch_line_cannot_be_a_request(broker):
    answer = broker.http("POST", "/t", body='{"topic":"a","data":1,"reply":true}')
    assert answer.status == 207 and json.loads(answer.body)["error"]["code"] == "bad-request"


def test_requests_are_limited_and_end_with_their_client(start_broker):
    broker = start_broker("limits: { requests_per_client: 3 }\n")
    session, other = broker.session(), broker.session()
    for number in range(5):
        session.send(op="publish", id=number, topic="service", data=1, reply=True, timeout=60)
    refused = [session.receive() for _ in range(5)]
    assert sorted(answer["op"] for answer in refused) == ["error", "error", "ok", "ok", "ok"]
    assert {answer.get("code") for answer in refused} == {None, "limit-exceeded"}
    other.send(op="publish", id=1, topic="service", data=1, reply=True)
    other.expect("ok")
    assert broker.metrics()["broker_requests_waiting"] == 4
    session.close()
    wait_until(lambda: broker.metrics()["broker_requests_waiting"] == 1, "the requests to go with their client")
    with broker.connect() as connection:
        connection.sendall(b"POST /t/service?reply=60s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n\r\nx")
        wait_until(lambda: broker.metrics()["broker_requests_waiting"] == 2, "the request over HTTP")
        # The connection is reset: a client that only closes its sending side still waits for its answer.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: broker.metrics()["broker_requests_waiting"] == 1, "the request to go with its connection")


def test_a_waiting_request_does_not_delay_shutdown(broker):
    session = broker.session()
    session.send(op="publish", id=1, topic="service", data=1, reply=True, timeout=300)
    session.expect("ok")
    with broker.connect() as connection:
        connection.sendall(b"POST /t/service?reply=300s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n\r\nx")
        wait_until(lambda: broker.metrics()["broker_requests_waiting"] == 2, "the request over HTTP")
        broker.send_signal(signal.SIGTERM)
        assert session.expect("error", id=1)["code"] == "unavailable"
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
    assert broker.wait_for_exit() == 0


def test_brokerctl_requests_and_replies(broker, tmp_path):
    service = subprocess.Popen(
        [BROKERCTL, "--socket", str(broker.admin_socket), "reply", "sums/+", "--exec", "tr a-z A-Z; printf \" $TOPIC\"",
         "--count", "2"])
    try:
        wait_until(lambda: broker.control_json("subscriptions") != [], "the subscription")
        # Asks for no reply, and gets none.
        broker.publish("sums/7", "nothing")
        asked = run_control("--socket", str(broker.admin_socket), "request", "sums/7", "abc")
        assert (asked.returncode, asked.stdout, asked.stderr) == (0, b"ABC sums/7\n", b"")
        asked = run_control("--socket", str(broker.admin_socket), "request", "sums/8", "-", "--json", input=b"x y")
        assert json.loads(asked.stdout)["data"] == "X Y sums/8"
        assert service.wait(ANSWER_DEADLINE) == 0
    finally:
        service.kill()
        service.wait()
    late = run_control("--socket", str(broker.admin_socket), "request", "sums/7", "x", "--timeout", "0.1")
    assert late.returncode == 1 and b"No reply within 100 ms. (unavailable)" in late.stderr


def test_brokerctl_reports_a_failed_command(broker):
    service = subprocess.Popen(
        [BROKERCTL, "--socket", str(broker.admin_socket), "reply", "sums", "--exec", "exit 3", "--count", "1"],
        stderr=subprocess.PIPE)
    try:
        wait_until(lambda: broker.control_json("subscriptions") != [], "the subscription")
        broker.session().send(op="publish", id=1, topic="sums", data=1, reply=True)
        assert service.wait(ANSWER_DEADLINE) == 1
        assert b"exit status 3 for sums" in service.stderr.read()
    finally:
        service.kill()
        service.wait()
        service.stderr.close()
