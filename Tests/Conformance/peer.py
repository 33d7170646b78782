"""One end of a WebSocket, in either role: encodes the frames of a case, and reads strictly."""

import socket
import ssl
import struct
import time

from case import CLOSE, Frame, Message, Pong
from raw_websocket import CONTINUATION, PING, PONG, encode_frame


class Violation(Exception):
    """What the product sent is against the RFC, or not what had to come."""


class Ended(Exception):
    """The product has ended the connection, in order or by a reset."""


def unmask(payload, key):
    count = len(payload)
    repeated = int.from_bytes((key * (count // 4 + 1))[:count], "big")
    return (int.from_bytes(payload, "big") ^ repeated).to_bytes(count, "big")


class Peer:
    """Reads frames as events: `Message`, `Pong`, or the body of a CLOSE as `bytes`.

    `compression` is what was agreed upon, where anything was: it has `compress(payload)` and `decompress(payload)`.
    """

    def __init__(self, connection, is_client, received=b"", compression=None):
        self.connection = connection
        self.is_client = is_client
        self.received = bytearray(received)
        self.compression = compression
        self.encoded = {}
        self.deadline = time.monotonic() + 60

    # Sending

    def encode(self, frame):
        return encode_frame(
            frame.opcode, frame.payload, final=frame.final, masked=self.is_client, reserved=frame.reserved)

    def send(self, step):
        frames = [self.encode(frame) for frame in step.frames]
        if step.apart:
            writes = frames
        else:
            whole = b"".join(frames)
            size = step.chop or max(len(whole), 1)
            writes = [whole[start:start + size] for start in range(0, len(whole), size)]
        self.connection.settimeout(max(self.deadline - time.monotonic(), 0.01))
        for write in writes:
            self.connection.sendall(write)

    def send_part(self, part):
        # The mask is made once for all the parts.
        encoded = self.encoded.setdefault(part.frame, self.encode(part.frame))
        header = len(encoded) - len(part.frame.payload)
        self.connection.sendall(encoded[header + part.start if part.start else 0:header + part.end])

    def send_message(self, opcode, payload, fragment=0):
        """One message, compressed where that was agreed upon; `fragment`: in frames of as many bytes."""
        if self.compression:
            payload = self.compression.compress(payload)
        size = fragment or max(len(payload), 1)
        pieces = [payload[start:start + size] for start in range(0, len(payload), size)] or [b""]
        frames = [
            Frame(CONTINUATION if index else opcode, piece, index == len(pieces) - 1,
                  4 if self.compression and not index else 0)
            for index, piece in enumerate(pieces)]
        self.connection.sendall(b"".join(self.encode(frame) for frame in frames))

    # Receiving

    def _read(self, count):
        while len(self.received) < count:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise Violation(f"nothing more came in time; left over: {bytes(self.received[:100])!r}")
            self.connection.settimeout(left)
            try:
                more = self.connection.recv(1 << 20)
            except socket.timeout:
                continue
            except OSError as error:
                raise Ended(repr(error)) from None
            if not more:
                raise Ended("in the middle of a frame" if self.received else "")
            self.received += more
        taken = bytes(memoryview(self.received)[:count])
        del self.received[:count]
        return taken

    def _read_frame(self):
        first, second = self._read(2)
        opcode, final, reserved = first & 0x0F, bool(first & 0x80), first >> 4 & 7
        if bool(second & 0x80) == self.is_client:
            raise Violation("masked by a server" if self.is_client else "not masked by a client")
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2))
            if length < 126:
                raise Violation("a length that could be shorter")
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read(8))
            if length <= 0xFFFF:
                raise Violation("a length that could be shorter")
        if opcode >= 8 and (length > 125 or not final or reserved):
            raise Violation(f"a control frame of {length} bytes, final {final}, reserved bits {reserved}")
        if reserved and not (reserved == 4 and self.compression and opcode != CONTINUATION):
            raise Violation(f"reserved bits {reserved}")
        key = b"" if self.is_client else self._read(4)
        payload = self._read(length)
        return opcode, final, bool(reserved), unmask(payload, key) if key else payload

    def receive(self):
        """The next event; raises `Ended` after the end of the connection."""
        opcode, compressed, pieces = None, False, []
        while True:
            frame_opcode, final, has_bit, payload = self._read_frame()
            if frame_opcode == PONG:
                return Pong(payload)
            if frame_opcode == CLOSE:
                if len(payload) == 1:
                    raise Violation("a close body of one byte")
                payload[2:].decode()
                return payload
            if frame_opcode == PING:
                self.connection.sendall(self.encode(Frame(PONG, payload)))
                continue
            if (frame_opcode == CONTINUATION) == (opcode is None):
                raise Violation(f"opcode {frame_opcode} inside a message of opcode {opcode}")
            if opcode is None:
                opcode, compressed = frame_opcode, has_bit
            pieces.append(payload)
            if final:
                whole = b"".join(pieces)
                return Message(opcode, self.compression.decompress(whole) if compressed else whole)

    def is_quiet(self, seconds):
        """Whether nothing comes, not even an end, for as long."""
        if self.received:
            return False
        self.connection.settimeout(seconds)
        try:
            self.received += self.connection.recv(65536)
            return False
        except socket.timeout:
            return True
        except OSError:
            return False

    def wait_for_end(self):
        """Reads up to the end of the connection, before which nothing may come; whether it was in order."""
        try:
            self._read(1)
        except Ended as ended:
            return not str(ended)
        raise Violation(f"after the closing handshake came {self.received[:100]!r}")

    def end(self):
        """Our end of the stream, when we close first."""
        try:
            if isinstance(self.connection, ssl.SSLSocket):
                # Our close_notify, and the peer's.
                self.connection = self.connection.unwrap()
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def drop(self):
        self.connection.close()


