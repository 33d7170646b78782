"""client.js in a real browser and broker.py, with the same tests: every message once, across crashes, restarts and tokens."""

import asyncio
import json
import signal
import subprocess
import threading
import time
from pathlib import Path

import jwt
import pytest
import websockets

from chromium import Chromium
from client_peers import NodeClient, PageClient, PythonClient
from deadlines import wait_until
from firefox import Firefox

HISTORY = "history: [ { filter: 'chat/#', messages: 5000 } ]\n"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Chromium(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture(params=["node", "python"])
def client(request):
    client = NodeClient() if request.param == "node" else PythonClient()
    yield client
    client.end()


@pytest.fixture(params=["chromium", "firefox", "python"])
def everyone(request, tmp_path):
    """The client in each supported program, with a separate Firefox."""
    firefox = Firefox(tmp_path) if request.param == "firefox" else None
    client = PythonClient() if request.param == "python" else PageClient(firefox or request.getfixturevalue("chromium"))
    yield client
    client.end()
    if firefox:
        firefox.close()


def is_open(client):
    return client.states() and client.states()[-1] == "open"


def until_open(client):
    wait_until(lambda: is_open(client), "the connection")


def until_subscribed(broker, *filters):
    wait_until(lambda: {row["filter"] for row in broker.control_json("subscriptions")} == set(filters), f"subscriptions: {filters}")


def freeze(broker):
    """Stops the broker's process; its threads may run on for a moment after the signal."""
    broker.process.send_signal(signal.SIGSTOP)
    threads = lambda: Path(f"/proc/{broker.process.pid}/task").glob("*/stat")  # noqa: E731
    wait_until(lambda: all(thread.read_text().rpartition(") ")[2].startswith("T") for thread in threads()), "all threads to stop")


def test_a_chat_survives_crashes_and_restarts(start_broker, everyone):
    """Every message once, in order; also what was published while the client was away."""
    broker, client = start_broker(HISTORY), everyone
    client.start(broker)
    client.subscribe("chat", "chat/#")
    client.subscribe("room", "chat/+")
    until_subscribed(broker, "chat/#", "chat/+")
    sent = 0

    def publish(count):
        nonlocal sent
        for _ in range(count):
            broker.publish(f"chat/{sent % 3}", json.dumps(sent), "ack=stored", {"Content-Type": "application/json"})
            sent += 1

    for end in [broker.kill, broker.stop, broker.kill]:
        publish(10)
        wait_until(lambda: client.seen("chat") == list(range(sent)), "the messages")
        end()
        broker.start()
        publish(10)
    wait_until(lambda: client.seen("chat") == client.seen("room") == list(range(sent)), "all messages, once")
    assert "waiting 1012" in client.states() and "waiting 1006" in client.states()


def test_a_thousand_publications_arrive_once_across_ten_restarts(start_broker, everyone):
    broker, client = start_broker(HISTORY), everyone
    client.start(broker)
    client.flood("chat/load", 1000, 20, key=True, ack="stored")
    for number in range(10):
        wait_until(lambda: client.acknowledged() >= 95 * number + 20, "publications")
        broker.stop() if number % 2 else broker.kill()
        broker.start()
    wait_until(lambda: client.acknowledged() == 1000, "all acknowledgements")
    lines = broker.http("GET", "/s/chat/load?since=all&poll=1").body.decode().splitlines()
    assert sorted(json.loads(line)["data"] for line in lines) == list(range(1000))
    assert client.outcomes() == []


def test_publications_are_queued_while_disconnected(start_broker, client):
    broker = start_broker(HISTORY)
    client.start(broker)
    until_open(client)
    broker.kill()
    wait_until(lambda: not is_open(client), "the loss")
    for number in range(5):
        client.publish("chat/later", number, ack="stored")
    broker.start()
    wait_until(lambda: client.outcomes() == ["stored"] * 5, "the answers")
    lines = broker.http("GET", "/s/chat/later?since=all&poll=1").body.decode().splitlines()
    assert [json.loads(line)["data"] for line in lines] == [0, 1, 2, 3, 4]


def test_a_publication_without_a_key_is_not_sent_twice(start_broker, client):
    """The client reports that its fate is unknown."""
    broker = start_broker(HISTORY)
    client.start(broker)
    until_open(client)
    freeze(broker)
    client.publish("chat/a", 1)
    client.publish("chat/b", 2, key="again")
    wait_until(lambda: broker.unread_bytes() > 0, "the publications")
    broker.kill()
    broker.start()
    wait_until(lambda: client.outcomes() == ["unknown", "routed"], "the outcomes")


def test_values_are_right_after_an_absence(start_broker, everyone):
    """A dashboard."""
    broker, client = start_broker(), everyone
    for topic in "abc":
        broker.publish(f"value/{topic}", topic, "retain")
    client.start(broker)
    client.values("value/+")
    wait_until(lambda: client.map() == {"value/a": "a", "value/b": "b", "value/c": "c"}, "the values")
    broker.publish("value/d", "d", "retain")
    assert broker.http("DELETE", "/t/value/a").status == 204
    wait_until(lambda: client.map() == {"value/b": "b", "value/c": "c", "value/d": "d"}, "changes")
    broker.stop()
    # Where the client does not find it.
    home, broker.port = broker.port, broker.port + 1
    broker.start()
    assert broker.http("DELETE", "/t/value/b").status == 204
    broker.publish("value/c", "new", "retain")
    broker.stop()
    broker.port = home
    broker.start()
    wait_until(lambda: client.map() == {"value/c": "new", "value/d": "d"}, "the values after the absence")


def test_a_whiteboard_ends_with_the_latest_of_each_shape(start_broker, everyone):
    """A client that is too slow for all strokes skips some, and learns which; the final picture is right."""
    broker, client = start_broker("limits: { pending: 64KiB, unsent_in_kernel: 16KiB }\n"), everyone
    client.start(broker)
    client.subscribe("board", "board/+", slow="latest")
    until_subscribed(broker, "board/+")
    pause = threading.Thread(target=client.sleep, args=(5,))
    pause.start()
    publisher = broker.session()
    for stroke in range(300):
        for shape in range(10):
            publisher.send(op="publish", topic=f"board/{shape}", data=10 * stroke + shape, headers={"colour": "c" * 5000})
    publisher.send(op="ping", id=0)
    pause.join()
    wait_until(lambda: set(range(2990, 3000)) <= set(client.seen("board")), "the picture")
    strokes = client.seen("board")
    assert all(one == sorted(set(one)) for one in ([stroke for stroke in strokes if stroke % 10 == shape] for shape in range(10)))
    missed = sum(gap["missed"] for gap in client.gaps("board"))
    assert missed + len(strokes) == 3000


def test_payloads_arrive_unchanged(broker, client):
    client.start(broker)
    client.subscribe("all", "#")
    until_subscribed(broker, "#")
    published = ["text", 21.5, {"a": [1, None]}, None, True, ""]
    for data in published:
        client.publish("a", data)
    client.publish_bytes("a", b"\x00\xff")
    wait_until(lambda: client.seen("all") == published + [[0, 255]], "the payloads")


def test_a_slow_iterator_learns_what_it_missed(broker, client):
    client.start(broker)
    client.iterate("slow", "chat/#", queue=10)
    client.subscribe("fast", "chat/#")
    until_subscribed(broker, "chat/#")
    for number in range(50):
        client.publish("chat/a", number)
    wait_until(lambda: client.seen("fast") == list(range(50)), "the messages")
    client.read(10)
    wait_until(lambda: client.seen("slow") == list(range(40, 50)), "the newest")
    assert client.gaps("slow") == [{"filter": "chat/#", "since": 0, "seq": 40, "missed": 40}]


def test_history_comes_first(start_broker, client):
    broker = start_broker(HISTORY)
    for number in range(5):
        broker.publish("chat/a", str(number), "ack=stored")
    client.start(broker)
    client.subscribe("last", "chat/#", since="-2")
    wait_until(lambda: client.seen("last") == ["3", "4"], "the last two")


def test_a_refused_filter_does_not_disturb_the_others(start_broker, client):
    broker = start_broker()
    client.start(broker)
    client.subscribe("good", "good")
    client.subscribe("bad", "bad/#/filter")
    wait_until(lambda: client.gaps("bad") == ["bad-filter"], "the refusal")
    broker.stop()
    broker.start()
    until_subscribed(broker, "good")
    broker.publish("good", "yes")
    wait_until(lambda: client.seen("good") == ["yes"], "the message")


class TakesBack:
    """A broker that revokes the right to a filter while its snapshot is being sent."""

    def __init__(self):
        self.loop, self.port, self.asked = asyncio.new_event_loop(), None, []
        ready = threading.Event()

        async def serve():
            server = await websockets.serve(self._speak, "127.0.0.1", 0, subprotocols=["broker.v1.json"])
            self.port = server.sockets[0].getsockname()[1]
            ready.set()

        self.thread = threading.Thread(target=lambda: (self.loop.run_until_complete(serve()), self.loop.run_forever()))
        self.thread.start()
        assert ready.wait(60)

    async def _speak(self, socket, _=None):
        say = lambda **object_: socket.send(json.dumps(object_))  # noqa: E731
        await say(op="welcome", client="c", epoch=1)
        async for text in socket:
            command = json.loads(text)
            if command["op"] != "subscribe":
                continue
            filters = command["filter"] if isinstance(command["filter"], list) else [command["filter"]]
            self.asked += filters
            await say(op="ok", id=command["id"], seq=1, epoch=1)
            for filter_ in filters:
                await (say(op="revoked", filter=filter_, message="no more") if len(self.asked) == 1 else say(op="live", filter=filter_, seq=1))

    def url(self, path=""):
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


@pytest.fixture
def takes_back():
    broker = TakesBack()
    yield broker
    broker.close()


def test_a_revoked_right_blocks_no_other_subscription(takes_back, client):
    client.start(takes_back)
    client.subscribe("a", "a")
    wait_until(lambda: client.gaps("a") == ["forbidden"], "the refusal")
    client.subscribe("again", "a")
    wait_until(lambda: takes_back.asked == ["a", "a"], "the same filter again")


def test_an_abort_signal_ends_its_subscription(broker):
    client = NodeClient()
    client.start(broker)
    client.subscribe("stays", "stays")
    client.browser.evaluate("window.abort = new AbortController(); subscribe('goes', 'goes', { signal: abort.signal }); 0")
    until_subscribed(broker, "stays", "goes")
    freeze(broker)
    client.browser.evaluate("""for (const signal of [abort.signal, AbortSignal.abort()]) {
        client.publish("stays", 1, { signal }).catch(({ name }) => outcomes.push(name)) } 0""")
    client.browser.evaluate("abort.abort(); 0")
    wait_until(lambda: client.outcomes() == ["AbortError", "AbortError"], "the ends")
    broker.process.send_signal(signal.SIGCONT)
    until_subscribed(broker, "stays")
    client.end()


def test_requests_are_answered(broker, client):
    client.start(broker)
    client.answer("double")
    until_subscribed(broker, "double")
    client.request("double", 21)
    wait_until(lambda: client.outcomes() == [42], "the reply")
    client.request("nobody", 1, timeout=0.1)
    wait_until(lambda: client.outcomes() == [42, "unavailable"], "the end of the wait")


def test_a_presence_returns_with_its_client(start_broker, everyone):
    """And is removed with it: a member list without further code."""
    broker, client = start_broker(), everyone
    client.start(broker)
    client.appear("who/ann", {"name": "Ann"})
    shown = lambda: broker.http("GET", "/s/who/%23?poll=1").body.decode()  # noqa: E731
    wait_until(lambda: '"data":{"name":"Ann"}' in shown().replace(" ", ""), "the presence")
    broker.kill()
    broker.start()
    wait_until(lambda: '"data":{"name":"Ann"}' in shown().replace(" ", ""), "the presence after a crash")
    client.change("busy")
    wait_until(lambda: '"data":"busy"' in shown(), "the change")
    client.disappear()
    wait_until(lambda: shown() == "", "its end")


# Tokens

JWT = """
access:
  anonymous: { publish: [], subscribe: [] }
  jwt: [{ issuer: login, audience: broker, secret: "file:%s", leeway: 0s, grants_claim: broker, may_grant: ["#"] }]
"""


@pytest.fixture
def guarded(start_broker, tmp_path):
    """A broker that requires tokens, and a function that makes them."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 32)
    secret.chmod(0o600)

    def token(lifetime, **claims):
        now = int(time.time())
        rights = {"publish": ["news/#"], "subscribe": ["news/#"]}
        return jwt.encode(
            {"iss": "login", "aud": "broker", "sub": "alice", "iat": now, "exp": now + lifetime, "broker": rights, **claims},
            b"s" * 32, algorithm="HS256")

    return start_broker(JWT % secret), token


def test_a_token_is_renewed_and_replaced(guarded, client):
    """In time, without a loss; and again when the broker refuses the present one."""
    broker, token = guarded
    client.start(broker, lambda: [token(5), token(600, jti="second"), token(600)])
    client.subscribe("news", "news/#")
    until_subscribed(broker, "news/#")
    publisher = broker.session(subprotocols=["broker.v1.json", f"bearer.{token(600, sub='publisher')}"])
    sent = 0

    def publish():
        nonlocal sent
        publisher.publish("news/a", sent)
        sent += 1

    wait_until(lambda: publish() or client.asked() == 2, "the second token")
    wait_until(lambda: client.seen("news") == list(range(sent)), "all messages")
    assert broker.control("token", "revoke", "--jti", "second").returncode == 0
    wait_until(lambda: client.asked() == 3 and is_open(client), "the third token")
    until_subscribed(broker, "news/#")
    publish()
    wait_until(lambda: client.seen("news")[-1] == sent - 1, "the message")
    assert "waiting 4401" in client.states()


def test_an_invalid_token_closes_the_client(guarded, client):
    broker, token = guarded
    client.start(broker, token(600)[:-4] + "AAAA")
    wait_until(lambda: client.states() and client.states()[-1] == "closed 4401", "the end")
    client.publish("news/a", 1)
    wait_until(lambda: client.outcomes() == ["closed"], "the refusal")


# Pages, tabs, Node.js, files


def test_a_page_detects_a_dead_connection_when_shown_again(broker, chromium):
    """A silently dead connection is detected when the page is shown again, because no answer arrives."""
    client = PageClient(chromium)
    client.start(broker)
    client.subscribe("a", "a")
    until_subscribed(broker, "a")
    broker.publish("a", "before")
    wait_until(lambda: client.seen("a") == ["before"], "all that is under way")
    freeze(broker)
    client.wake()
    wait_until(lambda: not is_open(client), "the end of a connection that is dead")
    broker.process.send_signal(signal.SIGCONT)
    wait_until(lambda: is_open(client), "another connection")
    broker.publish("a", "awake")
    wait_until(lambda: client.seen("a") == ["before", "awake"], "the message")
    client.end()


def test_a_suspended_tab_misses_nothing(start_broker, chromium):
    broker = start_broker(HISTORY)
    client = PageClient(chromium)
    client.start(broker)
    client.subscribe("chat", "chat/#")
    until_subscribed(broker, "chat/#")
    chromium.freeze(True)
    for number in range(40):
        broker.publish("chat/a", json.dumps(number), "ack=stored", {"Content-Type": "application/json"})
        if number in (10, 25):
            broker.kill()
            broker.start()
    chromium.freeze(False)
    wait_until(lambda: client.seen("chat") == list(range(40)), "all messages, once")
    client.end()


def test_a_network_outage_loses_nothing(start_broker, tmp_path):
    """In a separate network whose only link is cut: no connection ends, and nothing arrives."""
    broker = start_broker(HISTORY, wrapper=["unshare", "-Urn", "sh", "-c", 'ip link set lo up && exec "$0" "$@"'])
    inside = ["nsenter", "-t", str(broker.process.pid), "-U", "--preserve-credentials", "-n"]
    browser = Chromium(tmp_path, wrapper=inside)
    client = PageClient(browser)
    client.start(broker)
    client.subscribe("chat", "chat/#")
    until_subscribed(broker, "chat/#")

    def say(*numbers):
        for number in numbers:
            assert broker.control("pub", "chat/a", str(number)).returncode == 0

    say(0, 1)
    wait_until(lambda: client.seen("chat") == ["0", "1"], "the messages")
    subprocess.run([*inside, "ip", "link", "set", "lo", "down"], check=True)
    say(2, 3)
    client.publish("chat/a", "4", key=True)
    client.wake()
    wait_until(lambda: not is_open(client), "the end of a connection that is dead")
    subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
    wait_until(lambda: client.seen("chat") == ["0", "1", "2", "3", "4"], "all messages, once")
    assert client.outcomes() == ["routed"]
    client.end()
    browser.close()


def test_tabs_share_a_connection(start_broker, chromium):
    broker = start_broker()
    first = PageClient(chromium)
    first.start(broker, shared=True)
    first.subscribe("a", "a/#")
    first.values("value/+")
    until_subscribed(broker, "a/#", "value/+")
    one = chromium._session
    second = PageClient(chromium)
    second.start(broker, shared=True)
    second.subscribe("a", "a/#")
    second.subscribe("b", "b")
    until_subscribed(broker, "a/#", "b", "value/+")
    broker.publish("value/x", "1", "retain")
    second.publish("a/1", "from the second tab")
    wait_until(lambda: second.seen("a") == ["from the second tab"], "the message in the second tab")
    assert second.outcomes() == ["routed"]
    assert len(broker.control_json("clients")) == 1
    two, chromium._session = chromium._session, one
    wait_until(lambda: first.seen("a") == ["from the second tab"] and first.map() == {"value/x": "1"}, "the first tab")
    chromium._session = two
    chromium.command("Page.close")
    chromium._session = one
    until_subscribed(broker, "a/#", "value/+")
    broker.kill()
    broker.start()
    assert broker.http("DELETE", "/t/value/x").status == 204
    broker.publish("a/1", "after a crash")
    wait_until(lambda: first.map() == {}, "the removal")
    first.end()
