"""The examples of docs/protocol.md, read as steps.

A fenced block `example` holds what one or several clients do, in order:

    WebSocket /path [SUBPROTOCOL]   opens a WebSocket; one with a subprotocol is welcomed unseen
    METHOD /path, fields, body      a request, then the answer that is expected: `HTTP/1.1 STATUS …`, fields, body
    → TEXT  or  → binary HEX        the client sends on its open connection
    ← TEXT  or  ← binary HEX        it receives: a frame, or a line of a stream that a request has opened
    ← CLOSE CODE REASON             the WebSocket is closed
    ← END                           the stream ends

A block `yaml` before it is the broker's configuration.
"""

import dataclasses
import re

PLACEHOLDERS = {
    "INBOX": r"\$inbox/[0-9a-z]+/[0-9a-z]+", "TIME": r"[0-9]{13}", "EPOCH": r"[0-9]+", "CLIENT": r"[0-9a-z]+", "VERSION": r"[0-9]+\.[0-9]+\.[0-9]+[-+.0-9a-z]*",
}
_PLACEHOLDER = re.compile(rf"\b({'|'.join(PLACEHOLDERS)})\b")
_REQUEST = re.compile(r"(GET|HEAD|POST|PUT|DELETE|OPTIONS) (/\S*)$")
_STATUS = re.compile(r"HTTP/1\.1 ([0-9]{3})")


@dataclasses.dataclass
class Open:
    path: str
    subprotocol: str = ""


@dataclasses.dataclass
class Send:
    text: str


@dataclasses.dataclass
class Receive:
    text: str


@dataclasses.dataclass
class Request:
    method: str
    path: str
    fields: list
    body: str
    status: int = 0
    answered_fields: list = dataclasses.field(default_factory=list)
    answer: str | None = None
    # Whether lines of its answer are received one by one.
    is_stream: bool = False


@dataclasses.dataclass
class Example:
    line: int
    configuration: str
    steps: list


def pattern(text):
    """A regular expression for `text` in which placeholders stand for their values."""
    parts = _PLACEHOLDER.split(text)
    return "".join(PLACEHOLDERS[part] if index % 2 else re.escape(part) for index, part in enumerate(parts))


def examples(page):
    found, configuration = [], ""
    for block in re.finditer(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        kind, text = block.groups()
        if kind == "yaml":
            configuration = text
        elif kind == "example":
            line = page[: block.start()].count("\n") + 2
            found.append(Example(line, configuration, _steps(text.splitlines())))
            configuration = ""
    return found


def _is_step(line):
    return line.startswith(("→", "←", "WebSocket ")) or _REQUEST.match(line) is not None


def _steps(lines):
    steps = []
    rest = list(lines)
    while rest:
        line = rest.pop(0)
        if not line.strip():
            continue
        if line.startswith("WebSocket "):
            steps.append(Open(*line.removeprefix("WebSocket ").split(" ")))
        elif line.startswith("→ "):
            steps.append(Send(line[2:]))
        elif line.startswith("←"):
            steps.append(Receive(line[2:]))
        else:
            request = _REQUEST.match(line)
            assert request, f"no step of an example: {line!r}"
            steps.append(_request(request, rest))
    for request, following in zip(steps, steps[1:]):
        if isinstance(request, Request) and isinstance(following, Receive) and request.path.startswith("/s/"):
            request.is_stream = True
    return steps


def _request(match, rest):
    fields = _until_empty(rest)
    body = []
    while not _STATUS.match(rest[0]):
        body.append(rest.pop(0))
    request = Request(*match.groups(), [line.split(": ", 1) for line in fields], "\n".join(body).strip("\n"))
    request.status = int(_STATUS.match(rest.pop(0))[1])
    request.answered_fields = [line.split(": ", 1) for line in _until_empty(rest)]
    if rest and not _is_step(rest[0]):
        request.answer = "\n".join(_until_empty(rest))
    return request


def _until_empty(rest):
    """Takes the lines up to the next empty one, and that."""
    taken = []
    while rest and (line := rest.pop(0)):
        taken.append(line)
    return taken
