"""access.md §10: what one address may use up, beside clients of other addresses that must not notice."""

import socket

from deadlines import ANSWER_DEADLINE, wait_until
from json_session import JSONSession
from raw_websocket import RawWebSocket, read_head

REQUEST = b"GET /t/a HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect(broker, source):
    return socket.create_connection(("127.0.0.1", broker.port), ANSWER_DEADLINE, source_address=(source, 0))


def session(broker, source):
    return JSONSession(RawWebSocket(connect(broker, source), f"127.0.0.1:{broker.port}", "/ws", (), {}))


def status(plain, request=REQUEST):
    plain.sendall(request)
    return read_head(plain)[0]


def reached(broker, limit):
    return broker.metrics()[f'broker_quotas_reached_total{{limit="{limit}"}}']


def test_the_connections_of_one_address(start_broker):
    broker = start_broker("limits: { per_address: { connections: 3 } }\nlog: { audit: stdout }\n")
    mine = []
    for expected in [404, 404, 404, 429]:
        mine.append(connect(broker, "127.0.0.2"))
        assert status(mine[-1]) == expected
    with connect(broker, "127.0.0.3") as other:
        assert status(other) == 404
    assert '"target":"limits.per_address.connections"' in broker.wait_for_line("limit.hit")
    assert reached(broker, "per_address.connections") == 1
    for plain in mine:
        plain.close()
    def is_in():
        with connect(broker, "127.0.0.2") as plain:
            return status(plain) == 404
    wait_until(is_in, "the places to be free again")


def test_the_new_connections_of_one_address(start_broker):
    broker = start_broker("limits: { per_address: { new_connections: 5/m } }\n")
    def door(source):
        with connect(broker, source) as plain:
            return status(plain)
    assert [door("127.0.0.2") for _ in range(7)] == [404] * 5 + [429] * 2
    assert door("127.0.0.3") == 404


def test_publishing_of_one_address_beside_another(start_broker):
    broker = start_broker("limits: { per_address: { publish_rate: 2 } }\n")
    flood, other = [session(broker, "127.0.0.2") for _ in range(2)], session(broker, "127.0.0.3")
    other.subscribe("other")
    for number in range(100):
        for one in flood:
            one.send(op="publish", topic="flood", data=1, id=number)
    assert other.publish("other", "through")["op"] == "ok"
    other.expect("message", data="through")
    refused = [one.receive() for one in flood for _ in range(100)]
    assert len([one for one in refused if one.get("code") == "rate-limited"]) >= 190
    assert reached(broker, "per_address.publish_rate") >= 190


def test_the_subscriptions_of_one_address(start_broker):
    broker = start_broker("limits: { per_address: { subscriptions: 3 } }\n")
    first, second, other = session(broker, "127.0.0.2"), session(broker, "127.0.0.2"), session(broker, "127.0.0.3")
    for name in ["a", "b"]:
        first.subscribe(name)
    second.subscribe("a")
    second.send(op="subscribe", filter="b", id=9)
    second.expect("error", id=9, code="limit-exceeded")
    other.subscribe("b")
    first.send(op="unsubscribe", filter="a", id=10)
    first.receive()
    second.subscribe("b")


def test_loopback_is_left_out_by_default(start_broker):
    broker = start_broker()
    mine = [connect(broker, "127.0.0.2") for _ in range(60)]
    assert {status(plain) for plain in mine} == {404}


def test_wrong_credentials_of_one_address(start_broker):
    broker = start_broker("limits: { authentication_failures: 3/m }\n")
    wrong = b"GET /t/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\nConnection: close\r\n\r\n"
    def guess(source):
        with connect(broker, source) as plain:
            plain.sendall(wrong)
            return read_head(plain)[:2]
    assert [guess("127.0.0.2")[0] for _ in range(5)] == [401] * 4 + [429]
    answer, fields = guess("127.0.0.2")
    assert answer == 429 and fields["retry-after"] == "1"
    assert guess("127.0.0.3")[0] == 401
    with connect(broker, "127.0.0.2") as plain:
        assert status(plain) == 404, "a client that presents nothing is not kept out"
