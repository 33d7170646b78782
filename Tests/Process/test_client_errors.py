"""What must not stop a client, harm another one, or stay behind: odd text, bad data, large messages, presences, signals."""

import asyncio
import json

import pytest
import websockets

from chromium import Chromium
from client_peers import NodeClient, PageClient, PythonClient, broker_client
from command_line import REPOSITORY
from deadlines import wait_until

JSON = {"Content-Type": "application/json"}
MODULE = REPOSITORY / "clients/js/client.js"


@pytest.fixture(params=[NodeClient, PythonClient], ids=["node", "python"])
def new_client(request):
    """A function that makes clients."""
    clients = []

    def make():
        clients.append(request.param())
        return clients[-1]

    yield make
    for client in clients:
        client.end()


@pytest.fixture
def client(new_client):
    return new_client()


@pytest.fixture
def chromium(tmp_path):
    browser = Chromium(tmp_path)
    yield browser
    browser.close()


def is_open(client):
    return client.states() and client.states()[-1] == "open"


def until_subscribed(broker, *filters):
    wait_until(lambda: {row["filter"] for row in broker.control_json("subscriptions")} == set(filters), f"subscriptions: {filters}")


def retained(broker, topic):
    answer = broker.http("GET", f"/t/{topic}")
    return answer.body.decode() if answer.status == 200 else None


def eventually(function):
    """Runs a coroutine function, which gets no more than a minute."""
    asyncio.run(asyncio.wait_for(function(), 60))


# Text and numbers


def test_only_a_line_feed_ends_an_object(broker, client):
    """Unicode has more ends of lines, and all of them may be in a message."""
    client.start(broker)
    client.subscribe("all", "#")
    until_subscribed(broker, "#")
    text = "a\u0085b\u2028c\u2029d"
    broker.publish("a", json.dumps(text, ensure_ascii=False).encode(), headers=JSON)
    more = "e\x0bf\x0cg\x1ch\x1di\x1ej\rk\nl" + text
    broker.publish("a", more.encode())
    broker.publish("a", "after")
    wait_until(lambda: client.seen("all") == [text, more, "after"], "the messages")


def test_a_number_with_too_many_digits_does_not_stop_a_client(broker, client):
    client.start(broker)
    client.subscribe("all", "#")
    until_subscribed(broker, "#")
    broker.publish("a", "9" * 5000, headers=JSON)
    broker.publish("a", "after")
    wait_until(lambda: client.seen("all")[1:] == ["after"], "the messages")


# What a client does after a fault


def test_a_fault_of_the_broker_ends_the_connection_and_no_more():
    """The client reports it, settles what waits for an answer, and connects again."""
    async def speak(socket, _=None):
        await socket.send('{"op":"welcome","client":"c","epoch":1}')
        async for text in socket:
            command = json.loads(text)
            await socket.send('{"op":"live"}' if command["data"] == "bad" else json.dumps({"op": "ok", "id": command["id"], "seq": 1}))

    async def body():
        server = await websockets.serve(speak, "127.0.0.1", 0, subprotocols=["broker.v1.json"])
        states = []
        port = server.sockets[0].getsockname()[1]
        client = broker_client.connect(f"http://127.0.0.1:{port}", onstatus=lambda *state: states.append(state[:2]))
        with pytest.raises(broker_client.BrokerError) as refused:
            await client.publish("a", "bad")
        assert refused.value.code == "unknown"
        assert (await client.publish("a", "good"))["seq"] == 1
        assert states == [("connecting",), ("open",), ("waiting", 1006), ("connecting",), ("open",)]
        await client.close()
        server.close()
    eventually(body)


def test_a_cancelled_client_is_closed(broker):
    async def body():
        client = broker_client.connect(broker.url())
        await client.publish("a", 1)
        waiting = client.subscribe("a")
        await waiting.ready
        for task in client._tasks:
            task.cancel()
        with pytest.raises(broker_client.BrokerError):
            async for _ in waiting:
                pass
        assert client.status == "closed"
        with pytest.raises(broker_client.BrokerError):
            await client.publish("a", 2)
    eventually(body)


