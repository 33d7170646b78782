"""Contract §1, §3.4: what happens to readers that are too slow, by policy, and to the others."""

import json
import threading

import pytest

from deadlines import wait_until
from json_session import JSONSession
from raw_websocket import PING, PONG, ConnectionEnded

PENDING = 256 * 1024
CONFIG = f"""
reactors: {{ count: 2 }}
limits: {{ pending: {PENDING} }}
history:
  - {{ filter: "kept/#", messages: 100000 }}
"""
BLOCK = "x" * 32 * 1024
COUNT = 800  # 25 MiB: more than any socket buffers hold


@pytest.fixture
def broker(start_broker):
    return start_broker(CONFIG)


def flood(broker, topic, topics=1, count=COUNT):
    """Publishes many large messages; a quick reader gets each of them meanwhile. Returns their seqs."""
    quick = broker.session()
    quick.subscribe(f"{topic}/#", snapshot=False)
    assert quick.receive()["op"] == "live"
    publisher = broker.session()
    sent = []
    for number in range(count):
        publisher.send(op="publish", topic=f"{topic}/{number % topics}", data=f"{number} {BLOCK}")
        received = quick.receive()
        assert received["op"] == "message" and received["data"].startswith(f"{number} "), received
        sent.append(received["seq"])
    return sent


def read_all(receive, last):
    """Messages and gaps up to the message `last`."""
    messages, gaps = [], []
    while not messages or messages[-1]["seq"] != last:
        received = receive()
        if "topic" in received:
            messages.append(received)
        elif received["op"] == "gap":
            gaps.append(received)
    return messages, gaps


def slow_session(broker, filter_, slow):
    session = JSONSession(broker.websocket("/ws", receive_buffer=4096))
    session.send(op="subscribe", filter=filter_, slow=slow, snapshot=False)
    assert session.receive()["op"] == "live"
    return session.receive


def slow_socket(broker, filter_, slow):
    socket = broker.subscription_socket(filter_, f"slow={slow}&snapshot=false", receive_buffer=4096)
    receive = lambda: json.loads(socket.receive_text())
    assert receive()["op"] == "live"
    return receive


def slow_follower(broker, filter_, slow):
    follower = broker.follow(filter_, f"slow={slow}&snapshot=false")
    assert follower.json()["op"] == "live"
    return follower.json


WAYS = [slow_session, slow_socket, slow_follower]


@pytest.mark.parametrize("way", WAYS)
def test_the_oldest_are_dropped_and_counted(broker, way):
    receive = way(broker, "flood/#", "drop-oldest")
    sent = flood(broker, "flood")
    messages, gaps = read_all(receive, sent[-1])
    received = [message["seq"] for message in messages]
    missing = [seq for seq in sent if seq not in set(received)]
    assert received == sorted(received) and missing
    assert sum(gap["missed"] for gap in gaps) == len(missing)
    assert all(any(gap["since"] < seq <= gap["seq"] for gap in gaps) for seq in missing)
    assert not any(gap["since"] < seq <= gap["seq"] for gap in gaps for seq in received)
    after = broker.publish("flood/0", "after")
    assert receive()["seq"] == after["seq"]


@pytest.mark.parametrize("way", WAYS)
def test_the_latest_of_each_topic_remain(broker, way):
    receive = way(broker, "flood/#", "latest")
    sent = flood(broker, "flood", topics=5)
    messages, gaps = read_all(receive, sent[-1])
    received = [message["seq"] for message in messages]
    assert received == sorted(received) and received[-5:] == sent[-5:]
    assert sum(gap["missed"] for gap in gaps) == len(sent) - len(received) > 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("slow", ["close", "drop-oldest"])
def test_with_history_nothing_is_lost(broker, way, slow):
    receive = way(broker, "kept/#", slow)
    sent = flood(broker, "kept", topics=3)
    messages, gaps = read_all(receive, sent[-1])
    assert [message["seq"] for message in messages] == sent and gaps == []
    assert [message["data"].split()[0] for message in messages] == [str(number) for number in range(len(sent))]
    after = broker.publish("kept/0", "after")
    assert receive()["seq"] == after["seq"]


def test_a_topic_socket_with_history_loses_nothing(broker):
    socket = broker.topic_socket("kept/0", receive_buffer=4096)
    socket.synchronise()
    sent = flood(broker, "kept")
    assert [socket.receive_text().split()[0] for _ in sent] == [str(number) for number in range(len(sent))]


def test_a_client_that_is_behind_gets_its_pong(broker):
    socket = broker.subscription_socket("flood/#", "slow=drop-oldest&snapshot=false", receive_buffer=4096)
    socket.receive_text()
    flood(broker, "flood")
    socket.send_frame(PING, b"are you there")
    while True:
        _, opcode, payload = socket.receive_frame()
        if opcode == PONG:
            assert payload == b"are you there"
            return


def test_a_client_that_reads_nothing_is_closed_by_age(start_broker):
    broker = start_broker("limits: { pending: 256KiB, pending_age: 1s }\n")
    socket = broker.subscription_socket("flood/#", "slow=drop-oldest&snapshot=false", receive_buffer=4096)
    socket.receive_text()
    flood(broker, "flood", count=300)
    wait_until(lambda: broker.metrics()['broker_disconnects_total{reason="slow"}'] == 1, "it to be closed")
    ended = socket.wait_for_end(60)
    assert ended[0] == 1013


def test_slow_readers_use_only_their_limit(broker):
    """Fifty slow readers of each policy, and quick ones that get everything; memory stays bounded."""
    policies = ["drop-oldest", "latest", "drop-oldest"]
    slow = [broker.subscription_socket("flood/#", f"slow={policies[number % 3]}&snapshot=false", receive_buffer=4096)
            for number in range(50)]
    for socket in slow:
        socket.receive_text()
    flood(broker, "flood", topics=7, count=100)
    before = broker.metrics()["process_resident_memory_bytes"]
    flood(broker, "flood", topics=7, count=COUNT)
    grown = broker.metrics()["process_resident_memory_bytes"] - before
    # Backlog and held messages of each, and as much again for what the allocator keeps; 25 MiB went to each of 50.
    assert grown < 50 * PENDING * 4, f"{grown >> 20} MiB more"
    assert broker.metrics()["broker_messages_dropped_total"] > 0


def test_a_slow_reader_does_not_hold_up_quick_ones(broker):
    """While one reader reads nothing, publishers and readers on both reactors continue at once."""
    stuck = broker.subscription_socket("kept/#", "snapshot=false", receive_buffer=4096)
    stuck.receive_text()
    results = []

    def run(number):
        sent = flood(broker, f"kept/{number}", count=200)
        results.append(sent == sorted(sent) and len(sent) == 200)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 3
    count, last = 0, 0
    while count < 600:
        try:
            received = json.loads(stuck.receive_text())
        except ConnectionEnded as ended:
            raise AssertionError(f"closed after {count}: {ended.close_frame}") from None
        assert received["seq"] > last and "op" not in received
        count, last = count + 1, received["seq"]
