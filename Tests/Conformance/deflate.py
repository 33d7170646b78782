"""permessage-deflate with Python's zlib: the agreed parameters, and a strict reader of compressed messages. RFC 7692 §7."""

import re
import zlib
from dataclasses import dataclass, replace

TAIL = b"\x00\x00\xff\xff"


@dataclass(frozen=True)
class Parameters:
    """Of an offer or an answer. A window of None is not named; True is named without a value."""

    server_no_context: bool = False
    client_no_context: bool = False
    server_window: object = None
    client_window: object = None

    def field(self):
        words = ["permessage-deflate"]
        words += ["server_no_context_takeover"] if self.server_no_context else []
        words += ["client_no_context_takeover"] if self.client_no_context else []
        for name, window in [("server", self.server_window), ("client", self.client_window)]:
            if window is not None:
                words.append(f"{name}_max_window_bits" + ("" if window is True else f"={window}"))
        return "; ".join(words)


class BadParameters(Exception):
    pass


def read_parameters(field):
    """One extension of a field; raises if it is malformed or violates §7.1."""
    name, *rest = [word.strip() for word in field.split(";")]
    if name != "permessage-deflate":
        raise BadParameters(f"another extension: {field}")
    parameters, seen = Parameters(), set()
    for word in rest:
        key, _, value = word.partition("=")
        if key in seen:
            raise BadParameters(f"{key} comes twice: {field}")
        seen.add(key)
        if key in ("server_no_context_takeover", "client_no_context_takeover") and not value:
            parameters = replace(parameters, **{key[:6] + "_no_context": True})
        elif key in ("server_max_window_bits", "client_max_window_bits") and re.fullmatch("[89]|1[0-5]|", value):
            parameters = replace(parameters, **{key[:6] + "_window": int(value) if value else True})
        else:
            raise BadParameters(f"{word} is not allowed: {field}")
    return parameters


def check_answer(offer, answer):
    """§7.1: what a server may answer to an offer."""
    if answer.server_window is True or answer.client_window is True:
        raise BadParameters("a window without a value in an answer")
    if offer.server_no_context and not answer.server_no_context:
        raise BadParameters("server_no_context_takeover was asked for")
    if offer.server_window is not None and (answer.server_window or 16) > offer.server_window:
        raise BadParameters("a larger server window than was asked for")
    if answer.client_window is not None:
        if offer.client_window is None:
            raise BadParameters("client_max_window_bits was not offered")
        if offer.client_window is not True and answer.client_window > offer.client_window:
            raise BadParameters("a larger client window than was offered")


class Compression:
    """The two directions of one connection, in our role. It checks that the product keeps the agreed parameters."""

    def __init__(self, agreed, is_client, level=6):
        ours, theirs = ("client", "server") if is_client else ("server", "client")
        self.own_window = getattr(agreed, f"{ours}_window") or 15
        self.peer_window = getattr(agreed, f"{theirs}_window") or 15
        self.own_no_context = getattr(agreed, f"{ours}_no_context")
        self.peer_no_context = getattr(agreed, f"{theirs}_no_context")
        self.level = level
        self.compressor = self.decompressor = None
        self.compressed_messages = 0

    def compress(self, payload):
        if self.compressor is None or self.own_no_context:
            # zlib makes no raw stream with a window of 8 bits; blocks that are only stored need none.
            level = 0 if self.own_window == 8 else self.level
            self.compressor = zlib.compressobj(level, zlib.DEFLATED, -max(self.own_window, 9))
        compressed = self.compressor.compress(payload) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
        # §7.2.3.6: zlib writes nothing for nothing.
        return compressed[:-4] if compressed.endswith(TAIL) else b"\x00"

    def decompress(self, payload):
        self.compressed_messages += 1
        if self.decompressor is None or self.peer_no_context:
            self.decompressor = zlib.decompressobj(-self.peer_window)
        if self.peer_window == 15:
            return self.decompressor.decompress(payload + TAIL)
        # A reference further back than the window is an error. zlib forgives what still is in the output it is making,
        # so that has to be short.
        pieces, rest = [], payload + TAIL
        while True:
            pieces.append(self.decompressor.decompress(rest, 64))
            rest = self.decompressor.unconsumed_tail
            if len(pieces[-1]) < 64 and not rest:
                return b"".join(pieces)