def test_data_that_json_cannot_hold_is_refused_at_once(broker):
    """Also while there is no connection yet; and the client stays what it was."""
    circle = []
    circle.append(circle)

    async def body():
        client = broker_client.connect(broker.url())
        for _ in ("before", "after the connection"):
            for data, error in [
                    (float("nan"), ValueError), ([float("inf")], ValueError), (circle, ValueError), ("\ud800", ValueError), ({1}, TypeError)]:
                for use in [client.publish, client.presence, lambda topic, since: client.subscribe(topic, since=since)]:
                    with pytest.raises(error):
                        use("a", data)
            await client.publish("a", 1)
        await client.close()
    eventually(body)


@pytest.mark.parametrize("data, error", [
    ("10n", "TypeError"), ("circle", "TypeError"), ("() => 1", "bad-request"), ("Symbol()", "bad-request"),
    ("JSON.parse('['.repeat(70) + ']'.repeat(70))", "bad-request"), ("'\\ud800'", "bad-request")])
def test_data_that_json_does_not_have_is_refused(broker, data, error):
    client = NodeClient()
    client.start(broker)
    client.browser.evaluate(
        f"window.circle = []; circle.push(circle); client.publish('a', {data}).catch(({{ code, name }}) => outcomes.push(code ?? name)); 0")
    client.publish("a", 1)
    wait_until(lambda: client.outcomes() in ([error, "routed"], ["routed", error]), "the outcomes")
    client.end()


def test_a_callback_that_fails_harms_no_other(broker):
    client = NodeClient()
    client.start(broker)
    client.browser.evaluate("console.error = () => {}; client.subscribe('#', () => { throw new Error('mine') }); 0")
    client.subscribe("all", "#")
    until_subscribed(broker, "#")
    broker.publish("a", "one")
    broker.publish("a", "two")
    wait_until(lambda: client.seen("all") == ["one", "two"], "the messages")
    client.end()


# What is too large


def test_a_publication_that_is_too_large_harms_no_other(start_broker, client):
    """Neither one that the client knows to be too large, nor one that waited for the connection."""
    broker = start_broker("limits: { message: 256KiB }\n")
    client.start(broker)
    client.subscribe("all", "#")
    until_subscribed(broker, "#")
    for text in ["x" * 300_000, "x" * 700_000, "\u0001" * 262_144, "\u00e9" * 131_072]:
        client.publish("a", text)
    wait_until(lambda: sorted(client.outcomes()) == ["routed"] + 3 * ["too-large"], "the outcomes")
    wait_until(lambda: client.seen("all") == ["\u00e9" * 131_072], "the message that is just small enough")
    broker.kill()
    wait_until(lambda: not is_open(client), "the loss")
    client.publish("a", "x" * 700_000)
    client.publish("a", "after")
    broker.start()
    wait_until(lambda: sorted(client.outcomes()) == 2 * ["routed"] + 4 * ["too-large"], "the outcomes after the loss")


def test_long_lists_of_filters_are_divided(start_broker, client):
    broker = start_broker("limits: { message: 1KiB }\n")
    client.start(broker)
    filters = [f"{number}/" + "x" * 900 for number in range(200)]
    for number, filter_ in enumerate(filters):
        client.subscribe(str(number), filter_)
    until_subscribed(broker, *filters)
    broker.stop()
    broker.start()
    until_subscribed(broker, *filters)
    assert all(client.gaps(str(number)) == [] for number in range(200))


# Presences


