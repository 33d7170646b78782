"""Readers for the crash rig: read the stored messages over every endpoint, and check that a resuming client gets everything it should."""

import base64
import json
from typing import NamedTuple

ANSWER = 30


class Failed(Exception):
    """The broker broke a promise; the text says which."""


class Message(NamedTuple):
    seq: int
    topic: str
    payload: bytes


def decode(message):
    # A removal has none.
    data = message.get("data", "")
    payload = base64.b64decode(data) if message.get("encoding") == "base64" else data.encode()
    return Message(message["seq"], message["topic"], payload)


def read_values(broker):
    """All retained values: {topic: (payload, seq)}."""
    answer = broker.http("GET", "/s/crash/%23?poll=1", headers={"Accept": "application/x-ndjson"}, timeout=ANSWER)
    if answer.status != 200:
        raise Failed(f"the values cannot be read: {answer}")
    found = {}
    for line in answer.body.splitlines():
        received = json.loads(line)
        if "topic" not in received:
            continue
        message = decode(received)
        if message.topic in found:
            raise Failed(f"{message.topic} is there twice")
        found[message.topic] = (message.payload, message.seq)
    return found


class Resumption:
    """A client that returns with a position: what it received up to the `live` marker."""

    WAYS = ("lines", "events", "json", "socket")

    def __init__(self, broker, epoch, filter_, since, way):
        self.filter, self.since, self.way = filter_, since, way
        self.messages, self.gaps, self.values = [], [], []
        receive, close = getattr(self, f"_receive_from_{way}")(broker, epoch)
        while True:
            received = receive()
            if received is None:
                raise Failed(f"{self}: the stream ended")
            if received.get("retained"):
                self.values.append(decode(received))
            elif "topic" in received:
                self.messages.append(decode(received))
            elif received["op"] == "gap":
                self.gaps.append(received)
            elif received["op"] == "live":
                self.position = received["seq"]
                break
        close()
        self._check_order()

    def __str__(self):
        return f"{self.filter} since {self.since} by {self.way}"

    def _receive_from_lines(self, broker, epoch):
        follower = broker.follow(self.filter, f"since={self.since}", timeout=ANSWER)
        return follower.json, follower.close

    def _receive_from_events(self, broker, epoch):
        headers = {"Accept": "text/event-stream", "Last-Event-ID": f"{epoch}-{self.since}"}
        follower = broker.follow(self.filter, "since=0", headers, timeout=ANSWER)
        return lambda: (event := follower.event()) and json.loads(event["data"]), follower.close

    def _receive_from_json(self, broker, epoch):
        session = broker.session()
        session.send(op="subscribe", filter=self.filter, since=f"{epoch}-{self.since}")
        return session.receive, session.close

    def _receive_from_socket(self, broker, epoch):
        socket = broker.subscription_socket(self.filter, f"since={self.since}")
        return lambda: json.loads(socket.receive_text()), socket.close

    def _check_order(self):
        seqs = [message.seq for message in self.messages]
        if seqs != sorted(set(seqs)):
            raise Failed(f"{self}: out of order or doubled: {seqs}")
        if seqs and (seqs[0] <= self.since or seqs[-1] > self.position):
            raise Failed(f"{self}: not after the position and before the marker at {self.position}: {seqs}")

    def check(self, everything, acknowledged):
        """Raises unless it received exactly the kept messages, and a gap for all acknowledged ones that are not kept.

        `everything` is what is kept, in order; `acknowledged` is {seq: (topic, payload)}.
        """
        wanted = [Message(*message) for message in everything if message[0] > self.since and self._matches(message[1])]
        if self.messages != wanted:
            seqs = [[message.seq for message in messages] for messages in (wanted, self.messages)]
            raise Failed(f"{self}: expected {seqs[0]}, found {seqs[1]}")
        brought = {message.seq for message in self.messages}
        missing = [seq for seq, (topic, _) in acknowledged.items()
                   if seq > self.since and self._matches(topic) and seq not in brought]
        for seq in missing:
            if not any(gap["since"] < seq <= gap["seq"] for gap in self.gaps):
                raise Failed(f"{self}: {seq} is not kept any more, and no gap says so: {self.gaps}")
        for gap in self.gaps:
            least = sum(gap["since"] < seq <= gap["seq"] for seq in missing)
            if gap["filter"] != self.filter or gap.get("missed", least) < least:
                raise Failed(f"{self}: {least} or more are missing, the gap is {gap}")

    def _matches(self, topic):
        wanted, levels = self.filter.split("/"), topic.split("/")
        if wanted[-1] == "#":
            wanted, levels = wanted[:-1], levels[:len(wanted) - 1]
        return len(wanted) == len(levels) and all(want in ("+", level) for want, level in zip(wanted, levels))
