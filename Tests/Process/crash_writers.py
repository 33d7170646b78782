"""Publishers for the crash rig: each knows what it sent, what was acknowledged, and what may be there afterwards."""

import base64
import hashlib
import http.client
import json
import random
import socket
import threading

from raw_websocket import RawWebSocket

# Small ones, one that fills a page, and some that take pages of their own.
SIZES = (10, 60, 300, 1500, 3000, 9000, 30000)


def payload(topic, version):
    """What version `version` of `topic` is, byte for byte; empty: a removal."""
    digest = hashlib.sha256(f"{topic} {version}".encode()).hexdigest()
    if int(digest[:2], 16) < 24:
        return b""
    size = SIZES[int(digest[2:4], 16) % len(SIZES)]
    head = f"{version} {topic} "
    return (head + digest * (size // len(digest) + 1)).encode()[:max(size, len(head))]


class CrashWriter(threading.Thread):
    """One connection that publishes retained values to topics nobody else publishes to, until it breaks."""

    label = ""
    is_acknowledged = True

    def __init__(self, rig, number, seed):
        super().__init__(daemon=True)
        self.rig, self.random = rig, random.Random(seed)
        self.prefix = f"crash/{self.label}{number}"
        self.topics = [f"{self.prefix}/{index}" for index in range(self.topic_count)]
        self.version = rig.versions.setdefault(self.prefix, 0)
        # All that was sent, in order: (topic, version). The first `acknowledged` are acknowledged as stored.
        self.sent = []
        self.acknowledged = 0
        self.seqs = []
        self.failure = None

    topic_count = 12

    def next(self):
        self.version += 1
        topic = self.random.choice(self.topics)
        self.sent.append((topic, self.version))
        return topic, payload(topic, self.version)

    def confirm(self, seq, is_stored):
        """The oldest message that was not acknowledged is now."""
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

    # What may be there

    def check(self, before, after):
        """Says what is wrong with the values `after` the crash, given those `before`: {topic: (version, seq)}."""
        if self.failure is not None:
            return f"{self.prefix}: {type(self.failure).__name__} {self.failure}"
        if self.seqs != sorted(set(self.seqs)):
            return f"{self.prefix}: seq fell or came twice: {self.seqs}"
        state = {topic: version for topic, (version, _) in before.items()}
        found = {topic: version for topic, (version, _) in after.items()}
        for count, (topic, version) in enumerate(self.sent, 1):
            if payload(topic, version):
                state[topic] = version
            else:
                state.pop(topic, None)
            if count == self.acknowledged and self._has_wrong_seq(after):
                return self._has_wrong_seq(after)
            if count >= self.acknowledged and state == found:
                return None
        if not self.sent and state == found or self.acknowledged == 0 and found == {
                topic: version for topic, (version, _) in before.items()}:
            return None
        return (f"{self.prefix}: after {self.acknowledged} acknowledged of {len(self.sent)} messages no state that "
                f"could be is there: found {found}, sent {self.sent[max(0, self.acknowledged - 5):]}")

    def _has_wrong_seq(self, after):
        known = {(topic, version): seq for (topic, version), seq in zip(self.sent, self.seqs)}
        for topic, (version, seq) in after.items():
            if known.get((topic, version), seq) != seq:
                return f"{topic}: acknowledged with seq {known[topic, version]}, stored with {seq}"
        return None


class HTTPWriter(CrashWriter):
    """PUT with `ack=stored`, one after the other; every other one binary."""

    label = "http"

    def work(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.rig.broker.port, timeout=10)
        while True:
            topic, body = self.next()
            headers = {"Content-Type": "application/octet-stream"} if self.version % 2 else {}
            connection.request("PUT", f"/t/{topic}?retain&ack=stored", body=body, headers=headers)
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
        plain = socket.create_connection(("127.0.0.1", self.rig.broker.port), timeout=10)
        return RawWebSocket(plain, "127.0.0.1", "/ws")

    def request(self, topic, body):
        request = {"op": "publish", "id": self.version, "topic": topic, "retain": True, "ack": "stored"}
        if self.version % 3 == 0:
            return request | {"data": base64.b64encode(body).decode(), "encoding": "base64"}
        return request | {"data": body.decode()}

    def work(self):
        websocket = self.connect()
        while True:
            lines = []
            while len(self.sent) - self.acknowledged < self.window:
                lines.append(json.dumps(self.request(*self.next())))
            if lines:
                websocket.send_text("\n".join(lines))
            for line in websocket.receive_message(10)[1].decode().splitlines():
                answer = json.loads(line)
                assert answer["op"] in ("ok", "welcome"), answer
                if answer["op"] == "ok":
                    assert answer["id"] == self.sent[self.acknowledged][1], "acknowledged out of order"
                    self.confirm(answer["seq"], answer["stored"])


class AdminWriter(JSONWriter):
    """The same over the administration socket, one at a time."""

    label = "admin"
    window = 1

    def connect(self):
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(10)
        plain.connect(str(self.rig.broker.admin_socket))
        return RawWebSocket(plain, "localhost", "/ws")


class TopicSocketWriter(CrashWriter):
    """A topic socket acknowledges nothing; what is stored must still be whole, and in order."""

    label = "topic"
    topic_count = 1

    def work(self):
        plain = socket.create_connection(("127.0.0.1", self.rig.broker.port), timeout=10)
        websocket = RawWebSocket(plain, "127.0.0.1", f"/t/{self.topics[0]}?retain&snapshot=false")
        while True:
            for _ in range(4):
                websocket.send_binary(self.next()[1])
            for _ in range(4):
                websocket.receive_message(10)


WRITERS = (HTTPWriter, JSONWriter, AdminWriter, TopicSocketWriter)