def test_a_presence_removes_only_its_own_value(broker, new_client):
    first, second = new_client(), new_client()
    for number, client in enumerate([first, second]):
        client.start(broker)
        client.appear("who/ann", f"client {number}")
        wait_until(lambda: retained(broker, "who/ann") == f"client {number}", "the presence")
    first.disappear()
    first.publish("other", 1)
    wait_until(lambda: first.outcomes() == ["routed"], "what the first client sent later")
    assert retained(broker, "who/ann") == "client 1"
    second.disappear()
    wait_until(lambda: retained(broker, "who/ann") is None, "the end of the second")


def test_a_presence_removes_no_stored_value(broker, client):
    """With one, it is refused."""
    broker.publish("who/ann", "on disk", "retain")
    client.start(broker)
    wait_until(lambda: is_open(client), "the connection")
    client.appear("who/ann", "here")
    client.disappear()
    client.publish("other", 1)
    wait_until(lambda: client.outcomes() == ["routed"], "what the client sent later")
    client.publish("other", 2)
    wait_until(lambda: client.outcomes() == ["routed", "routed"], "what it sent after the answer")
    assert retained(broker, "who/ann") == "on disk"


def test_a_presence_that_ends_before_its_answer_is_removed(broker, client):
    client.start(broker)
    client.subscribe("all", "who/+")
    until_subscribed(broker, "who/+")
    client.appear("who/ann", "one")
    client.change("two")
    client.disappear()
    wait_until(lambda: len(client.seen("all")) == 3, "the messages")
    assert client.seen("all")[:2] == ["one", "two"] and retained(broker, "who/ann") is None


def test_a_tab_removes_only_its_own_presences(broker, chromium):
    """When it is gone, the shared worker does it."""
    tabs = []
    for number in range(2):
        client = PageClient(chromium)
        client.start(broker, shared=True)
        wait_until(lambda: is_open(client), "the connection")
        for topic in ["both", f"tab{number}"]:
            client.appear(f"who/{topic}", f"tab {number}")
            wait_until(lambda: retained(broker, f"who/{topic}") == f"tab {number}", "the presence")
        tabs.append(chromium._session)
    second, chromium._session = chromium._session, tabs[0]
    chromium.command("Page.close")
    chromium._session = second
    wait_until(lambda: retained(broker, "who/tab0") is None, "the end of the first tab's presence")
    assert retained(broker, "who/both") == "tab 1" and retained(broker, "who/tab1") == "tab 1"
    client.end()


# Signals


def test_nothing_stays_on_a_signal_that_lives_longer(broker):
    client = NodeClient()
    client.start(broker)
    client.browser.evaluate("""
        const { getEventListeners } = process.getBuiltinModule("node:events");
        window.abort = new AbortController();
        window.listeners = () => getEventListeners(abort.signal, "abort").length;
        0""")
    client.subscribe("all", "#")
    until_subscribed(broker, "#")
    client.browser.evaluate("""
        const { signal } = abort;
        const one = client.subscribe("a", () => {}, { signal }), values = client.values("a", undefined, { signal });
        const shown = client.presence("who/ann", 1, { signal });
        publish("a", 1, { signal }); publish("a/#", 1, { signal }); request("nobody", 1, { signal, timeout: 0.1 });
        outcomes.push(listeners());
        one.close(); values.close(); shown.close();
        0""")
    wait_until(lambda: sorted(map(str, client.outcomes())) == ["6", "bad-topic", "routed", "unavailable"], "the outcomes")
    assert client.browser.evaluate("listeners()") == 0
    client.browser.evaluate(f"""
        import({json.dumps(str(MODULE))}).then(({{ connect }}) => {{
            window.client = connect({json.dumps(broker.url())}, {{ WebSocket: ws, signal: abort.signal }});
            window.subscribe("a", "a", {{ signal: abort.signal }});
            client.presence("b", 1, {{ signal: abort.signal }});
            window.publish("c", 1, {{ signal: abort.signal }});
            outcomes.push(listeners());
            client.close();
            outcomes.push(listeners());
        }}); 0""")
    wait_until(lambda: client.outcomes()[4:] == [4, 0, "closed"], "the outcomes of a client that ends")
    client.end()
