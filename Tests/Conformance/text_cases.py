"""Group 6: UTF-8. RFC 6455 §8.1, RFC 3629. A violation fails the connection as soon as it is seen."""

from case import Case, Failed, Part, Quiet, Send, continuation, echoed, failing, fragments, send, text
from raw_websocket import TEXT

# The second letter is U+1F79, of three bytes.
GREEK = bytes.fromhex("cebae1bdb9cf83cebcceb5")
UMLAUTS = "Hello-µ@ßöäüàá-UTF-8!!".encode()
SURROGATE = GREEK + bytes.fromhex("eda080") + b"edited"
BEYOND = GREEK + bytes.fromhex("f4908080") + b"edited"


def whole():
    yield echoed("6.1.1", "empty text", text(b""))
    yield echoed(
        "6.1.2", "three empty fragments", text(b"", final=False), continuation(b"", final=False), continuation(b""))
    yield echoed(
        "6.1.3", "text between two empty fragments", text(b"", final=False),
        continuation(b"middle frame payload", final=False), continuation(b""))
    yield echoed("6.2.1", "valid text", text(UMLAUTS))
    yield echoed("6.2.2", "valid text, cut between characters", text(UMLAUTS[:12], final=False), continuation(UMLAUTS[12:]))
    yield echoed("6.2.3", "valid text in fragments of a byte", *fragments(TEXT, UMLAUTS, 1))
    yield echoed("6.2.4", "valid text in fragments of a byte", *fragments(TEXT, GREEK, 1))
    yield failing("6.3.1", "invalid text", text(SURROGATE), code=1007)
    yield failing("6.3.2", "invalid text in fragments of a byte", *fragments(TEXT, SURROGATE, 1), code=1007)


def at_once():
    """The end of the message never arrives: the bytes received so far must be, alone, enough to fail."""
    for index, cut in enumerate([(11, 15), (12, 13)], 1):
        frames = (text(BEYOND[:cut[0]], final=False), continuation(BEYOND[cut[0]:cut[1]], final=False))
        yield Case(
            f"6.4.{index}", "fails within a message", (send(frames[0]), Quiet(), send(frames[1])), (), Failed(1007))
    for index, cut in enumerate([(11, 15), (12, 13)], 3):
        steps = (Part(text(BEYOND), 0, cut[0]), Quiet(), Part(text(BEYOND), cut[0], cut[1]))
        yield Case(f"6.4.{index}", "fails within a frame", steps, (), Failed(1007))


def spaced(first, last):
    """Leading bytes, each followed by a space where continuation bytes would have to be."""
    return b"".join(bytes([byte]) + b" " for byte in range(first, last))


LACKING = [
    bytes.fromhex(digits) for digits in [
        "c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"]]

# U+FFFE and U+FFFF of every plane are no characters, but can be written.
NO_CHARACTERS = [chr(plane << 16 | last).encode() for plane in range(17) for last in (0xFFFE, 0xFFFF)]


def listed(*digits):
    return [bytes.fromhex(each) for each in digits]


# The group's name, and its texts: each is its bytes and whether they are valid.
SEQUENCES = [
    ("valid texts", [b"hello$world", "hello¢world".encode(), "hello€world".encode(), "hello𤭢world".encode(), GREEK], True),
    ("every beginning of a text", [GREEK[:count] for count in range(1, len(GREEK) + 1)], None),
    ("first of each length", listed("00", "c280", "e0a080", "f0908080"), True),
    ("first of five and six bytes", listed("f888808080", "fc8480808080"), False),
    ("last of each length", listed("7f", "dfbf", "efbfbf", "f48fbfbf"), True),
    ("last of four, five and six bytes", listed("f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"), False),
    ("other borders", listed("ed9fbf", "ee8080", "efbfbd", "f48fbfbf", "f4908080"), None),
    ("continuation bytes alone", listed(
        "80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf") + [bytes(range(0x80, 0xBF))], False),
    ("leading bytes alone", [
        spaced(0xC0, 0xDF), spaced(0xE0, 0xEF), spaced(0xF0, 0xF7), spaced(0xF8, 0xFB), spaced(0xFC, 0xFD)], False),
    ("the last byte is missing", LACKING, False),
    ("many whose last byte is missing", [b"".join(LACKING)], False),
    ("impossible bytes", listed("fe", "ff", "fefeffff"), False),
    ("a slash that is too long", listed("c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"), False),
    ("the last that is too long", listed("c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"), False),
    ("a NUL that is too long", listed("c080", "e08080", "f0808080", "f880808080", "fc8080808080"), False),
    ("surrogates", listed("eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"), False),
    ("pairs of surrogates", listed(
        "eda080edb080", "eda080edbfbf", "edadbfedb080", "edadbfedbfbf", "edae80edb080", "edae80edbfbf", "edafbfedb080",
        "edafbfedbfbf"), False),
    ("what is no character", NO_CHARACTERS, True),
    ("special characters", [chr(code).encode() for code in range(0xFFF9, 0x10000)], True),
]


def is_text(payload):
    try:
        payload.decode()
        return True
    except UnicodeDecodeError:
        return False


def sequences():
    for group, (about, payloads, expected) in enumerate(SEQUENCES, 5):
        for index, payload in enumerate(payloads, 1):
            valid = is_text(payload)
            assert expected is None or valid == expected, payload
            number, words = f"6.{group}.{index}", f"{about}: {payload[:12].hex()}"
            yield echoed(number, words, text(payload)) if valid else failing(number, words, text(payload), code=1007)


CASES = [*whole(), *at_once(), *sequences()]
