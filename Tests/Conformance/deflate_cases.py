"""Groups 12 and 13: compressed messages of many sizes, with every way to agree upon the parameters. RFC 7692."""

import json
import random
from dataclasses import dataclass

from deflate import Parameters
from raw_websocket import BINARY, TEXT

# (bytes of a message, bytes of a fragment of it where it is fragmented)
SIZES = [
    (16, 0), (64, 0), (256, 0), (1024, 0), (4096, 0), (8192, 0), (16384, 0), (32768, 0), (65536, 0), (131072, 0),
    (8192, 256), (16384, 256), (32768, 256), (65536, 256), (131072, 256), (131072, 1024), (131072, 4096),
    (131072, 32768)]
# Of the thousand messages of each case.
MESSAGES = 4


@dataclass(frozen=True)
class DeflateCase:
    number: str
    about: str
    opcode: int
    # The text or bytes that messages are cut from, one after the other.
    data: bytes
    size: int
    fragment: int
    # What a client offers, in this order.
    offers: tuple
    # Which of the parameters a server asks for, in this order; it takes the first that the client can honour.
    asks: tuple

    def messages(self):
        position = 0
        for _ in range(MESSAGES):
            end = position + self.size
            while self.opcode == TEXT and end < len(self.data) and self.data[end] & 0xC0 == 0x80:
                end += 1
            yield self.data[position:end]
            position = end % (len(self.data) // 2)
            while self.data[position] & 0xC0 == 0x80:
                position += 1


def materials():
    """Of different kinds: JSON, a picture, prose, a page, and what cannot be compressed. The same on every run."""
    generator = random.Random(7692)
    words = ["".join(generator.choices("aeinrstäöüß", k=generator.randrange(2, 9))) for _ in range(900)]
    prose = " ".join(generator.choices(words, k=100_000))
    records = [{"id": number, "name": generator.choice(words), "value": generator.random()} for number in range(9000)]
    page = "".join(f"<li class='{word}'>{word} &amp; {word[::-1]}</li>\n" for word in generator.choices(words, k=15_000))
    picture = bytes(min(255, abs(generator.gauss(x % 256, 3)).__trunc__()) for x in range(600_000))
    return [
        (TEXT, "JSON", json.dumps(records, ensure_ascii=False).encode()), (BINARY, "a picture", picture),
        (BINARY, "prose", prose.encode()), (TEXT, "a page", page.encode()), (BINARY, "noise", generator.randbytes(600_000))]


MATERIALS = materials()
PLAIN = (Parameters(client_window=True),)
# What a client asks the server for, and a server the client: (no context takeover, window).
ASKED = [(False, None), (True, None), (False, 9), (False, 15), (True, 9), (True, 15)]


def offer(no_context, window):
    return Parameters(server_no_context=no_context, server_window=window, client_window=True)


COMBINATIONS = [((offer(*asked),), (asked,)) for asked in ASKED] + [
    ((offer(True, 9), offer(True, None), offer(False, None)), ((True, 9), (True, None), (False, None)))]


def cases():
    for group, (opcode, about, data) in enumerate(MATERIALS, 1):
        for index, (size, fragment) in enumerate(SIZES, 1):
            yield DeflateCase(
                f"12.{group}.{index}", f"{about}, {size} bytes, fragments of {fragment}", opcode, data, size, fragment,
                PLAIN, ((False, None),))
    opcode, about, data = MATERIALS[0]
    for group, (offers, asks) in enumerate(COMBINATIONS, 1):
        for index, (size, fragment) in enumerate(SIZES, 1):
            yield DeflateCase(
                f"13.{group}.{index}", f"asked for {asks}: {size} bytes, fragments of {fragment}", opcode, data, size,
                fragment, offers, asks)


CASES = [*cases()]

# Beyond the suite's seven: everything a client can write into one offer.
WINDOWS = [None, *range(8, 16)]
EVERY_OFFER = [
    Parameters(server_no_context, client_no_context, server_window, client_window)
    for server_no_context in (False, True) for client_no_context in (False, True) for server_window in WINDOWS
    for client_window in [*WINDOWS, True]]
