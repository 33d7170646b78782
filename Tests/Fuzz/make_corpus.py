#!/usr/bin/env python3
"""Makes the fuzz targets' first inputs, corpus/TARGET.hex, from the vectors of the ordinary tests: one input a line.

Run it after vectors were added. Each target's first bytes are choices of its own; they are described at its top.
"""

import json
import re
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parent / "WSTransportTests/Vectors"
CODING_VECTORS = HERE.parent / "WSTransportCodingTests/Vectors"
KEY = bytes.fromhex("37fa213d")
LONGEST = 300


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def payload(words):
    """`2a*256` is a byte repeated, else digits."""
    byte, star, count = words.partition("*")
    return bytes.fromhex(byte) * int(count) if star else bytes.fromhex(words)


def frame(words, masked):
    """A frame in the words of the vectors: `82/8 2a*10` has its length in 8 bytes, `82=17` is only a header."""
    head, _, body = words.partition(" ")
    first, form, length = re.fullmatch(r"(..)(?:/(\d)|=(\d+))?", head).groups()
    content = payload(body)
    count = int(length) if length else len(content)
    form = 8 if length else int(form) if form else 0 if count < 126 else 2 if count < 65536 else 8
    mask = 0x80 if masked else 0
    header = bytes([int(first, 16), mask | {0: count, 2: 126, 8: 127}[form]])
    header += {0: b"", 2: struct.pack("!H", count & 0xFFFF), 8: struct.pack("!Q", count)}[form]
    if masked:
        header += KEY
        content = bytes(byte ^ KEY[index % 4] for index, byte in enumerate(content))
    return header + content


def frames():
    for case in vectors("frames"):
        for role in (0, 1):
            whole = b"".join(frame(words, masked=role == 0) for words in case["frames"])
            yield bytes([0xFC | role, 3]) + whole
            if len(whole) < 60:
                yield bytes([0xFE | role, 0]) + whole


def streams():
    for case in vectors("frames") + vectors("deflate"):
        for role in (0, 1):
            whole = b"".join(frame(words, masked=role == 0) for words in case["frames"])
            yield bytes([0x7F - role, 3]) + whole


def deflate():
    for case in vectors("deflate"):
        messages = [payload(words.partition(" ")[2]) for words in case["frames"]]
        for choice in (0, 6, 1):
            yield bytes([choice, 255, 7, 7]) + b"".join(
                bytes([min(len(message), 255)]) + message[:255] for message in messages)


def heads():
    for case in vectors("heads"):
        yield case["head"].encode()


def chunked():
    for case in vectors("chunked"):
        yield b"\x02" + case["bytes"].encode()


EXTENSIONS = [
    "permessage-deflate", "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=10; client_max_window_bits=\"12\"", "permessage-deflate;server_max_window_bits=8",
    "permessage-deflate; client_max_window_bits=15, permessage-deflate; server_max_window_bits=9", "a;b=c;d=\"e\\f\", ,x\npermessage-deflate",
    "permessage-deflate; server_max_window_bits=16", "permessage-deflate; client_no_context_takeover=1",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover", "x-webkit-deflate-frame", ",", ""]

ANSWER = ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
          "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{}\r\n")
ANSWERS = [
    "", "Sec-WebSocket-Protocol: chat\r\n", "Sec-WebSocket-Protocol: other\r\n", "Upgrade: h2c\r\n",
    "Sec-WebSocket-Accept: another\r\n", "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n",
    "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n"]

