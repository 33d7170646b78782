"""The Python client of Broker: one file, on asyncio and the package `websockets` (10 or newer).

    import asyncio, broker

    async def main():
        async with broker.connect("http://127.0.0.1:8080") as client:
            await client.publish("sensors/1/temp", 21.5, retain=True)
            async for message in client.subscribe("sensors/+/temp"):
                print(message.topic, message.data)

    asyncio.run(main())

See docs/clients.md; the JavaScript client has the same verbs.
"""

import asyncio
import base64
import collections
import inspect
import json
import logging
import math
import random
import re
import secrets
import time
from urllib.parse import urlsplit, urlunsplit

import websockets

__all__ = ["connect", "Client", "BrokerError", "Message", "Gap", "Subscription", "Values", "Presence"]

log = logging.getLogger("broker")

# Seconds.
SHORTEST, LONGEST, PATIENCE, STABLE, KEY_WINDOW = 0.25, 15, 8, 5, 270
FINAL = {1002, 1003, 1007, 1009, 4400, 4403, 4410}
LATER = {"unavailable", "rate-limited"}

_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def _dump(value):
    """JSON in UTF-8, which is shorter than escapes. What it cannot hold (NaN, half a surrogate pair) is an error of the caller."""
    text = _json.encode(value)
    if not text.isascii():
        text.encode()
    return text


class BrokerError(Exception):
    """A refusal, with its `code`: those of docs/protocol.md, "unknown" (the connection was lost before the answer) and "closed"."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Message:
    """A message; members that it does not have are None. `data` is bytes, text, or the value of JSON."""

    __slots__ = ("topic", "data", "seq", "time", "type", "retained", "retain", "removed", "expired", "expires", "headers",
                 "replyTo", "correlation")

    def __init__(self, members):
        for name in self.__slots__:
            setattr(self, name, members.get(name))
        if members.get("encoding") == "base64":
            self.data = base64.b64decode(self.data)

    def __repr__(self):
        members = ((name, getattr(self, name)) for name in self.__slots__)
        return f"Message({', '.join(f'{name}={value!r}' for name, value in members if value is not None)})"


Gap = collections.namedtuple("Gap", "filter since seq missed undone position", defaults=(False, None))
Gap.__doc__ = """Messages after `since` and up to `seq` were not received and will not be; `missed`: how many, or None.

