"""`broker.v1.msgpack` as a test speaks it, with a separate MessagePack codec, made from the format's table.

Maps, arrays, strings, bytes, integers, float64, true, false and nil: what the protocol has.
"""

import struct

from json_session import JSONSession

SUBPROTOCOL = "broker.v1.msgpack"


def pack(value):
    if value is None or value is True or value is False:
        return {None: b"\xc0", True: b"\xc3", False: b"\xc2"}[value]
    if isinstance(value, int):
        if 0 <= value < 128 or -32 <= value < 0:
            return struct.pack("b" if value < 0 else "B", value)
        forms = [("B", 0xCC), ("H", 0xCD), ("I", 0xCE), ("Q", 0xCF)] if value > 0 else [
            ("b", 0xD0), ("h", 0xD1), ("i", 0xD2), ("q", 0xD3)]
        for form, first in forms:
            try:
                return struct.pack(f">B{form}", first, value)
            except struct.error:
                continue
        raise OverflowError(value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xCB, value)
    if isinstance(value, str):
        text = value.encode()
        return (bytes([0xA0 | len(text)]) if len(text) < 32 else _sized(len(text), 0xD9, 0xDA, 0xDB)) + text
    if isinstance(value, (bytes, bytearray)):
        return _sized(len(value), 0xC4, 0xC5, 0xC6) + bytes(value)
    if isinstance(value, (list, tuple)):
        head = bytes([0x90 | len(value)]) if len(value) < 16 else _sized(len(value), None, 0xDC, 0xDD)
        return head + b"".join(map(pack, value))
    head = bytes([0x80 | len(value)]) if len(value) < 16 else _sized(len(value), None, 0xDE, 0xDF)
    return head + b"".join(pack(key) + pack(item) for key, item in value.items())


def _sized(count, one, two, four):
    if one is not None and count < 1 << 8:
        return struct.pack(">BB", one, count)
    return struct.pack(">BH", two, count) if count < 1 << 16 else struct.pack(">BI", four, count)


def unpack(bytes_):
    value, end = _unpack(bytes_, 0)
    assert end == len(bytes_), f"{len(bytes_) - end} bytes are left"
    return value


def _unpack(bytes_, start):
    first, offset = bytes_[start], start + 1

    def number(form):
        nonlocal offset
        (found,) = struct.unpack_from(f">{form}", bytes_, offset)
        offset += struct.calcsize(form)
        return found

    def taken(count):
        nonlocal offset
        assert offset + count <= len(bytes_), "it ends too early"
        offset += count
        return bytes_[offset - count:offset]

    def items(count):
        nonlocal offset
        found = []
        for _ in range(count):
            item, offset = _unpack(bytes_, offset)
            found.append(item)
        return found

    def pairs(count):
        found = items(2 * count)
        return dict(zip(found[::2], found[1::2]))

    if first < 0x80:
        return first, offset
    if first >= 0xE0:
        return first - 256, offset
    if first < 0x90:
        return pairs(first & 15), offset
    if first < 0xA0:
        return items(first & 15), offset
    if first < 0xC0:
        return taken(first & 31).decode(), offset
    widths = "BHI"
    table = {
        0xC0: lambda: None, 0xC2: lambda: False, 0xC3: lambda: True,
        0xCA: lambda: number("f"), 0xCB: lambda: number("d"),
        0xDC: lambda: items(number("H")), 0xDD: lambda: items(number("I")),
        0xDE: lambda: pairs(number("H")), 0xDF: lambda: pairs(number("I")),
    }
    table |= {0xC4 + place: lambda form=form: taken(number(form)) for place, form in enumerate(widths)}
    table |= {0xD9 + place: lambda form=form: taken(number(form)).decode() for place, form in enumerate(widths)}
    table |= {0xCC + place: lambda form=form: number(form) for place, form in enumerate("BHIQ")}
    table |= {0xD0 + place: lambda form=form: number(form) for place, form in enumerate("bhiq")}
    value = table[first]()
    return value, offset


class PackedSession(JSONSession):
    """A session over `broker.v1.msgpack`: one map per frame, bytes as bytes."""

    def send(self, **object_):
        self.websocket.send_binary(pack(object_))

    def receive(self, timeout=60):
        if not self.waiting:
            opcode, payload = self.websocket.receive_message(timeout)
            assert opcode == 2, f"expected a binary frame, got opcode {opcode}: {payload!r}"
            self.waiting = [unpack(payload)]
        return self.waiting.pop(0)
