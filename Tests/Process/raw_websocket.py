"""A WebSocket client that can also do what the RFC forbids: the caller chooses every bit of a frame."""

import base64
import hashlib
import os
import socket
import struct
import time

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class RefusedHandshake(Exception):
    """The answer to the opening handshake was not 101."""

    def __init__(self, status, headers, body):
        super().__init__(f"{status} {headers} {body!r}")
        self.status, self.headers, self.body = status, headers, body


class ConnectionEnded(Exception):
    """The peer closed or reset the connection; `close_frame` is the CLOSE it sent before, if any."""

    def __init__(self, close_frame, cause=""):
        super().__init__(f"connection ended after CLOSE {close_frame} {cause}")
        self.close_frame = close_frame


def encode_frame(opcode, payload=b"", final=True, masked=True, reserved=0, length_form=None):
    """One frame. `length_form` 16 or 64 forces a longer length than needed."""
    first = (0x80 if final else 0) | (reserved << 4) | opcode
    length = len(payload)
    mask_bit = 0x80 if masked else 0
    if length_form == 64 or (length_form is None and length > 0xFFFF):
        header = struct.pack("!BBQ", first, mask_bit | 127, length)
    elif length_form == 16 or (length_form is None and length > 125):
        header = struct.pack("!BBH", first, mask_bit | 126, length)
    else:
        header = struct.pack("!BB", first, mask_bit | length)
    if not masked:
        return header + payload
    key = os.urandom(4)
    if not payload:
        return header + key
    repeated = int.from_bytes((key * (length // 4 + 1))[:length], "big")
    return header + key + (int.from_bytes(payload, "big") ^ repeated).to_bytes(length, "big")


def encode_close(code, reason=b""):
    return encode_frame(CLOSE, struct.pack("!H", code) + reason)


def handshake_request(host, path, subprotocols=(), headers=None, key=None):
    """The bytes of an opening handshake; a header whose value is None is left out."""
    fields = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key or base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    if subprotocols:
        fields["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
    fields.update(headers or {})
    lines = [f"GET {path} HTTP/1.1"] + [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def read_head(plain, received=b""):
    """Reads up to the end of an HTTP head; returns (status, headers by lower-case name, what came after it)."""
    while b"\r\n\r\n" not in received:
        more = plain.recv(65536)
        if not more:
            raise ConnectionEnded(None, f"in the middle of a head: {received!r}")
        received += more
    head, _, rest = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(lines[0].split(" ")[1]), headers, rest


class RawWebSocket:
    """One connection. Answers PINGs while it waits for a message; `receive_frame` shows everything."""

    def __init__(self, plain, host, path, subprotocols=(), headers=None):
        self.plain = plain
        key = base64.b64encode(os.urandom(16)).decode()
        plain.sendall(handshake_request(host, path, subprotocols, headers, key))
        self.status, self.headers, self.received = read_head(plain)
        if self.status != 101:
            length = int(self.headers.get("content-length", "0"))
            while len(self.received) < length:
                more = plain.recv(65536)
                if not more:
                    break
                self.received += more
            raise RefusedHandshake(self.status, self.headers, self.received)
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        assert self.headers["sec-websocket-accept"] == accept.decode()
        self.received = bytearray(self.received)
        self.subprotocol = self.headers.get("sec-websocket-protocol")
        self.close_frame = None

    # Sending

    def send_bytes(self, bytes_):
        self.plain.sendall(bytes_)

    def send_frame(self, opcode, payload=b"", **options):
        self.plain.sendall(encode_frame(opcode, payload, **options))

    def send_text(self, text):
        self.send_frame(TEXT, text.encode())

    def send_binary(self, payload):
        self.send_frame(BINARY, payload)

    # Receiving

    def _read(self, count, end):
        while len(self.received) < count:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no {count} bytes in time; so far {bytes(self.received[:200])!r}")
            self.plain.settimeout(left)
            try:
                more = self.plain.recv(1 << 18)
            except socket.timeout:
                continue
            except ConnectionError as error:
                raise ConnectionEnded(self.close_frame, repr(error)) from None
            if not more:
                raise ConnectionEnded(self.close_frame)
            self.received += more
        taken = bytes(self.received[:count])
        del self.received[:count]
        return taken

    def receive_frame(self, timeout=60):
        """(final, opcode, payload) of the next frame; checks the rules for servers."""
        end = time.monotonic() + timeout
        first, second = self._read(2, end)
        assert first & 0x70 == 0, "a reserved bit without an extension"
        assert second & 0x80 == 0, "a server must not mask"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2, end))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read(8, end))
        payload = self._read(length, end)
        opcode = first & 0x0F
        if opcode >= 8:
            assert first & 0x80 and length <= 125, "a control frame is whole and at most 125 bytes"
        if opcode == CLOSE:
            code = struct.unpack("!H", payload[:2])[0] if payload else None
            self.close_frame = (code, payload[2:].decode())
        return bool(first & 0x80), opcode, payload

    def receive_message(self, timeout=60):
        """(opcode, payload) of the next whole message; ConnectionEnded after a CLOSE or an end of stream."""
        end = time.monotonic() + timeout
        opcode, parts = None, []
        while True:
            final, frame_opcode, payload = self.receive_frame(max(end - time.monotonic(), 0))
            if frame_opcode == PING:
                self.send_frame(PONG, payload)
            elif frame_opcode == CLOSE:
                raise ConnectionEnded(self.close_frame)
            elif frame_opcode != PONG:
                opcode = frame_opcode if opcode is None else opcode
                parts.append(payload)
                if final:
                    return opcode, b"".join(parts)

    def receive_text(self, timeout=60):
        opcode, payload = self.receive_message(timeout)
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    def receive_close(self, timeout=60):
        """(code, reason) of the peer's CLOSE; earlier frames are skipped."""
        end = time.monotonic() + timeout
        while True:
            _, opcode, _ = self.receive_frame(max(end - time.monotonic(), 0))
            if opcode == CLOSE:
                return self.close_frame

    def wait_for_end(self, timeout=60):
        """Reads until the peer closes the connection, and answers its CLOSE; returns that, or None."""
        end = time.monotonic() + timeout
        while True:
            try:
                _, opcode, payload = self.receive_frame(max(end - time.monotonic(), 0))
            except ConnectionEnded as ended:
                return ended.close_frame
            if opcode == CLOSE:
                try:
                    self.send_frame(CLOSE, payload[:2])
                except OSError:
                    pass  # It does not wait for an answer.

    def synchronise(self):
        """Returns once the broker has read everything sent before: PING and its PONG."""
        mark = os.urandom(8)
        self.send_frame(PING, mark)
        while True:
            _, opcode, payload = self.receive_frame()
            assert opcode == PONG, f"only the PONG was expected, got opcode {opcode}: {payload!r}"
            if payload == mark:
                return

    def close(self):
        """Drops the connection without a close handshake."""
        self.plain.close()
