"""What a case is: frames to send, answers that must come in this order and no others, and how the connection must end.

The cases have the numbers of the Autobahn test suite, so that a verdict here can be looked up there. They are written from
RFC 6455 and RFC 7692. Both roles play the same case: only the masks differ.
"""

from dataclasses import dataclass
from typing import Union

from raw_websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

HELLO = b"Hello, world!"


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes = b""
    final: bool = True
    reserved: int = 0


# Steps


@dataclass(frozen=True)
class Send:
    """Frames in one write; with `chop` in writes of so many bytes, with `apart` each in a separate write."""

    frames: tuple
    chop: int = 0
    apart: bool = False


@dataclass(frozen=True)
class Part:
    """The bytes of one frame whose payload is from `start` to `end`, with the header before the first."""

    frame: Frame
    start: int
    end: int


@dataclass(frozen=True)
class Quiet:
    """Nothing arrives for a while: the bytes sent so far are no reason to fail."""

    seconds: float = 0.1


# Answers


@dataclass(frozen=True)
class Message:
    opcode: int
    payload: bytes


@dataclass(frozen=True)
class Pong:
    payload: bytes


# Ends


@dataclass(frozen=True)
class WeClose:
    """After the answers we send CLOSE 1000, which is answered in kind."""


@dataclass(frozen=True)
class Answered:
    """The steps have sent a CLOSE: its answer has one of `codes`, where None is a CLOSE without a body."""

    codes: tuple


@dataclass(frozen=True)
class Failed:
    """What was sent is a violation: the peer sends a CLOSE with this code."""

    code: int


@dataclass(frozen=True)
class Case:
    number: str
    about: str
    steps: tuple
    answers: tuple
    end: Union[WeClose, Answered, Failed]
    # Whether the last answers may be missing, where the RFC leaves it open.
    answers_optional: bool = False


def text(payload, **options):
    return Frame(TEXT, payload, **options)


def binary(payload, **options):
    return Frame(BINARY, payload, **options)


def continuation(payload, **options):
    return Frame(CONTINUATION, payload, **options)


def ping(payload=b"", **options):
    return Frame(PING, payload, **options)


def pong(payload=b"", **options):
    return Frame(PONG, payload, **options)


def close(code=None, reason=b"", **options):
    return Frame(CLOSE, (b"" if code is None else code.to_bytes(2, "big")) + reason, **options)


def fragments(opcode, payload, size):
    """A message in frames of `size` bytes each, at least one."""
    pieces = [payload[start:start + size] for start in range(0, len(payload), size)] or [b""]
    last = len(pieces) - 1
    return tuple(
        Frame(opcode if index == 0 else CONTINUATION, piece, final=index == last) for index, piece in enumerate(pieces))


def send(*frames, **options):
    return Send(frames, **options)


def echoed(number, about, *frames, message=None, chop=0, apart=False):
    """Frames of one message, which must be echoed."""
    opcode = frames[0].opcode
    payload = b"".join(frame.payload for frame in frames) if message is None else message
    return Case(number, about, (Send(frames, chop, apart),), (Message(opcode, payload),), WeClose())


def failing(number, about, *frames, code=1002, answers=(), chop=0, apart=False):
    """Frames of which one is a violation."""
    return Case(number, about, (Send(frames, chop, apart),), tuple(answers), Failed(code))
