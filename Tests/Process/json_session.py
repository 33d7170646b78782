"""`broker.v1.json` for tests."""

import json
import random

from deadlines import ANSWER_DEADLINE


class JSONSession:
    """`broker.v1.json` over one connection, one object at a time."""

    def __init__(self, websocket):
        self.websocket = websocket
        self.waiting = []
        self.welcome = self.receive()
        assert self.welcome["op"] == "welcome", self.welcome

    def send(self, **object_):
        self.websocket.send_text(json.dumps(object_))

    def receive(self, timeout=ANSWER_DEADLINE):
        """The next object, whether it came alone in its frame or with others."""
        while not self.waiting:
            opcode, payload = self.websocket.receive_message(timeout)
            assert opcode == 1, f"expected a text frame, got opcode {opcode}: {payload!r}"
            self.waiting = [json.loads(line) for line in payload.decode().splitlines() if line.strip()]
        return self.waiting.pop(0)

    def expect(self, op, **members):
        """The next object, which must have this `op` and these `members`."""
        received = self.receive()
        assert received["op"] == op, received
        for name, value in members.items():
            assert received.get(name) == value, received
        return received

    def request(self, **object_):
        """Sends with a new id and returns the answer; earlier messages are kept for later."""
        identifier = object_.setdefault("id", f"request {random.getrandbits(32)}")
        self.send(**object_)
        kept = []
        while True:
            received = self.receive()
            if received.get("id") == identifier:
                self.waiting = kept + self.waiting
                return received
            kept.append(received)

    def subscribe(self, filter_, **options):
        """Subscribes; returns the retained messages that came before the end marker."""
        filters = filter_ if isinstance(filter_, list) else [filter_]
        self.send(op="subscribe", id="subscribe", filter=filter_, **options)
        answered, live, retained = False, 0, []
        while not answered or live < len(filters):
            received = self.receive()
            if received["op"] == "ok" and received["id"] == "subscribe":
                answered = True
                if options.get("snapshot") is False:
                    break
            elif received["op"] == "live":
                live += 1
            else:
                assert received["op"] == "message", received
                retained.append(received)
        return retained

    def publish(self, topic, data, **options):
        answer = self.request(op="publish", topic=topic, data=data, **options)
        assert answer["op"] == "ok", answer
        return answer

    def synchronise(self):
        """Returns once everything accepted so far has arrived here; what arrived meanwhile is in `waiting`.

        Every subscriber sees what it matches in rising seq, so a message of our own, published now, comes last.
        """
        mark = f"$mark/{random.getrandbits(64)}"
        assert self.request(op="subscribe", filter=mark, snapshot=False)["op"] == "ok"
        self.publish(mark, "mark")
        kept = []
        while (received := self.receive()).get("topic") != mark:
            if received.get("filter") != mark:
                kept.append(received)
        assert self.request(op="unsubscribe", filter=mark)["op"] == "ok"
        self.waiting = kept + self.waiting

    def close(self):
        self.websocket.close()