`undone`: those of them that were received are in no log of the cluster any more; the values that hold come after it.
In a cluster with several partitions `position` says up to where, for each of them.
"""


def connect(url, *, token=None, queue=10_000, queue_bytes=16 << 20, onstatus=None, **options):
    """A client of the broker at `url`. It connects in the background, and again whenever the connection is lost.

    `token` is a token, {"user": …, "password": …}, or a function or coroutine function that returns one. `onstatus` is called
    with "connecting", "open", "waiting" or "closed", and the reason. Other options are for `websockets.connect`.
    """
    return Client(url, token, queue, queue_bytes, onstatus, options)


def _address(url):
    parts = urlsplit(url)
    path = parts.path if parts.path.endswith("/ws") else parts.path.rstrip("/") + "/ws"
    return urlunsplit((parts.scheme.replace("http", "ws"), parts.netloc, path, parts.query, ""))


def _encode(data):
    if isinstance(data, (bytes, bytearray, memoryview)):
        return {"data": base64.b64encode(data).decode(), "encoding": "base64"}
    return {"data": data}


def _load(line):
    try:
        return json.loads(line)
    except ValueError:
        # An integer may have more digits than Python accepts.
        return json.loads(line, parse_int=lambda text: float(text) if len(text) > 600 else int(text))


def _matches(levels, topic):
    if topic.startswith("$") and levels[0] in ("+", "#"):
        return False
    names = topic.split("/")
    for at, level in enumerate(levels):
        if level == "#":
            return True
        if at == len(names) or level not in ("+", names[at]):
            return False
    return len(levels) == len(names)


class _Request:
    """A command that waits for an answer."""

    def __init__(self, number, text, keeps, key, reply, then):
        self.number, self.text, self.keeps, self.key, self.reply, self.then = number, text, keeps, key, reply, then
        self.sent = None
        self.answer = None if then else asyncio.get_running_loop().create_future()

    def settle(self, value):
        # At once, before the messages after the answer.
        if self.then:
            return self.then(value)
        if self.answer.done():
            return
        if isinstance(value, Exception):
            self.answer.set_exception(value)
            # The caller may have stopped waiting for it.
            self.answer.exception()
        else:
            self.answer.set_result(value)


class Client:
    """One connection; made by `connect` within a running event loop."""

    def __init__(self, url, token, queue, queue_bytes, onstatus, options):
        self.status, self.epoch, self.name = "connecting", 0, None
        self._url, self._token, self._onstatus, self._options = _address(url), token, onstatus, options
        self._queue, self._queue_bytes, self._bytes = queue, queue_bytes, 0
        self._socket = None
        self._asked, self._id, self._parts = {}, 0, [0]
        # The maximum size of a command, in bytes; None while it is not known.
        self._largest = None
        self._listeners, self._busy, self._presences = [], set(), []
        # Why this client has ended the connection, if it has.
        self._failure = None
        self._refused, self._retry = False, None
        self._outbox = asyncio.Queue()
        # Looked up once, so that a call of `publish` stays cheap.
        self._loop = asyncio.get_running_loop()
        self._tasks = {self._loop.create_task(self._run())}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    # The connection

    def _say(self, status, *more):
        self.status = status
        _call(self._onstatus, status, *more)

    def _later(self, coroutine):
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self):
        reason = "cancelled"
        try:
            await self._reconnect()
        except Exception as error:  # a fault of this file: it must not leave a client that only looks alive
            log.exception("in the broker's client")
            reason = str(error)
        finally:
            if self.status != "closed":
                self._end(1006, reason)

    async def _reconnect(self):
        tries = 0
        while True:
            self._say("connecting")
            began, code, reason = time.monotonic(), 1006, ""
            try:
                options = {"subprotocols": ["broker.v1.json"], "open_timeout": PATIENCE, "close_timeout": 1, "max_size": None,
                           "ping_interval": 25, "ping_timeout": PATIENCE, **self._options}
                async with websockets.connect(self._url, **options) as socket:
                    code, reason = await self._serve(socket)
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException) as error:
                reason = str(error)
            again = code == 4401 and callable(self._token) and not self._refused
            self._lost()
            if code in FINAL or (code == 4401 and not again):
                return self._end(code, reason)
            self._refused = self._refused or again
            if time.monotonic() - began > STABLE:
                tries = 0
            told = re.fullmatch(r"retry=(\d+)", reason)
            delay = int(told[1]) / 1000 if told else self._retry
            if delay is None:
                delay = random.random() * min(LONGEST, SHORTEST * 2 ** tries)
                tries += 1
            self._retry = None
            self._say("waiting", code, reason)
            await asyncio.sleep(delay)

    async def _serve(self, socket):
        """Runs until the connection ends; returns the code and the reason."""
        self._socket, self._failure = socket, None
        self._outbox = asyncio.Queue()
        writer = self._loop.create_task(self._write(socket, self._outbox))
        try:
            async for frame in socket:
                # Not splitlines: text contains more of what that takes for ends of lines.
                for line in frame.split("\n"):
                    if line.strip():
                        self._receive(line)
        except websockets.ConnectionClosed:
            pass
        except Exception as error:  # a fault of the broker or of this file: another connection, with a new state
            log.exception("the broker's answer could not be handled")
            self._failure = (1006, str(error))
        finally:
            writer.cancel()
            self._socket = None
        if self._failure:
            return self._failure
        return socket.close_code or 1006, socket.close_reason or ""

    def _receive(self, line):
        try:
            self._take(_load(line))
        except Exception:
            # A message that cannot be read must not cost those after it; without anything else the state is not known.
            if not line.startswith('{"op":"message"'):
                raise
            log.exception("a message of the broker could not be read: %.200s", line)

    async def _write(self, socket, outbox):
        try:
            while True:
                await socket.send(await outbox.get())
        except websockets.ConnectionClosed:
            pass
        except Exception as error:  # without a writer the connection is of no use
            log.exception("a command could not be sent to the broker")
            self._failure = (1006, str(error))
            await socket.close()

    def _send(self, text):
        self._outbox.put_nowait(text)

    async def _welcome(self, welcome, socket):
        try:
            if self._token is not None:
                await self._authenticate(socket)
            if socket is self._socket:
                self._open(welcome)
        except Exception as error:  # any error of the application's token function
            is_refused = getattr(error, "code", None) in ("unauthenticated", "forbidden")
            if socket is self._socket:
                self._failure = (4401 if is_refused else 1006, str(error))
                await socket.close()

    def _open(self, welcome):
        if self.epoch != welcome["epoch"]:
            self._parts = [0] * len(self._parts)
        self.name, self.epoch, self.status = welcome["client"], welcome["epoch"], "open"
        maximum = welcome.get("maximumMessage")
        self._largest = maximum and 2 * maximum + 65_536
        waiting = list(self._asked.values())
        # First, so that messages published now are received, too.
        self._subscribe()
        for request in waiting:
            self._tell(request)
        for presence in self._presences:
            _call(presence._show)
        self._say("open")

    async def _authenticate(self, socket):
        token = self._token
        if callable(token):
            token = token()
            if inspect.isawaitable(token):
                token = await token
        if socket is self._socket:
            await self._ask({"op": "authenticate", **({"token": token} if isinstance(token, str) else token)}).answer
        self._refused = False

    def _lost(self):
        self.status = "waiting"
        self._busy.clear()
        for listener in self._listeners:
            listener._lost(self._parts, self.epoch)
        now = time.time()
        for number, request in list(self._asked.items()):
            if not request.keeps or (request.sent and not (request.key and now - request.sent < KEY_WINDOW)):
                self._settle(number, BrokerError("unknown", "The connection was lost before the answer."))

    def _end(self, code, reason):
        self.status = "closed"
        error = BrokerError("closed", f"The connection is closed: {code} {reason}")
        for number in list(self._asked):
            self._settle(number, error)
        for listener in list(self._listeners):
            listener._end(None if code == 1000 else error)
        self._say("closed", code, reason)

    async def close(self):
        """Ends the connection; commands without an answer fail with "closed"."""
        if self.status == "closed":
            return
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        self._end(1000, "closed by the application")
        await asyncio.gather(*tasks, return_exceptions=True)

    # Messages of the broker

    def _take(self, members):
        op, number = members["op"], members.get("id")
        request = self._asked.get(number)
        if op == "message":
            message = Message(members)
            if not message.retained and not message.topic.startswith("$"):
                place = message.seq % len(self._parts)
                self._parts[place] = max(self._parts[place], message.seq)
            for listener in list(self._listeners):
                listener._message(message)
        elif op == "welcome":
            self._later(self._welcome(members, self._socket))
        elif op == "live":
            parts = _parts(members)
            self._parts = _newest(parts, self._parts)
            self._busy.discard(members["filter"])
            for listener in self._of(members["filter"]):
                listener._now_live(parts)
            self._leave(members["filter"])
            self._subscribe()
        elif op == "gap":
            for listener in self._of(members["filter"]):
                listener._gap(_gap(members))
        elif op == "revoked":
            self._busy.discard(members["filter"])
            for listener in self._of(members["filter"]):
                listener._end(BrokerError("forbidden", members["message"]))
            self._subscribe()
        elif op == "expiring":
            self._later(self._renew())
        elif op == "restart":
            self._retry = members["retry"] / 1000
        elif request is None:
            return
        elif op == "ok" and not request.reply:
            self._settle(number, members)
        elif op == "reply":
            self._settle(number, Message(members))
        elif op == "error":
            is_safe = request.key and not request.reply and time.time() - (request.sent or 0) < KEY_WINDOW
            if is_safe and members["code"] in LATER:
                # Not accepted, and safe to send again.
                self._loop.call_later(1, self._again, number)
            else:
                self._settle(number, BrokerError(members["code"], members["message"]))

    def _of(self, filter_):
        return [listener for listener in self._listeners if listener.filter == filter_]

    async def _renew(self):
        try:
            await self._authenticate(self._socket)
        except Exception as error:  # the broker closes the connection when the old token ends
            log.warning("the token could not be renewed: %s", error)

    def _again(self, number):
        if number in self._asked and self.status == "open":
            self._send(self._asked[number].text)

    def _settle(self, number, value):
        request = self._asked.pop(number)
        if request.keeps:
            self._bytes -= len(request.text)
        request.settle(value)

    def _ask(self, command, keeps=False, key=None, reply=False, then=None):
        self._id += 1
        number = self._id
        request = _Request(number, _dump({**command, "id": number}), keeps, key, reply, then)
        if self.status == "closed":
            request.settle(BrokerError("closed", "The connection is closed."))
            return request
        if keeps:
            if len(self._asked) >= self._queue or self._bytes + len(request.text) > self._queue_bytes:
                request.settle(BrokerError("limit-exceeded", "Too many publications wait to be sent."))
                return request
            self._bytes += len(request.text)
            request.answer.add_done_callback(lambda future: future.cancelled() and number in self._asked and self._settle(number, None))
        self._asked[number] = request
        if self.status == "open" or not keeps:
            self._tell(request)
        return request

    def _tell(self, request):
        text = request.text
        if self._largest and 4 * len(text) > self._largest and len(text.encode()) > self._largest:
            # The broker would close the connection.
            return self._settle(request.number, BrokerError("too-large", "It is larger than the broker allows."))
        request.sent = request.sent or time.time()
        self._send(text)

    # Publishing

    def publish(self, topic, data, **options):
        """Publishes; an awaitable for {"seq": …, "stored": …}. Waits while there is no connection.

        Options are those of the protocol: retain, ttl, ack, type, ifSeq, key, headers, replyTo, correlation, ephemeral,
        grace, farewell. With `key` (True for a random one) the message is sent again after a lost connection, and accepted once;
        without a key it fails with "unknown" if the connection is lost before the answer.
        """
        if options.get("key") is True:
            options["key"] = secrets.token_urlsafe(16)
        command = {"op": "publish", "topic": topic, **_encode(data), **options}
        return self._ask(command, keeps=True, key=options.get("key"), reply=options.get("reply", False)).answer

    async def request(self, topic, data, timeout=10, **options):
        """Publishes, and waits for one reply: a message."""
        answer = self.publish(topic, data, reply=True, timeout=timeout, **options)
        try:
            return await asyncio.wait_for(answer, timeout + 1)
        except asyncio.TimeoutError:
            raise BrokerError("unavailable", f"No reply within {timeout} s.") from None

    def reply(self, message, data, **options):
        """Answers a request."""
        if message.correlation is not None:
            options.setdefault("correlation", message.correlation)
        return self.publish(message.replyTo, data, **options)

    def presence(self, topic, data, **options):
        """Publishes a value that exists while this client is connected; it is restored after a reconnection."""
        presence = Presence(self, topic, data, options)
        presence._show()
        self._presences.append(presence)
        return presence

    # Subscribing

    def subscribe(self, filter_, callback=None, *, ongap=None, onerror=None, queue=1000, **options):
        """Calls `callback` with each message; without a callback the result is an async iterable.

        Options are those of the protocol: since, snapshot, echo, slow. If an iterable is read too slowly, the oldest
        messages beyond `queue` are dropped, and `ongap` is called.
        """
        listener = Subscription(self, filter_, callback, ongap, onerror, queue, options)
        if self.status == "closed":
            listener._end(BrokerError("closed", "The connection is closed."))
        else:
            self._listeners.append(listener)
            self._subscribe()
        return listener

    def values(self, filter_, changed=None, **options):
        """A dict of the retained values, kept up to date; `changed` is called with it and with the message, or None."""
        return Values(self, filter_, changed, options)

    def _subscribe(self):
        """Requests idle subscriptions. Listeners of one filter share a subscription: they wait for each other's snapshot."""
        if self.status != "open":
            return
        taken = {}
        # Resuming ones first: what arrives for a fresh one meanwhile would not arrive again for them.
        for one in sorted(self._listeners, key=lambda one: not one._resumes):
            if one._state != "idle" or one.filter in self._busy:
                continue
            first = taken.setdefault(one.filter, [one])
            # Resuming ones are sent together, from the earliest position.
            if first[0] is not one and one._resumes and first[0]._resumes and first[0]._epoch == one._epoch:
                first.append(one)
        groups = {}
        for filter_, those in taken.items():
            first, parts = those[0], [min(numbers) for numbers in zip(*(one._parts for one in those))]
            command = {**first._options, **({"since": f"{first._epoch}-{_text(parts)}"} if first._resumes else {})}
            group = groups.setdefault(_dump([command, first._alone and filter_]), (command, [], []))
            group[1].extend(those)
            group[2].append(filter_)
            self._busy.add(filter_)
        for command, those, filters in groups.values():
            for one in those:
                one._ask(self.epoch)
            self._ask({"op": "subscribe", "filter": filters if len(filters) > 1 else filters[0], **command},
                      then=lambda answer, those=those, filters=filters: self._answered(answer, those, filters))

    def _answered(self, answer, those, filters):
        if not isinstance(answer, BrokerError):
            parts = _parts(answer)
            # As many as the broker has logs.
            self._parts = (self._parts + [0] * len(parts))[:len(parts)]
            for one in those:
                one._begun(parts)
            return
        if answer.code in ("unknown", "closed"):
            return
        self._busy.difference_update(filters)
        for one in those:
            # One of several filters was refused: each is requested alone.
            one._alone, one._state = True, "idle"
            if answer.code not in LATER and len(filters) == 1:
                one._end(answer)
        if answer.code in LATER:
            self._loop.call_later(1, self._subscribe)
        else:
            self._subscribe()

    def _leave(self, filter_):
        if self.status == "open" and filter_ not in self._busy and not self._of(filter_):
            self._send(_dump({"op": "unsubscribe", "id": 0, "filter": filter_}))


