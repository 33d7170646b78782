"""Independent clients, `websockets` and `aiohttp`: text and binary up to the size limit, fragmented too."""

import asyncio
import json
import os

import aiohttp
import pytest
import websockets

LIMIT = 1 << 20
PAYLOADS = ["", "grüße 🐘", "x" * LIMIT, b"", bytes(range(256)), os.urandom(65536), os.urandom(LIMIT)]
NAMES = ["empty text", "text", "longest text", "empty binary", "binary", "long binary", "longest binary"]


def connect(url, **options):
    return websockets.connect(url, max_size=None, **options)


@pytest.mark.parametrize("payload", PAYLOADS, ids=NAMES)
def test_works_with_websockets(broker, payload):
    async def run():
        async with connect(broker.websocket_url("/t/peer")) as subscriber:
            async with connect(broker.websocket_url("/t/peer?echo=false")) as publisher:
                await publisher.send(payload)
                assert await asyncio.wait_for(subscriber.recv(), 20) == payload
                assert subscriber.extensions == [], "compression comes later"

    asyncio.run(run())


@pytest.mark.parametrize("payload", PAYLOADS, ids=NAMES)
def test_works_with_aiohttp(broker, payload):
    async def run():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(broker.url("/t/peer"), max_msg_size=0) as subscriber:
                async with session.ws_connect(broker.url("/t/peer?echo=false")) as publisher:
                    if isinstance(payload, str):
                        await publisher.send_str(payload)
                        assert await subscriber.receive_str(timeout=60) == payload
                    else:
                        await publisher.send_bytes(payload)
                        assert await subscriber.receive_bytes(timeout=60) == payload

    asyncio.run(run())


@pytest.mark.parametrize("size", [10, 10_000, LIMIT])
def test_reassembles_fragments_of_websockets(broker, size):
    payload = os.urandom(size)
    pieces = [payload[start:start + max(size // 7, 1)] for start in range(0, size, max(size // 7, 1))]

    async def run():
        async with connect(broker.websocket_url("/t/peer")) as subscriber:
            async with connect(broker.websocket_url("/t/peer?echo=false")) as publisher:
                await publisher.send(pieces)
                assert await asyncio.wait_for(subscriber.recv(), 20) == payload

    asyncio.run(run())


def test_every_endpoint_reaches_every_endpoint(broker):
    """§2: what is published through any endpoint reaches the subscribers of every endpoint."""

    async def run():
        async with aiohttp.ClientSession() as http, connect(broker.websocket_url("/t/all")) as topic, \
                connect(broker.websocket_url("/s/%23")) as subscription, \
                connect(broker.websocket_url("/ws"), subprotocols=["broker.v1.json"]) as session, \
                http.get(broker.url("/s/all")) as lines, \
                http.get(broker.url("/s/all"), headers={"Accept": "text/event-stream"}) as events:
            assert session.subprotocol == "broker.v1.json"
            await session.send('{"op":"subscribe","id":1,"filter":"all"}')

            async def from_websocket(socket):
                while True:
                    received = json.loads(await socket.recv())
                    if "topic" in received:
                        return received["data"]

            async def from_lines():
                async for line in lines.content:
                    if line.strip() and "topic" in (received := json.loads(line)):
                        return received["data"]

            async def from_events():
                async for line in events.content:
                    if line.startswith(b"data:") and "topic" in (received := json.loads(line[5:])):
                        return received["data"]

            async def by_http(text):
                async with http.post(broker.url("/t/all"), data=text) as answer:
                    assert answer.status == 200

            while json.loads(await session.recv())["op"] != "live":
                pass
            ways_in = [
                by_http, topic.send,
                lambda text: session.send(json.dumps({"op": "publish", "topic": "all", "data": text}))]
            for number, publish in enumerate(ways_in):
                text = f"way in {number}"
                await publish(text)
                readers = [
                    topic.recv(), from_websocket(subscription), from_websocket(session), from_lines(), from_events()]
                received = await asyncio.wait_for(asyncio.gather(*readers), 20)
                assert received == [text] * 5

    asyncio.run(run())


def test_aiohttp_closes_cleanly(broker):
    async def run():
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(broker.url("/ws"), protocols=["broker.v1.json"])
            assert (await socket.receive_json())["op"] == "welcome"
            assert await socket.close(code=1000)
            assert socket.close_code == 1000

    asyncio.run(run())


def test_answers_the_keepalive_of_websockets(broker):
    async def run():
        async with connect(broker.websocket_url("/t/peer"), ping_interval=0.1, ping_timeout=60) as socket:
            for _ in range(5):
                await asyncio.wait_for(await socket.ping(), 5)

    asyncio.run(run())
