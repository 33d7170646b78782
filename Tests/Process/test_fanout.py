"""Contract §1: every subscriber gets every message it matches once, in rising seq, over all reactors and endpoints."""

import asyncio
import json
import os
import random
import resource
import threading
import time

import pytest
import websockets

import io_uring

CONNECTIONS = int(os.environ.get("BROKER_FANOUT_CONNECTIONS", "500"))
MESSAGES = int(os.environ.get("BROKER_FANOUT_MESSAGES", "100"))
# Seconds for the whole delivery; the test's own client is the slow part.
DEADLINE = 30 + CONNECTIONS * MESSAGES / 2000


@pytest.fixture(params=io_uring.backends())
def broker(start_broker, request):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield start_broker(f"reactors: {{ count: 2, backend: {request.param} }}\nkeepalive: {{ interval: 120s }}\n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(url):
    return websockets.connect(url, compression=None, ping_interval=None, max_queue=None, open_timeout=60)


def test_every_subscriber_gets_every_message_once_in_order(broker):
    async def subscribe_all():
        sockets = []
        for start in range(0, CONNECTIONS, 50):
            batch = range(start, min(start + 50, CONNECTIONS))
            sockets += await asyncio.gather(*(
                connect(broker.websocket_url(("/t/fan/out", "/s/fan/%23?snapshot=false")[index % 2]))
                for index in batch))
        return sockets

    async def receive(index, socket):
        texts, sequence = [], []
        while len(texts) < MESSAGES:
            received = await socket.recv()
            if index % 2:
                received = json.loads(received)
                if "topic" not in received:
                    continue
                sequence.append(received["seq"])
                received = received["data"]
            texts.append(received)
        assert sequence == sorted(set(sequence))
        return texts

    async def run():
        sockets = await subscribe_all()
        publisher = await connect(broker.websocket_url("/t/fan/out?echo=false"))
        receivers = [asyncio.create_task(receive(index, socket)) for index, socket in enumerate(sockets)]
        for number in range(MESSAGES):
            await publisher.send(str(number))
        results = await asyncio.wait_for(asyncio.gather(*receivers), DEADLINE)
        expected = [str(number) for number in range(MESSAGES)]
        assert all(result == expected for result in results)
        # Nothing more may arrive: the next message of every subscriber is this one.
        await publisher.send("end")
        for index, socket in enumerate(sockets):
            last = await asyncio.wait_for(socket.recv(), 30)
            assert (json.loads(last)["data"] if index % 2 else last) == "end"
        for socket in [*sockets, publisher]:
            socket.transport.abort()

    asyncio.run(run())


def test_all_subscribers_see_one_order_of_many_publishers(broker):
    """Four publishers on four endpoints at once; twenty subscribers on two reactors see the same sequence."""
    per_publisher = 100
    sessions = [broker.session() for _ in range(20)]
    for session in sessions:
        session.subscribe("mixed/+")

    def by_http():
        for number in range(per_publisher):
            broker.publish("mixed/http", str(number))

    def by_topic_socket():
        socket = broker.topic_socket("mixed/socket", "echo=false")
        for number in range(per_publisher):
            socket.send_text(str(number))
        socket.synchronise()

    def by_json():
        session = broker.session()
        for number in range(per_publisher):
            session.publish("mixed/json", str(number))

    def retained():
        for number in range(per_publisher):
            broker.publish("mixed/retained", str(number), "retain&ack=routed")

    publishers = [threading.Thread(target=target) for target in (by_http, by_topic_socket, by_json, retained)]
    for publisher in publishers:
        publisher.start()
    for publisher in publishers:
        publisher.join()
    seen = [[session.expect("message") for _ in range(4 * per_publisher)] for session in sessions]
    orders = [[(message["seq"], message["topic"], message["data"]) for message in messages] for messages in seen]
    assert all(order == orders[0] for order in orders)
    sequence = [seq for seq, _, _ in orders[0]]
    assert sequence == sorted(set(sequence))
    for topic in ("http", "socket", "json", "retained"):
        of_topic = [data for _, name, data in orders[0] if name == f"mixed/{topic}"]
        assert of_topic == [str(number) for number in range(per_publisher)]


@pytest.mark.parametrize("seed", range(5))
def test_subscribers_that_come_and_go_do_not_affect_the_order(broker, seed):
    numbers = random.Random(seed)
    steady = broker.session()
    steady.subscribe("churn/#")
    passing, end = [], time.monotonic() + 2
    sent = 0
    while time.monotonic() < end and sent < 2000:
        action = numbers.randrange(10)
        if action == 0:
            passing.append(broker.topic_socket(f"churn/{numbers.randrange(5)}"))
        elif action == 1 and passing:
            passing.pop(numbers.randrange(len(passing))).close()
        elif action == 2:
            steady.request(op="subscribe", filter=f"churn/{numbers.randrange(5)}", snapshot=False)
        else:
            broker.publish(f"churn/{numbers.randrange(5)}", str(sent))
            sent += 1
    steady.synchronise()
    received = [item for item in steady.waiting if item["op"] == "message"]
    assert [item["data"] for item in received] == [str(number) for number in range(sent)]


def test_bursts_from_one_turn_keep_their_order(broker):
    """Ten thousand small messages in few writes: batches must not be reordered."""
    subscriber = broker.session()
    subscriber.subscribe("burst")
    publisher = broker.session()
    received = []
    for start in range(0, 10_000, 1000):
        for half in (start, start + 500):
            publisher.websocket.send_text("\n".join(
                json.dumps({"op": "publish", "topic": "burst", "data": number}) for number in range(half, half + 500)))
        received += [subscriber.expect("message") for _ in range(1000)]
    assert [message["data"] for message in received] == list(range(10_000))
    sequence = [message["seq"] for message in received]
    assert sequence == sorted(set(sequence))