def _parts(members):
    """A position: the newest number of each partition. A broker has one, unless its cluster has several."""
    position = members.get("position")
    return [int(part.split(":")[1]) for part in position.split("-")[-1].split(",")] if position else [members["seq"]]


def _newest(parts, others):
    return [max(seq, others[place]) if place < len(others) else seq for place, seq in enumerate(parts)]


def _text(parts):
    return ",".join(f"{place}:{seq}" for place, seq in enumerate(parts)) if len(parts) > 1 else str(parts[0])


def _gap(members):
    since = members["since"]
    since = max(_parts({"position": since})) if isinstance(since, str) else since
    return Gap(members["filter"], since, max(_parts(members)), members.get("missed"), members.get("undone", False),
               members.get("position"))


class Subscription:
    """Messages of one filter, for a callback or as an async iterable; `await ready` until its first values have arrived."""

    def __init__(self, client, filter_, callback, ongap, onerror, queue, options, fresh=False):
        self.filter, self.error = filter_, None
        self._client, self._callback, self._ongap, self._onerror, self._options = client, callback, ongap, onerror, options
        # What JSON cannot hold is refused here, before the subscription is one of those that are requested together.
        _dump(options)
        self._levels, self._fresh = filter_.split("/"), fresh
        # idle, asked, begun (the snapshot arrives), live
        self._state, self._parts, self._epoch, self._resumes, self._alone = "idle", [0], 0, False, False
        self._floor, self._seen = [0], {}
        self._maximum, self._waiting, self._dropped = queue, collections.deque(), None
        self._wake, self._is_over = asyncio.Event(), False
        self.ready = asyncio.get_running_loop().create_future()

    def close(self):
        self._end(None)

    async def __aiter__(self):
        try:
            while True:
                if self._dropped:
                    gap, self._dropped = self._dropped, None
                    _call(self._ongap, gap)
                elif self._waiting:
                    item = self._waiting.popleft()
                    if isinstance(item, Gap):
                        _call(self._ongap, item)
                    else:
                        yield item
                elif self.error:
                    raise self.error
                elif self._is_over:
                    return
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            self.close()

    # Its states

    def _ask(self, epoch):
        self._state = "asked"
        if self._epoch != epoch:
            self._parts = [0] * len(self._parts)
        self._epoch, self._seen = epoch, {}
        self._floor = list(self._parts) if self._resumes else [0] * len(self._parts)
        self._began()

    def _began(self):
        """For subclasses that start over each time."""

    def _begun(self, parts):
        if self._state == "asked":
            self._state = "begun"
        if len(self._parts) != len(parts) or (len(parts) == 1 and parts[0] < self._parts[0]):
            # The position is useless for a store that was set back.
            self._parts, self._floor = [0] * len(parts), [0] * len(parts)
        if not self._resumes and "since" not in self._options:
            self._parts = list(parts)

    def _now_live(self, parts):
        if self._state != "begun":
            return
        self._state, self._parts, self._seen = "live", _newest(parts, self._parts), {}
        self._resumes = not self._fresh
        if not self.ready.done():
            self.ready.set_result(None)

    def _lost(self, parts, epoch):
        if self._state == "live":
            self._parts = _newest(parts, self._parts)
        elif self._state == "begun" and "since" in self._options and self._parts[0] and len(parts) == 1:
            # An interrupted history resumes at its position; of several partitions it begins again, without what has come.
            self._resumes = True
        self._state, self._epoch = "idle", epoch

    def _message(self, message):
        if self._state not in ("live", "begun") or not _matches(self._levels, message.topic):
            return
        place = message.seq % len(self._parts)
        if message.retained:
            if self._state == "live" or message.seq <= self._floor[place] or self._seen.get(message.topic) == message.seq:
                return
            self._seen[message.topic] = message.seq
        elif not message.topic.startswith("$"):
            if message.seq <= self._parts[place]:
                return
            self._parts[place] = message.seq
        if self._callback:
            _call(self._callback, message)
        else:
            self._push(message)

    def _gap(self, gap):
        parts = _parts({"seq": gap.seq, "position": gap.position})
        if self._state == "idle" or all(seq <= known for seq, known in zip(parts, self._parts)):
            return
        self._parts = _newest(parts, self._parts)
        if gap.undone:
            self._floor, self._seen = [0] * len(parts), {}
        if self._callback:
            _call(self._ongap, gap)
        else:
            self._push(gap)

    def _push(self, item):
        self._waiting.append(item)
        if len(self._waiting) > self._maximum:
            old = self._waiting.popleft()
            if not isinstance(old, Gap):
                old = Gap(self.filter, old.seq - 1, old.seq, 1)
            lost = self._dropped or Gap(self.filter, math.inf, 0, 0)
            missed = None if lost.missed is None or old.missed is None else lost.missed + old.missed
            self._dropped = Gap(self.filter, min(lost.since, old.since), max(lost.seq, old.seq), missed)
        self._wake.set()

    def _end(self, error):
        if self._is_over:
            return
        self._is_over, self.error = True, error
        client = self._client
        if self in client._listeners:
            client._listeners.remove(self)
            client._leave(self.filter)
            client._subscribe()
        if not self.ready.done():
            self.ready.set_exception(error or BrokerError("closed", "The subscription has ended."))
            self.ready.exception()
        if error:
            _call(self._onerror, error)
        self._wake.set()


