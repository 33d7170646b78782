"""Contract §5: SIGHUP reads the configuration again."""

import http.client
import json
import signal

from deadlines import wait_until


def test_new_limits_apply_without_a_restart(start_broker):
    broker = start_broker("limits: { subscriptions_per_client: 1 }\n")
    session = broker.session()
    session.subscribe("one")
    assert session.request(op="subscribe", filter="two")["code"] == "limit-exceeded"
    broker.config_file.write_text("limits: { subscriptions_per_client: 2 }\n")
    broker.send_signal(signal.SIGHUP)
    wait_until(lambda: session.request(op="subscribe", filter="two", snapshot=False)["op"] == "ok", "the new limit")
    broker.publish("one", "the old subscription goes on")
    while session.receive().get("data") != "the old subscription goes on":
        pass


def test_a_raised_rate_applies_to_connected_clients(start_broker):
    """Over a WebSocket and on a kept HTTP connection: both had a bucket of the old rate."""
    broker = start_broker("limits: { publish_rate: 1 }\n")
    session = broker.session()
    http_client = http.client.HTTPConnection("127.0.0.1", broker.port, timeout=60)

    def post():
        http_client.request("POST", "/t/a", body="x")
        answer = http_client.getresponse()
        answer.read()
        return answer.status

    assert [post(), post()] == [200, 429]
    answers = [session.request(op="publish", topic="a", data=number)["op"] for number in range(2)]
    assert answers == ["ok", "error"]
    broker.config_file.write_text("limits: { publish_rate: unlimited }\n")
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line("settings reloaded")
    for number in range(50):
        assert session.request(op="publish", topic="a", data=number)["op"] == "ok"
    assert [post() for _ in range(50)] == [200] * 50
    http_client.close()


def test_a_message_limit_applies_to_connected_clients(start_broker):
    broker = start_broker("limits: { message: 100KiB }\n")
    socket_, session = broker.topic_socket("a"), broker.session()
    socket_.synchronise()
    broker.config_file.write_text("limits: { message: 300KiB }\n")
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line("settings reloaded")
    # Each reactor adopts the settings in its own turn.
    socket_.synchronise()
    session.subscribe("a")
    socket_.send_text("x" * (200 << 10))
    assert len(session.expect("message", topic="a")["data"]) == 200 << 10


def test_http_limits_apply_to_connected_clients(start_broker):
    """On an open connection: a longer head, more time between requests, heartbeats of a follower."""
    broker = start_broker("limits: { request_head: 4KiB, idle_timeout: 5s }\nkeepalive: { interval: 60s }\n")
    kept = http.client.HTTPConnection("127.0.0.1", broker.port, timeout=60)

    def get():
        kept.request("GET", "/health/live", headers={"X-Long": "x" * 10_000})
        answer = kept.getresponse()
        answer.read()
        return answer.status

    kept.request("GET", "/health/live")
    kept.getresponse().read()
    follower = broker.follow("#", "snapshot=false")
    broker.config_file.write_text("limits: { request_head: 64KiB, idle_timeout: 60s }\nkeepalive: { interval: 1s }\n")
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line("settings reloaded")
    lines = [follower.line() for _ in range(8)]
    assert lines[1:] == [""] * 7, "a heartbeat each second, for longer than the old limit"
    connected = kept.sock
    assert get() == 200 and kept.sock is connected
    kept.close()


def test_settings_that_need_a_restart_are_named_until_then(start_broker):
    """A second reload compares with the settings in force, not with those read last."""
    broker = start_broker("limits: { message: 100KiB }\n")
    broker.config_file.write_text("limits: { message: 200KiB }\nstore: { views: 7 }\nreactors: { count: 3 }\n")
    for number in range(2):
        broker.send_signal(signal.SIGHUP)
        wait_until(lambda: len([line for line in broker.lines if "settings reloaded" in line]) > number, "the reload")
    told = [line for line in broker.lines if "settings reloaded" in line]
    assert [line.partition("needs_restart=")[2] for line in told] == ['"reactors.count store.views"'] * 2


def test_an_invalid_file_is_refused_and_the_old_settings_stay(start_broker):
    broker = start_broker("limits: { subscriptions_per_client: 1 }\n")
    session = broker.session()
    session.subscribe("one")
    printed = len(broker.lines)
    broker.config_file.write_text("limits: { subscriptions_per_client: 2 }\ncolour: blue\n")
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line("broker.yaml:2:.*colour", since=printed)
    assert session.request(op="subscribe", filter="two")["code"] == "limit-exceeded"
    assert broker.http("GET", "/health/ready").status == 200


def take_over(broker, config):
    printed = len(broker.lines)
    broker.config_file.write_text(config)
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line("settings reloaded", since=printed)


def test_a_client_that_loses_all_rights_must_authenticate_in_time(start_broker):
    broker = start_broker("access: { authentication_timeout: 1s }\n")
    session = broker.session()
    session.subscribe("a")
    nothing = "anonymous: { publish: [], subscribe: [] }"
    take_over(broker, f"access: {{ authentication_timeout: 1s, {nothing} }}\n")
    session.expect("revoked", filter="a")
    assert session.websocket.receive_close()[0] == 4408


def test_revoked_rights_end_at_once(start_broker):
    """From the log line on, nothing denied is accepted or delivered, over any endpoint."""
    broker = start_broker("reactors: { count: 2 }\n")
    session, topic_socket = broker.session(), broker.topic_socket("out/a")
    subscription, other = broker.subscription_socket("out/#"), broker.subscription_socket("in/#")
    events = broker.follow("out/#", headers={"Accept": "text/event-stream"})
    lines, others = broker.follow("out/#"), broker.follow("in/#")
    kept = http.client.HTTPConnection("127.0.0.1", broker.port, timeout=60)

    def ask(method, path):
        kept.request(method, path)
        answer = kept.getresponse()
        answer.read()
        return answer.status

    session.subscribe("out/#")
    session.subscribe("in/#")
    assert ask("POST", "/t/out/a") == 200
    session.expect("message", topic="out/a")
    take_over(broker, 'reactors: { count: 2 }\naccess: { anonymous: { publish: ["in/#"], subscribe: ["in/#"] } }\n')
    assert [ask("POST", "/t/out/a"), ask("GET", "/t/out/a"), ask("POST", "/t/in/a")] == [401, 401, 200]
    gone = session.expect("revoked", filter="out/#")
    assert gone["message"] == "You may not subscribe to out/#."
    assert session.request(op="publish", topic="out/a", data=1)["code"] == "forbidden"
    for socket_ in (topic_socket, subscription):
        code, reason = socket_.receive_close()
        assert code == 4403 and reason.startswith("You may not subscribe to out/")
    event = {}
    while event is not None and event.get("event") != "error":
        event = events.event()
    assert json.loads(event["data"])["error"]["code"] == "forbidden"
    for follower in (events, lines):
        while follower.line() is not None:
            pass
    session.expect("message", topic="in/a")
    while json.loads(other.receive_text()).get("topic") != "in/a":
        pass
    while others.json().get("topic") != "in/a":
        pass
    assert broker.metrics()['broker_refusals_total{reason="revoked"}'] == 5
    take_over(broker, "reactors: { count: 2 }\n")
    session.subscribe("out/#")
    assert ask("POST", "/t/out/a") == 200
    session.expect("message", topic="out/a")
    kept.close()
