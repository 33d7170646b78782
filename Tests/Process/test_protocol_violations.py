"""RFC 6455 §5, §7, §8 against the real process: each violation gets its close code, and no other client notices."""

import os
import struct

import pytest

from raw_websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, ConnectionEnded, encode_close, encode_frame

PATHS = ["/ws", "/t/strict", "/s/strict"]

VIOLATIONS = {
    "5.1 unmasked text": (encode_frame(TEXT, b"{}", masked=False), 1002),
    "5.1 unmasked ping": (encode_frame(PING, b"x", masked=False), 1002),
    "5.2 reserved bit 1": (encode_frame(TEXT, b"{}", reserved=4), 1002),
    "5.2 reserved bit 2": (encode_frame(TEXT, b"{}", reserved=2), 1002),
    "5.2 reserved bit 3": (encode_frame(PING, b"", reserved=1), 1002),
    "5.2 reserved data opcode 3": (encode_frame(3, b"x"), 1002),
    "5.2 reserved data opcode 7": (encode_frame(7, b"x"), 1002),
    "5.2 reserved control opcode 11": (encode_frame(11, b"x"), 1002),
    "5.2 reserved control opcode 15": (encode_frame(15, b""), 1002),
    "5.2 length in 16 bits that fits in 7": (encode_frame(TEXT, b"{}", length_form=16), 1002),
    "5.2 length in 64 bits that fits in 16": (encode_frame(TEXT, b"x" * 200, length_form=64), 1002),
    "5.2 length with the highest bit": (struct.pack("!BBQ", 0x81, 0xFF, 1 << 63) + b"mask", (1002, 1009)),
    "5.2 length beyond the limit": (struct.pack("!BBQ", 0x82, 0xFF, 1 << 40) + b"mask", 1009),
    "5.4 continuation of nothing": (encode_frame(CONTINUATION, b"x"), 1002),
    "5.4 last continuation of nothing": (encode_frame(CONTINUATION, b"x", final=False), 1002),
    "5.4 text inside a text": (encode_frame(TEXT, b"a", final=False) + encode_frame(TEXT, b"b"), 1002),
    "5.4 binary inside a text": (encode_frame(TEXT, b"a", final=False) + encode_frame(BINARY, b"b"), 1002),
    "5.5 ping of 126 bytes": (encode_frame(PING, b"x" * 126), 1002),
    "5.5 fragmented ping": (encode_frame(PING, b"x", final=False), 1002),
    "5.5 fragmented pong": (encode_frame(PONG, b"x", final=False), 1002),
    "5.5 fragmented close": (encode_frame(CLOSE, b"\x03\xe8", final=False), 1002),
    "5.5 close of 126 bytes": (encode_frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "5.5.1 close of 1 byte": (encode_frame(CLOSE, b"\x03"), 1002),
    "5.5.1 close with a reason that is not UTF-8": (encode_close(1000, b"\xff"), 1007),
    "8.1 text that is not UTF-8": (encode_frame(TEXT, b"\xff\xfe"), 1007),
    "8.1 overlong form": (encode_frame(TEXT, b"\xc0\xaf"), 1007),
    "8.1 surrogate": (encode_frame(TEXT, b"\xed\xa0\x80"), 1007),
    "8.1 beyond U+10FFFF": (encode_frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "8.1 cut short at the end": (encode_frame(TEXT, b"\xe2\x82"), 1007),
    "8.1 wrong in a later fragment": (
        encode_frame(TEXT, b"\xe2\x82", final=False) + encode_frame(CONTINUATION, b"\x28"), 1007),
    **{f"7.4 close code {code}": (encode_close(code), 1002)
       for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)},
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_each_violation_has_its_close_code(broker, bystander, name):
    frames, expected = VIOLATIONS[name]
    expected = expected if isinstance(expected, tuple) else (expected,)
    for path in PATHS:
        websocket = broker.websocket(path)
        websocket.send_bytes(frames)
        code, reason = websocket.receive_close()
        assert code in expected, (path, code, reason)
        # §7.1.1: the server closes the connection; nothing sent after the violation counts.
        websocket.wait_for_end()


def test_each_allowed_close_code_is_echoed(broker):
    for code in (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999):
        websocket = broker.websocket("/t/closing")
        websocket.send_bytes(encode_close(code, "grüße".encode()))
        assert websocket.receive_close()[0] == code
        assert websocket.wait_for_end()[0] == code


def test_nothing_is_published_after_a_close(broker):
    watcher, websocket = broker.session(), broker.topic_socket("late", "echo=false")
    watcher.subscribe("late")
    websocket.send_bytes(encode_frame(TEXT, b"before") + encode_close(1000) + encode_frame(TEXT, b"after"))
    websocket.wait_for_end()
    watcher.expect("message", data="before")
    watcher.synchronise()
    assert watcher.waiting == []


def test_text_may_be_split_anywhere_between_fragments(broker):
    text = "κόσμε🐘".encode()
    for cut in range(len(text) + 1):
        websocket = broker.topic_socket(f"cut/{cut}")
        websocket.send_frame(TEXT, text[:cut], final=False)
        websocket.send_frame(PING, b"between")
        websocket.send_frame(CONTINUATION, text[cut:])
        assert websocket.receive_frame() == (True, PONG, b"between")
        assert websocket.receive_message() == (TEXT, text)


def test_a_truncated_message_is_not_published(broker, bystander):
    watcher = broker.session()
    watcher.subscribe("broken")
    for cut in range(1, 12):
        websocket = broker.topic_socket("broken")
        websocket.send_bytes(encode_frame(TEXT, b"x" * 20)[:-cut])
        websocket.close()
    broker.publish("broken", "whole")
    watcher.expect("message", data="whole")
    watcher.synchronise()
    assert watcher.waiting == []


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1])
def test_an_announced_length_allocates_nothing(broker, size):
    """A frame that is announced too large is refused from its header; the broker waits for one that is just small enough."""
    websocket = broker.websocket("/t/announced")
    websocket.send_bytes(struct.pack("!BBQ", 0x82, 0xFF, size) + os.urandom(4))
    if size > 1 << 20:
        assert websocket.receive_close()[0] == 1009
    else:
        with pytest.raises(TimeoutError):
            websocket.receive_frame(0.3)


def test_half_a_close_handshake_does_not_keep_the_connection(broker):
    websocket = broker.topic_socket("half")
    websocket.send_frame(TEXT, b"\xff")  # violation: the broker sends its CLOSE and waits for nothing
    with pytest.raises(ConnectionEnded):
        while True:
            websocket.receive_frame(60)
