"""Publishers for the crash rig: each knows its messages, which of them were acknowledged, and which may be stored afterwards."""

import base64
import http.client
import json
import random
import socket
import threading

from crash_model import Sent
from raw_websocket import RawWebSocket


class CrashWriter(threading.Thread):
    """One connection that publishes to its own topics until it breaks.

    Some topics hold a value, some keep messages, and some of those hold a value, too: both parts of one commit
    must be there together.
    """

    label = ""
    topic_names = ("0", "1", "2", "3", "4", "5", "log/0", "log/1", "log/2", "few/0", "few/1")

    def __init__(self, rig, number, seed):
        super().__init__(daemon=True)
        self.rig, self.random = rig, random.Random(seed)
        self.prefix = f"crash/{self.label}{number}"
        self.topics = [f"{self.prefix}/{name}" for name in self.topic_names]
        self.version = rig.versions.setdefault(self.prefix, 0)
        # Everything that was sent, in order. The first `acknowledged` are acknowledged as stored, with these numbers.
        self.sent = []
        self.acknowledged = 0
        self.seqs = []
        self.failure = None

    def next(self):
        """The next message, remembered as sent."""
        topic = self.random.choice(self.topics)
        return self.remember(topic, is_retained=topic.count("/") == 2 or self.random.random() < 0.4)

    def remember(self, topic, is_retained):
        self.version += 1
        self.sent.append(Sent(topic, self.version, is_retained))
        return self.sent[-1]

    def confirm(self, seq, is_stored):
        """Records that the oldest unacknowledged message is acknowledged."""
        assert is_stored is True, "acknowledged without being stored"
        self.seqs.append(seq)
        self.acknowledged += 1

    def run(self):
        try:
            self.work()
        except (OSError, http.client.HTTPException, ValueError, EOFError):
            pass  # the broker was killed
        except Exception as failure:
            if not self.rig.is_killed:
                self.failure = failure
            elif type(failure).__name__ != "ConnectionEnded":
                self.failure = failure
        self.rig.versions[self.prefix] = self.version

    def check(self, before, found):
        """Compares what is `found` after the crash with what was there `before`; returns the error, or None.

        It must be what was there before, plus the first messages, at least all acknowledged ones.
        """
        if self.failure is not None:
            return f"{self.prefix}: {type(self.failure).__name__} {self.failure}"
        if self.seqs != sorted(set(self.seqs)):
            return f"{self.prefix}: seq fell or came twice: {self.seqs}"
        model, found = before.part(self.topics), found.part(self.topics)
        for sent, seq in zip(self.sent, self.seqs):
            model.add(sent, seq)
        first = model.difference(found)
        if first is None:
            return None
        for sent in self.sent[self.acknowledged:]:
            model.add(sent, None)
            if model.difference(found) is None:
                return None
        return (f"{self.prefix}: after {self.acknowledged} acknowledged of {len(self.sent)} messages nothing that could "
                f"be is there; with only those: {first}")


class HTTPWriter(CrashWriter):
    """PUT with `ack=stored`, one after the other; every other one binary."""

    label = "http"

    def work(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.rig.broker.port, timeout=60)
        while True:
            sent = self.next()
            headers = {"Content-Type": "application/octet-stream"} if sent.version % 2 else {}
            query = "retain&ack=stored" if sent.is_retained else "ack=stored"
            connection.request("PUT", f"/t/{sent.topic}?{query}", body=sent.payload, headers=headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert response.status == 200, answer
            self.confirm(answer["seq"], answer["stored"])


class JSONWriter(CrashWriter):
    """`broker.v1.json` with many publications under way."""

    label = "json"
    path = "/ws"
    window = 24

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.rig.broker.port), timeout=60)
        return RawWebSocket(plain, "127.0.0.1", "/ws")

    def request(self, sent):
        request = {"op": "publish", "id": sent.version, "topic": sent.topic, "retain": sent.is_retained,
                   "ack": "stored"}
        if sent.version % 3 == 0:
            return request | {"data": base64.b64encode(sent.payload).decode(), "encoding": "base64"}
        return request | {"data": sent.payload.decode()}

    def work(self):
        websocket = self.connect()
        while True:
            lines = []
            while len(self.sent) - self.acknowledged < self.window:
                lines.append(json.dumps(self.request(self.next())))
            if lines:
                websocket.send_text("\n".join(lines))
            for line in websocket.receive_message(60)[1].decode().splitlines():
                answer = json.loads(line)
                assert answer["op"] in ("ok", "welcome"), answer
                if answer["op"] == "ok":
                    assert answer["id"] == self.sent[self.acknowledged].version, "acknowledged out of order"
                    self.confirm(answer["seq"], answer["stored"])


class AdminWriter(JSONWriter):
    """Publishes over the admin socket, one at a time."""

    label = "admin"
    window = 1

    def connect(self):
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(60)
        plain.connect(str(self.rig.broker.admin_socket))
        return RawWebSocket(plain, "localhost", "/ws")


class TopicSocketWriter(CrashWriter):
    """A topic socket acknowledges nothing; what is stored must still be whole, and in order."""

    label = "topic"

    def work(self):
        topic = self.random.choice(self.topics)
        is_retained = topic.count("/") == 2 or self.random.random() < 0.5
        plain = socket.create_connection(("127.0.0.1", self.rig.broker.port), timeout=60)
        query = "retain&snapshot=false" if is_retained else "snapshot=false"
        websocket = RawWebSocket(plain, "127.0.0.1", f"/t/{topic}?{query}")
        while True:
            for _ in range(4):
                websocket.send_binary(self.remember(topic, is_retained).payload)
            for _ in range(4):
                websocket.receive_message(60)


WRITERS = (HTTPWriter, JSONWriter, AdminWriter, TopicSocketWriter)