class Values(dict):
    """The retained values of a filter, by topic; `await ready` until the present ones have arrived. Made by `Client.values`."""

    def __init__(self, client, filter_, changed, options):
        super().__init__()
        self._changed, self._shown = changed, set()
        values = self

        class Source(Subscription):
            def _began(self):
                values._shown = set()

            def _now_live(self, parts):
                is_first = self._state == "begun"
                super()._now_live(parts)
                if is_first:
                    values._settle()

        ongap, onerror = options.pop("ongap", None), options.pop("onerror", None)
        self._source = Source(client, filter_, self._take, ongap, onerror, 0, options, fresh=True)
        self.ready, self.close = self._source.ready, self._source.close
        client._listeners.append(self._source)
        client._subscribe()

    def _take(self, message):
        if message.removed:
            self.pop(message.topic, None)
        elif message.retained or message.retain:
            self[message.topic] = message.data
        else:
            return
        if self._source._state == "live":
            _call(self._changed, self, message)
        else:
            self._shown.add(message.topic)

    def _settle(self):
        for topic in [topic for topic in self if topic not in self._shown]:
            del self[topic]
        _call(self._changed, self, None)


class Presence:
    """A value that lives as long as its client's connection. Made by `Client.presence`."""

    def __init__(self, client, topic, data, options):
        self._client, self._topic, self._options = client, topic, options
        # The number of the value, and how many publications have no answer yet.
        self._seq, self._unanswered, self._is_over = None, 0, False
        self._set(data)

    def update(self, data):
        self._set(data)
        self._show()

    def close(self):
        """Removes the value, unless it is no longer this one: another client may have replaced it."""
        if self in self._client._presences:
            self._client._presences.remove(self)
        self._is_over = True
        self._remove()

    def _set(self, data):
        # Also while there is no connection, an error of the caller is told at once.
        _dump({**_encode(data), **self._options})
        self._data = data

    def _show(self):
        if self._client.status == "open":
            answer = self._client.publish(self._topic, self._data, ephemeral=True, **self._options)
            self._unanswered += 1
            answer.add_done_callback(self._shown)

    def _shown(self, answer):
        self._unanswered -= 1
        error = answer.exception()
        if error is None:
            self._seq = answer.result()["seq"]
        elif error.code not in ("unknown", "closed"):
            log.warning("the presence at %s was refused: %s", self._topic, error)
        self._remove()

    def _remove(self):
        if self._is_over and self._seq and not self._unanswered and self._client.status == "open":
            self._client.publish(self._topic, "", ephemeral=True, ifSeq=self._seq)
            self._seq = None


def _call(function, *arguments):
    """Calls a callback, whose errors must not stop the others."""
    if function is None:
        return
    try:
        function(*arguments)
    except Exception:  # an error of the application, reported in its log
        log.exception("in a callback of the broker's client")