REQUEST = ("GET /t/a?b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: {}\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n")
REQUESTS = [
    (13, ""), (13, "Sec-WebSocket-Protocol: chat, broker.v1.json, chat\r\n"), (13, "Origin: https://a\r\n"), (8, ""),
    (13, "Content-Length: 5\r\n"), (13, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
    (13, "Sec-WebSocket-Protocol: a b\r\n"), (13, "Sec-WebSocket-Key: again\r\n")]


def answers():
    for choices in (b"\x00\x00", b"\x06\x33", b"\x01\x00"):
        for fields in ANSWERS:
            yield choices + ANSWER.format(fields).encode()
        for value in EXTENSIONS:
            yield choices + value.encode()


def requests():
    for choices in (b"\x00\x00\x00\x00", b"\x03\x33\x01\x65"):
        for version, fields in REQUESTS:
            yield choices + REQUEST.format(version, fields).encode()
        for value in EXTENSIONS:
            yield choices + value.encode()


def closes():
    codes = [0, 999, 1000, 1001, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 2999, 3000, 4999, 5000, 65535]
    bodies = [b"", b"a"] + [struct.pack("!H", code) for code in codes]
    bodies += [struct.pack("!H", 1000) + reason for reason in [
        b"bye", b"*" * 123, b"*" * 124, "ü".encode() * 61, "𤭢".encode() * 30 + b"xy", b"\xce\xba\xed\xa0\x80", b"\xf0\x9f"]]
    for choice in range(8):
        for body in bodies:
            yield bytes([choice, 5]) + body


TEXTS = [
    '{"op":"subscribe","id":1,"filter":"sensors/+/temp"}', '{"op":"publish","topic":"a","data":{"b":[1,2.5e-3,null,true]}}',
    '{"a":"\\u00fc\\ud83d\\udc18\\n"}\n{"b":-0}\n', '{"a":1,"a":2}', '[[[]]]', '{"a":"\\ud800"}', '{"a":01}', '{"a":1e999}',
    '{"n":9223372036854775807,"m":-9223372036854775808,"o":9223372036854775808}', '  {}  {} ', '{"a":"\t"}', '"', '{"a":tru}']
NAMES = ["a/b", "a/+/c\na/b/c", "#\n$SYS/x", "+/+\n/", "a/#\na", "//\n/+/#", "a+\nb#", "é/ü\n+/ü", "\x00"]


def json_texts():
    return [text.encode() for text in TEXTS]


def topics():
    yield from (name.encode() for name in NAMES)
    orders = [bytes([8 * number, number % 4, number % 6, (number * 5) % 6, number % 3]) for number in range(12)]
    yield b"".join(orders) + bytes([3, 1, 0, 1]) + bytes([2, 10, 3, 0, 1])


# Members of the target's types, in MessagePack's smallest forms.
PACKED = [
    "82a57472757468c3a5736d616c6cd080", "82a56c61726765cfffffffffffffffffa477696465d3ffffffff7fffffff",
    "83a673696e676c65ca3fc00000a6646f75626c65cb3fb999999999999aa474657874a3c3bc61", "82a56279746573c4020102a464617461930102ccff",
    "82a464617465d6ff00000001a66d6f6d656e74c70cff3b9ac9ffffffffffffffffff", "82a375726ca8687474703a2f2f61a36f776ed40501",
    "82a86e756d6265726564820102a23035d1ff00a56e616d656482a161c0a162810102", "81a46c6973749281a46c69737490c0",
    "81a5736861706581a470616972 82a25f3081a46c65616681a25f3005a5726967687481a46d616e7981a25f309181a46c65616680",
    "81a470616972 82a25f3081a46c65616680a5726967687481a46d616e7981a25f3090", "9281a46c656166 81a25f30c0c0", "820192a161a16202 90",
    "9501c0029103 81a161920102", "9501c00293030405 81a161 91cb7ff8000000000000", "82a16101a16102", "8201a161a13101", "81c001"]


def packed():
    for case in json.loads((CODING_VECTORS / "messagepack.json").read_text()):
        pieces = b"".join(payload(word) for word in case["bytes"].split())
        yield b"\x40" + pieces
        if len(pieces) < 20:
            yield b"\x04\x92" + pieces * 2
    for digits in PACKED:
        yield b"\x40" + bytes.fromhex(digits)
    yield b"\x0a" + b"\x91" * 10 + b"\x90"
    yield b"\xff" + b"\x81\xa4many\x81\xa2_0\x91" * 20 + b"\x81\xa4leaf\x80"


COMMANDS = [
    "81a26f70a470696e67", "82a26f70a470696e67a26964cd0102", "83a26f70a77075626c697368a5746f706963a161a464617461c40200ff",
    "84a26f70a77075626c697368a5746f706963a161a4646174618392c0c3cbbff8000000000000d0dfd1ff7fa572657461696ec3",
    "82a86661726577656c6c81a464617461c50001ffa97265706c79ca3fc00000", "de0001d9026f70da000470696e67",
    "df00000001a2696491d3ffffffffffffff00", "82a16101a16102", "81a161c1", "81a161d40100", "81a161cb7ff0000000000000", "81a1ff01",
    "80", "8081", "81a464617461c6000000ff00"]


def commands():
    """Of broker.v1.msgpack, and as JSON."""
    for digits in COMMANDS:
        yield bytes.fromhex(digits)
    yield b"\x81\xa1a" + b"\x91" * 64 + b"\xc0"
    for text in ('{"op":"publish","data":[1,-1.5e3,"\\u00e9\\n",{"a":[]}],"n":18446744073709551616}', "[1,]", '{"a":-0}', '"x"'):
        yield text.encode()


def proxy_headers():
    """HAProxy's PROXY protocol, both versions, and what is nearly one of them."""
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    four = bytes([192, 0, 2, 7, 198, 51, 100, 1, 0x15, 0x88, 0x01, 0xBB])
    for line in [b"PROXY TCP4 192.0.2.7 198.51.100.1 5512 443\r\nGET /", b"PROXY TCP6 2001:db8::1 ::1 5512 443\r\n",
                 b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN " + b"a" * 120, b"GET / HTTP/1.1\r\n"]:
        yield line
    for command, family, body in [(0x21, 0x11, four), (0x21, 0x11, four + b"\x03\0\x04abcd"), (0x21, 0x21, bytes(36)), (0x20, 0, b""),
                                  (0x21, 0x31, bytes(216)), (0x21, 0x12, four)]:
        yield signature + bytes([command, family]) + struct.pack("!H", len(body)) + body
    yield signature + b"\x21\x11\x02\x09"


CLAIMS = [
    '{"iss":"login","aud":"broker","sub":"a","exp":1800000100}', '{"iss":"login","aud":["x","broker"],"sub":"a","exp":1.8e9,"iat":1800000000}',
    '{"iss":"login","aud":"broker","sub":"a","exp":1800000100,"broker":{"publish":["t/#","u"],"deny":["t/s"],"roles":["r"]}}',
    '{"iss":"login","aud":"broker","sub":"a","exp":1800000100,"a":{"roles":["r",1]},"a.roles":"x"}', '{"iss":"login","exp":1e400}',
    '{"iss":"other"}', '{"iss":"login","exp":"1"}', '{"iss":"login","iss":"login"}', '[]', '{"iss":"login","exp":null,"nbf":-1}']

KEY_SETS = [
    '{"keys":[]}', '{"keys":[{"kty":"oct","k":"AAAA"}]}', '{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a","use":"sig"}]}',
    '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"EdDSA"}]}',
    '{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}']

TOKENS = [
    "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.AAAA", "..", "a.b.c.d",
    "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEiLCJjcml0IjpbXX0.eyJpc3MiOiJsb2dpbiJ9.AAAA", "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJsb2dpbiJ9.AAAA"]


def tokens():
    for text in TOKENS:
        yield b"\x00" + text.encode()
    for text in KEY_SETS:
        yield b"\x01" + text.encode()
    for text in CLAIMS:
        yield b"\x02" + text.encode()
    header = b'{"alg":"HS256","typ":"JWT"}'
    yield bytes([len(header)]) + header + CLAIMS[0].encode()


RESP_ANSWERS = [
    "+OK\r\n", "-ERR no\r\n:-12\r\n", "$5\r\nhello\r\n$-1\r\n", "*2\r\n$1\r\na\r\n*-1\r\n", "*0\r\n_\r\n#t\r\n,1.5\r\n,nan\r\n",
    "(12345678901234567890\r\n!5\r\nERR a\r\n=5\r\ntxt:a\r\n", "%1\r\n+a\r\n~1\r\n:1\r\n", ">2\r\n+message\r\n+a\r\n+OK\r\n",
    "|1\r\n+ttl\r\n:1\r\n*1\r\n|0\r\n:2\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "$9223372036854775807\r\n", "*4000000\r\n", "+O\rK\r\n",
    "*1\r\n*2\r\n$3\r\nlog\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*4\r\n$1\r\nb\r\n$2\r\n\0\n\r\n$1\r\nm\r\n$1\r\n5\r\n"]


def resp():
    """Answers of a server of Redis's protocol, cut into pieces of the first byte's length and one."""
    for text in RESP_ANSWERS:
        for length in (0, 2, 255):
            yield bytes([length]) + text.encode()


def log_records():
    """Records without their digest, which the target adds: a head, and messages of each kind."""
    head = struct.pack("!BB7Q", 1, 1, 11, 2, 3, 4, 5, 600, 7)

    def message(flags, parts, payload=b"p"):
        return bytes([flags]) + struct.pack("!Q", 9) + b"\x03a/b" + parts + bytes([len(payload)]) + payload

    one = [message(1, b""), message(0x0F, b"\x01t"), message(0x11, b"\x03\x01r\x02\x00\x01\x01\x01h\x01v"), message(0x21, b"\xac\x02"),
           message(0x81, b"\x02kn\x01o"), message(0xFF, b"\x01t\x00\x00\x05\x01\x02\x05\x80\x01\x01k\x00")]
    one += [message(0x41, bytes.fromhex(digits)) for digits in ("02", "03", "0409", "05", "0709", "0102ffff0301", "06000500", "060102090507017401ff")]
    for messages in [*([each] for each in one), one[:3]]:
        yield b"\x01" + head + bytes([len(messages)]) + b"".join(messages)
    yield b"\x01" + bytes([1, 2]) + head[2:] + b"\0"
    yield b"\0" + head
    yield b"\x01" + b"\x02" + head[1:] + b"\0"


CORPORA = {
    "FuzzFrames": frames, "FuzzDeflate": deflate, "FuzzHead": heads, "FuzzChunked": chunked, "FuzzAnswer": answers,
    "FuzzRequest": requests, "FuzzClose": closes, "FuzzJSON": json_texts, "FuzzMessage": streams, "FuzzMessagePack": packed,
    "FuzzPacked": commands, "FuzzRESP": resp, "FuzzLogRecord": log_records,
    "FuzzToken": tokens, "FuzzTopics": topics, "FuzzProxyHeader": proxy_headers}


def main():
    for name, inputs in CORPORA.items():
        lines = sorted({each.hex() for each in inputs() if 0 < len(each) <= LONGEST}, key=lambda line: (len(line), line))
        (HERE / "corpus").mkdir(exist_ok=True)
        (HERE / "corpus" / f"{name}.hex").write_text("".join(line + "\n" for line in lines))
        print(f"{name}: {len(lines)} inputs")


if __name__ == "__main__":
    main()
