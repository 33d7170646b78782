"""Group 7: the closing handshake. RFC 6455 §5.5.1, §7."""

from case import Answered, Case, Failed, Message, WeClose, close, continuation, ping, send, text
from raw_websocket import TEXT
from text_cases import SURROGATE

HELLO = b"Hello World!"
VALID_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
INVALID_CODES = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999]


def closing(number, about, *frames, codes=(1000,)):
    return Case(number, about, (send(*frames),), (), Answered(codes))


def order():
    yield Case("7.1.1", "a message, then a close", (send(text(HELLO)),), (Message(TEXT, HELLO),), WeClose())
    yield closing("7.1.2", "two closes", close(1000), close())
    yield closing("7.1.3", "a ping after the close", close(1000), ping())
    yield closing("7.1.4", "a message after the close", close(1000), text(HELLO))
    yield closing(
        "7.1.5", "a close inside a fragmented message", text(b"fragment1", final=False), close(1000),
        continuation(b"fragment2"))
    # Whether the messages are answered before the close is left open; what comes must be right.
    large = (b"BAsd7&jh23" * 26215)[:256 * 1024]
    yield Case(
        "7.1.6", "a long message, a short one, a close, a ping",
        (send(text(large), text(HELLO), close(1000), ping()),), (Message(TEXT, large), Message(TEXT, HELLO)),
        Answered((1000,)), answers_optional=True)


def bodies():
    yield closing("7.3.1", "no body", close(), codes=(None, 1000))
    yield Case("7.3.2", "a body of one byte", (send(close(None, b"a")),), (), Failed(1002))
    yield closing("7.3.3", "a code", close(1000))
    yield closing("7.3.4", "a code and a reason", close(1000, HELLO))
    yield closing("7.3.5", "the longest reason", close(1000, b"*" * 123))
    yield Case("7.3.6", "a reason too long", (send(close(1000, b"*" * 124)),), (), Failed(1002))
    yield Case("7.5.1", "a reason that is not UTF-8", (send(close(1000, SURROGATE)),), (), Failed(1007))


def codes():
    for index, code in enumerate(VALID_CODES, 1):
        yield closing(f"7.7.{index}", f"code {code}", close(code), codes=(code,))
    for index, code in enumerate(INVALID_CODES, 1):
        yield Case(f"7.9.{index}", f"code {code}", (send(close(code)),), (), Failed(1002))
    # The RFC leaves these codes undefined; undefined codes are refused.
    for index, code in enumerate([5000, 65535], 1):
        yield Case(f"7.13.{index}", f"code {code}", (send(close(code)),), (), Failed(1002))


CASES = [*order(), *bodies(), *codes()]
