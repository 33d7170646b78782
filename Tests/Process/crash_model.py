"""The messages that the publishers of the crash rig send, and those that must be stored."""

import hashlib
from functools import cached_property

# How many messages the rules keep of a topic `crash/PUBLISHER/KIND/…`. So few that most are pushed out again.
KEPT = {"log": 30, "few": 4}
CONFIG = "history:\n" + "".join(
    f'  - {{ filter: "crash/+/{kind}/#", messages: {count} }}\n' for kind, count in KEPT.items())

# Small messages, one that fills a page, and some that need several pages.
SIZES = (10, 60, 300, 1500, 3000, 9000, 30000)


def payload(topic, version):
    """The payload of version `version` of `topic`; empty for a removal, if it is retained."""
    digest = hashlib.sha256(f"{topic} {version}".encode()).hexdigest()
    if int(digest[:2], 16) < 24:
        return b""
    size = SIZES[int(digest[2:4], 16) % len(SIZES)]
    head = f"{version} {topic} "
    return (head + digest * (size // len(digest) + 1)).encode()[:max(size, len(head))]


def kept(topic):
    """How many of its messages are kept; 0 for none."""
    levels = topic.split("/")
    return KEPT.get(levels[2], 0) if len(levels) == 4 else 0


class Sent:
    """One message that was sent."""

    def __init__(self, topic, version, is_retained):
        self.topic, self.version, self.is_retained = topic, version, is_retained

    @cached_property
    def payload(self):
        return payload(self.topic, self.version)


class Stored:
    """The stored messages, or those that should be; each is (payload, seq), with None if the seq is not known."""

    def __init__(self, values=None, history=None):
        # {topic: message}, and {topic: [message, …]} from the oldest to the newest.
        self.values, self.history = values or {}, history or {}

    @property
    def topics(self):
        return self.values.keys() | self.history.keys()

    @property
    def seqs(self):
        yield from (seq for _, seq in self.values.values())
        yield from (seq for messages in self.history.values() for _, seq in messages)

    def part(self, topics):
        """A copy with only these topics."""
        return Stored({topic: self.values[topic] for topic in topics if topic in self.values},
                      {topic: list(self.history[topic]) for topic in topics if topic in self.history})

    def add(self, sent, seq):
        """Stores a message as the broker should."""
        if sent.is_retained and sent.payload:
            self.values[sent.topic] = (sent.payload, seq)
        elif sent.is_retained:
            self.values.pop(sent.topic, None)
        if count := kept(sent.topic):
            self.history[sent.topic] = (self.history.get(sent.topic, []) + [(sent.payload, seq)])[-count:]

    def difference(self, found):
        """The first known difference of `found`, as a sentence, or None."""
        for topic in sorted(self.topics | found.topics):
            for what, mine, theirs in (
                    ("value", [self.values.get(topic)], [found.values.get(topic)]),
                    ("history", self.history.get(topic, []), found.history.get(topic, []))):
                if len(mine) != len(theirs) or not all(map(is_same, mine, theirs)):
                    return f"{topic}, {what}: expected {show(mine)}, found {show(theirs)}"
        return None


def is_same(expected, found):
    if expected is None or found is None:
        return expected is found
    return expected[0] == found[0] and expected[1] in (None, found[1])


def show(messages):
    return [message and (message[0][:40], len(message[0]), message[1]) for message in messages]
