"""Groups 1 to 5: sizes, pings and pongs, reserved bits, opcodes, fragmentation. RFC 6455 §5."""

from case import (
    HELLO, Case, Frame, Message, Pong, Send, WeClose, binary, close, continuation, echoed, failing, ping, pong, send,
    text)
from raw_websocket import BINARY, TEXT

NOT_TEXT = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
SIZES = [(0, 0), (125, 0), (126, 0), (127, 0), (128, 0), (65535, 0), (65536, 0), (65536, 997)]


def sizes():
    for group, opcode, byte in [(1, TEXT, b"*"), (2, BINARY, b"\xfe")]:
        for index, (size, chop) in enumerate(SIZES, 1):
            yield echoed(
                f"1.{group}.{index}", f"{'text' if opcode == TEXT else 'binary'} of {size} bytes, chops of {chop}",
                Frame(opcode, byte * size), chop=chop)


def answered(number, about, *payloads, before=(), chop=0):
    """Pings, each of which gets its pong."""
    frames = tuple(before) + tuple(ping(payload) for payload in payloads)
    return Case(number, about, (Send(frames, chop),), tuple(Pong(payload) for payload in payloads), WeClose())


def pings():
    numbered = [b"payload-%d" % index for index in range(10)]
    yield answered("2.1", "ping without payload", b"")
    yield answered("2.2", "ping of text", HELLO)
    yield answered("2.3", "ping of bytes that are no text", NOT_TEXT)
    yield answered("2.4", "ping of 125 bytes", b"\xfe" * 125)
    yield failing("2.5", "ping of 126 bytes", ping(b"\xfe" * 126))
    yield answered("2.6", "ping of 125 bytes, byte by byte", b"\xfe" * 125, chop=1)
    yield Case("2.7", "pong nobody asked for", (send(pong()),), (), WeClose())
    yield Case("2.8", "pong nobody asked for, with payload", (send(pong(b"unsolicited")),), (), WeClose())
    yield answered("2.9", "pong nobody asked for, then a ping", b"ping payload", before=[pong(b"unsolicited")])
    yield answered("2.10", "ten pings", *numbered)
    yield answered("2.11", "ten pings, byte by byte", *numbered, chop=1)


def reserved():
    first = [Message(TEXT, HELLO)]
    yield failing("3.1", "text with RSV 1", text(HELLO, reserved=1))
    for number, bits, options in [("3.2", 2, {}), ("3.3", 3, {"apart": True}), ("3.4", 4, {"chop": 1})]:
        yield failing(
            number, f"text, then text with RSV {bits}, then a ping: {options}", text(HELLO), text(HELLO, reserved=bits),
            ping(), answers=first, **options)
    yield failing("3.5", "binary with RSV 5", binary(NOT_TEXT, reserved=5))
    yield failing("3.6", "ping with RSV 6", ping(HELLO, reserved=6))
    yield failing("3.7", "close with RSV 7", close(reserved=7))


def opcodes():
    for group, lowest in [(1, 3), (2, 11)]:
        yield failing(f"4.{group}.1", f"opcode {lowest}", Frame(lowest))
        yield failing(f"4.{group}.2", f"opcode {lowest + 1} with payload", Frame(lowest + 1, b"reserved opcode"))
        for index, payload, chop in [(3, b"", 0), (4, HELLO, 0), (5, HELLO, 1)]:
            opcode = lowest + index - 1
            yield failing(
                f"4.{group}.{index}", f"text, opcode {opcode}, ping, chops of {chop}", text(HELLO),
                Frame(opcode, payload), ping(), answers=[Message(TEXT, HELLO)], chop=chop)


WAYS = [{}, {"apart": True}, {"chop": 1}]


def fragmentation():
    one, two = b"fragment1", b"fragment2"
    yield failing("5.1", "ping in fragments", ping(one, final=False), continuation(two))
    yield failing("5.2", "pong in fragments", pong(one, final=False), continuation(two))
    for index, way in enumerate(WAYS):
        yield echoed(f"5.{3 + index}", f"text in two fragments: {way}", text(one, final=False), continuation(two), **way)
    for index, way in enumerate(WAYS):
        frames = (text(one, final=False), ping(b"ping payload"), continuation(two))
        yield Case(
            f"5.{6 + index}", f"a ping between two fragments: {way}", (send(*frames, **way),),
            (Pong(b"ping payload"), Message(TEXT, one + two)), WeClose())
    for start, final in [(9, True), (12, False)]:
        for index, way in enumerate(WAYS):
            yield failing(
                f"5.{start + index}", f"continuation of nothing, final {final}: {way}",
                continuation(b"continues nothing", final=final), text(HELLO), **way)
    yield failing(
        "5.15", "a message in two fragments, then a continuation of nothing", text(one, final=False), continuation(two),
        continuation(b"fragment3", final=False), text(b"fragment4"), answers=[Message(TEXT, one + two)])
    for number, final in [("5.16", False), ("5.17", True)]:
        yield failing(
            number, f"twice a continuation of nothing, final {final}, and a message in fragments",
            *([continuation(one, final=final), text(two, final=False), continuation(b"fragment3")] * 2))
    yield failing("5.18", "a message inside a fragmented one", text(one, final=False), text(two))
    for number, way in [("5.19", {}), ("5.20", {"apart": True})]:
        yield between(number, way)


def between(number, way):
    """Five fragments with pings between them; the answers to the pings do not wait for the message."""
    pieces = [b"fragment%d" % index for index in range(1, 6)]
    first = [text(pieces[0], final=False), continuation(pieces[1], final=False), ping(b"pongme 1!")]
    second = [
        continuation(pieces[2], final=False), continuation(pieces[3], final=False), ping(b"pongme 2!"),
        continuation(pieces[4])]
    return Case(
        number, f"pings between five fragments: {way}", (send(*first, **way), send(*second, **way)),
        (Pong(b"pongme 1!"), Pong(b"pongme 2!"), Message(TEXT, b"".join(pieces))), WeClose())


CASES = [*sizes(), *pings(), *reserved(), *opcodes(), *fragmentation()]
