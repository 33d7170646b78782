"""docs/protocol.md, example by example, as it is written."""

import re

import pytest

from command_line import REPOSITORY
from protocol_page import Open, Receive, Request, Send, examples, pattern
from raw_websocket import BINARY, CLOSE, TEXT

PAGE = (REPOSITORY / "docs/protocol.md").read_text()
EXAMPLES = examples(PAGE)
# The broker's own figures take numbers, and the page counts its own.
QUIET = "system_topics: { interval: 0 }\n"


class Play:
    """Plays one example. `connection` is the one that sends and receives: a WebSocket or a stream."""

    def __init__(self, broker):
        self.broker = broker
        self.connection = None
        self.epoch = None
        self.inbox = ""

    def step(self, step):
        if isinstance(step, Open):
            self.connection = self.broker.websocket(step.path, [step.subprotocol] if step.subprotocol else [])
            if step.subprotocol:
                self.receive()
        elif isinstance(step, Request):
            self.request(step)
        elif isinstance(step, Send):
            kind, _, rest = step.text.partition(" ")
            if kind == "binary":
                self.connection.send_binary(bytes.fromhex(rest))
            else:
                self.connection.send_text(step.text.replace("EPOCH", str(self.epoch)).replace("INBOX", self.inbox))
        elif isinstance(step, Receive):
            self.expect(step.text, self.receive())

    def request(self, step):
        if step.is_stream:
            answer = self.connection = self.broker.follow_path(step.path, dict(step.fields))
        else:
            answer = self.broker.http(step.method, step.path, body=step.body or None, headers=dict(step.fields))
        assert answer.status == step.status, (step, answer)
        for name, value in step.answered_fields:
            assert answer.headers[name] == value, (name, answer.headers[name])
        if step.answer is not None:
            self.expect(step.answer, answer.body.decode().removesuffix("\n"))

    def receive(self):
        if not hasattr(self.connection, "receive_frame"):
            line = self.connection.line()
            return "END" if line is None else line
        _, opcode, payload = self.connection.receive_frame()
        if opcode == CLOSE:
            code, reason = self.connection.close_frame
            return f"CLOSE {code} {reason}"
        assert opcode in (TEXT, BINARY), opcode
        return f"binary {payload.hex()}" if opcode == BINARY else payload.decode()

    def expect(self, shown, received):
        assert re.fullmatch(pattern(shown), received), f"the page shows {shown}\nthe broker says {received}"
        if inbox := re.search(r'"replyTo":"(\$inbox/[^"]*)"', received):
            self.inbox = inbox[1]
        epoch = re.search(r'"epoch":([0-9]+)|^id: ([0-9]+)-', received)
        if epoch:
            value = epoch[1] or epoch[2]
            assert self.epoch in (None, value), "there is one epoch in an example"
            self.epoch = value


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line {example.line}")
def test_every_example_is_what_happens(start_broker, example):
    play = Play(start_broker(QUIET + example.configuration))
    for step in example.steps:
        play.step(step)


def test_the_examples_are_found():
    assert len(EXAMPLES) == PAGE.count("```example")
    assert sum(len(example.steps) for example in EXAMPLES) > 60


def test_every_link_within_the_page_resolves():
    slug = lambda title: re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    titles = {slug(title) for title in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= titles
