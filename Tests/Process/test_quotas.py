"""access.md §10: what one address may use, next to clients of other addresses that must not notice."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from access_file import password_hash
from access_harness import Harness, basic, bearer, wrong
from broker_process import free_port
from deadlines import ANSWER_DEADLINE, wait_until
from json_session import JSONSession
from raw_websocket import RawWebSocket, RefusedHandshake, read_head

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


def test_connections_per_address_are_limited(start_broker):
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


def test_new_connections_per_address_are_limited(start_broker):
    broker = start_broker("limits: { per_address: { new_connections: 5/m } }\n")
    def door(source):
        with connect(broker, source) as plain:
            return status(plain)
    assert [door("127.0.0.2") for _ in range(7)] == [404] * 5 + [429] * 2
    assert door("127.0.0.3") == 404


def test_the_publish_rate_is_limited_per_address(start_broker):
    broker = start_broker("limits: { per_address: { publish_rate: 2 } }\n")
    flood, other = [session(broker, "127.0.0.2") for _ in range(2)], session(broker, "127.0.0.3")
    other.subscribe("other")
    for number in range(100):
        for one in flood:
            one.send(op="publish", topic="flood", data=1, id=number)
    assert other.publish("other", "through")["op"] == "ok"
    other.expect("message", data="through")
    refused = [one.receive() for one in flood for _ in range(100)]
    assert len([one for one in refused if one.get("code") == "rate-limited"]) >= 100
    assert reached(broker, "per_address.publish_rate") >= 100


def test_subscriptions_per_address_are_limited(start_broker):
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


def test_loopback_is_not_limited_by_default(start_broker):
    broker = start_broker()
    mine = [connect(broker, "127.0.0.2") for _ in range(60)]
    assert {status(plain) for plain in mine} == {404}


def test_failed_logins_block_an_address(start_broker):
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


def test_connections_are_limited_per_forwarded_address(start_broker):
    """Each client of the proxy is counted separately, even one with a loopback address, which is the proxy's own."""
    port = free_port()
    broker = start_broker(
        f"listen: [{{ address: '127.0.0.1:{port}', forwarded: x-forwarded-for }}]\ntrusted_proxies: [127.0.0.2]\n"
        'access: { anonymous: { publish: ["#"], subscribe: ["#"] } }\n'
        "limits: { per_address: { connections: 2, new_connections: unlimited } }\n",
        port=port, configured_listen=True)
    def forwarded(address):
        return RawWebSocket(connect(broker, "127.0.0.2"), f"127.0.0.1:{port}", "/ws", (), {"X-Forwarded-For": address})
    mine = [forwarded("192.0.2.1"), forwarded("192.0.2.1"), forwarded("127.0.0.1"), forwarded("127.0.0.1")]
    for address in ("192.0.2.1", "127.0.0.1"):
        with pytest.raises(RefusedHandshake) as refused:
            forwarded(address)
        assert refused.value.status == 429
    mine.append(forwarded("192.0.2.2"))
    mine[0].close()
    def is_in():
        try:
            return mine.append(forwarded("192.0.2.1")) is None
        except RefusedHandshake:
            return False
    wait_until(is_in, "the place to be free again")


# Guesses


def get(harness, source, headers, path="/t/news/a"):
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", harness.broker.port), 60, source_address=(source, 0)) as plain:
        return status(plain, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n".encode())


def test_expired_credentials_do_not_count_as_guesses(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, limits="authentication_failures: 2/m")
    expired = harness.token("device7", lifetime=-10)
    harness.rewrite()
    assert {get(harness, "127.0.0.2", bearer(expired)) for _ in range(10)} == {401}
    # A page of another site can make the browsers of all its visitors send this.
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    path = "/t/news/a?token=" + wrong(harness.device)
    assert {get(harness, "127.0.0.2", image, path) for _ in range(10)} == {401}
    assert 429 in [get(harness, "127.0.0.2", bearer(wrong(harness.device))) for _ in range(20)]


def test_a_thousand_guessers_lock_nobody_out(start_broker, tmp_path):
    """Passwords of one user are tried from 1,000 addresses; the user can log in, and strangers have few attempts."""
    harness = Harness(start_broker, tmp_path, limits="authentication_failures: 3/m, per_address: { new_connections: unlimited }")
    harness.file.entries[0]["password"] = password_hash("correct horse", logarithm=4)
    harness.rewrite()
    right = basic("alice", "correct horse")
    assert get(harness, "127.1.0.1", right) == 404
    def guess(number):
        return get(harness, f"127.2.{number // 250}.{number % 250 + 1}", basic("alice", f"guess {number}"))
    with ThreadPoolExecutor(8) as pool:
        guesses = [pool.submit(guess, number) for number in range(1000)]
        assert {get(harness, "127.1.0.1", right) for _ in range(50)} == {404}
        statuses = [one.result() for one in guesses]
    # One of the ten is the user's own, and some attempts are refilled meanwhile.
    assert statuses.count(401) < 100 and statuses.count(401) + statuses.count(429) == 1000
    assert get(harness, "127.1.0.1", right) == 404
    # An unknown user is treated alike.
    assert 429 in [get(harness, f"127.3.0.{number}", basic("nobody", f"guess {number}")) for number in range(1, 100)]


def test_a_blocked_address_still_admits_known_credentials(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path, limits="authentication_failures: 2/m")
    right = basic("alice", "correct horse")
    assert get(harness, "127.0.0.2", right) == 404
    def guess():
        return get(harness, "127.0.0.2", bearer(wrong(harness.device)))
    for _ in range(100):
        before = guess()
        answers = [get(harness, "127.0.0.2", headers) for headers in (right, bearer(harness.editor))]
        if before == guess() == 429:
            # All of that happened during a block.
            assert answers == [404, 404]
            return
    raise AssertionError("the address was never blocked")
