"""Groups 9 and 10: long messages, many fragments, many messages, and an automatic fragmentation."""

from case import Case, Frame, Message, Send, WeClose, echoed, fragments
from raw_websocket import BINARY, TEXT

KIB, MIB = 1 << 10, 1 << 20
WORDS = b"BAsd7&jh23"
BYTES = b"\x00\xfe\x23\xfa\xf0"
# Of the thousand round trips of each of the cases 9.7 and 9.8.
ROUND_TRIPS = 100


def repeated(pattern, size):
    return (pattern * (size // len(pattern) + 1))[:size]


def lengths():
    for group, opcode, pattern in [(1, TEXT, WORDS), (2, BINARY, BYTES)]:
        for index, size in enumerate([64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB], 1):
            yield echoed(f"9.{group}.{index}", f"{size} bytes", Frame(opcode, repeated(pattern, size)))


def pieces():
    for group, opcode, pattern in [(3, TEXT, b"*"), (4, BINARY, b"\xfe")]:
        for index, power in enumerate(range(6, 23, 2), 1):
            yield echoed(
                f"9.{group}.{index}", f"4 MiB in fragments of {1 << power} bytes",
                *fragments(opcode, pattern * (4 * MIB), 1 << power))
    for group, opcode, pattern in [(5, TEXT, WORDS), (6, BINARY, BYTES)]:
        for index, power in enumerate(range(6, 12), 1):
            yield echoed(
                f"9.{group}.{index}", f"1 MiB in writes of {1 << power} bytes", Frame(opcode, repeated(pattern, MIB)),
                chop=1 << power)


def round_trips():
    for group, opcode, pattern in [(7, TEXT, b"*"), (8, BINARY, b"\xfe")]:
        for index, size in enumerate([0, 16, 64, 256, KIB, 4 * KIB], 1):
            step = (Send((Frame(opcode, pattern * size),)), Message(opcode, pattern * size))
            yield Case(f"9.{group}.{index}", f"{ROUND_TRIPS} times {size} bytes", step * ROUND_TRIPS, (), WeClose())


def fragmented_by_itself():
    yield echoed("10.1.1", "64 KiB in fragments of 1,300 bytes", *fragments(TEXT, b"*" * 65536, 1300))


# The long cases are made when they are played.
BASE_CASES = [*fragmented_by_itself()]


def long_cases():
    yield from lengths()
    yield from pieces()
    yield from round_trips()
