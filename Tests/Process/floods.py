"""Floods a real broker, one kind after another, next to a client that must not notice.

    make floods                                   every kind, ten seconds each
    python3 Tests/Process/floods.py --seconds 3 pipelined-publish silent

Prints for each kind how far the broker's memory rose, what CPU it took, and the longest that the other client waited for
its own message to come back. It is a measurement: test_floods.py holds the memory of each kind to a bound.
"""

import argparse
import base64
import json
import multiprocessing
import os
import random
import select
import socket
import tempfile
import time
import zlib
from pathlib import Path

from broker_process import Broker
from raw_websocket import BINARY, TEXT, ConnectionEnded, RawWebSocket, encode_frame, encode_close

ONE_MIB = 1 << 20


# The client that must not notice


def stand_by(port, began, ended, answers):
    """Sends itself a message every five milliseconds, and records how long each took to return, in milliseconds."""
    websocket = RawWebSocket(connect(port), f"127.0.0.1:{port}", "/t/bystander/own")
    websocket.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    waits = []
    began.set()
    while not ended.is_set():
        start = time.monotonic()
        websocket.send_frame(BINARY, b"still here")
        websocket.receive_message(timeout=60)
        waits.append((time.monotonic() - start) * 1000)
        time.sleep(0.005)
    answers.put(waits)


# The floods; each is a separate process and ends after `seconds`


def connect(port, **options):
    plain = socket.socket()
    for name, value in options.items():
        plain.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    plain.settimeout(20)
    plain.connect(("127.0.0.1", port))
    return plain


def websocket(port, path="/ws", **options):
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate"} if options.pop("compressed", False) else {}
    return RawWebSocket(connect(port, **options), f"127.0.0.1:{port}", path, (), headers)


def push(plain, data, seconds, reads):
    """Sends `data` again and again, and reads the answers, or nothing."""
    plain.setblocking(False)
    end, at = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        moved = False
        try:
            at += plain.send(data[at:at + ONE_MIB])
            at, moved = (0, True) if at >= len(data) else (at, True)
        except BlockingIOError:
            pass
        except OSError:
            return
        if reads:
            try:
                if not plain.recv(ONE_MIB):
                    return
                moved = True
            except BlockingIOError:
                pass
            except OSError:
                return
        if not moved:
            time.sleep(0.001)


def pipelined(request, reads):
    def flood(port, seconds):
        push(connect(port), request * 1000, seconds, reads)
    return flood


def frames(text, reads, path="/ws"):
    def flood(port, seconds):
        push(websocket(port, path).plain, encode_frame(TEXT, text * (ONE_MIB // len(text))), seconds, reads)
    return flood


def arrays(port, seconds):
    filters = json.dumps({"op": "subscribe", "filter": [f"flood/{n}" for n in range(1000)]}).encode()
    push(websocket(port).plain, encode_frame(TEXT, filters) * 8, seconds, True)


def huge_array(port, seconds):
    filters = json.dumps({"op": "subscribe", "filter": ["f/999"] * 100_000}).encode()
    push(websocket(port).plain, encode_frame(TEXT, filters), seconds, True)


def bombs(port, seconds):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = (deflate.compress(b"{}\n" * (ONE_MIB // 3)) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    crowd = [websocket(port, compressed=True).plain for _ in range(50)]
    frame, end = encode_frame(TEXT, payload, reserved=4), time.monotonic() + seconds
    for plain in crowd:
        plain.setblocking(False)
    while time.monotonic() < end:
        for plain in crowd:
            try:
                plain.send(frame)
            except OSError:
                pass
        time.sleep(0.01)


def unread_snapshots(port, seconds):
    for number in range(300):
        push_all(connect(port), f"PUT /t/v/{number}?retain HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 16384\r\n"
                 "Connection: close\r\n\r\n".encode() + os.urandom(16384))
    crowd, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        if len(crowd) < 1100:
            try:
                plain = connect(port, SO_RCVBUF=4096)
                plain.sendall(b"GET /s/v/%23 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                crowd.append(plain)
            except OSError:
                time.sleep(0.01)
        else:
            time.sleep(0.01)


def push_all(plain, data):
    plain.sendall(data)
    plain.recv(65536)
    plain.close()


def silent(port, seconds):
    crowd, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            crowd.append(connect(port))
        except OSError:
            time.sleep(0.01)
        if len(crowd) >= 10_000:
            crowd.clear()


def unfinished(port, seconds):
    crowd, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        if len(crowd) < 200:
            try:
                one = websocket(port, "/t/flood")
                one.plain.sendall(encode_frame(BINARY, bytes(ONE_MIB))[:-1])
                crowd.append(one)
            except (OSError, ConnectionEnded):
                pass
        else:
            time.sleep(0.05)


def wildcards(port, seconds):
    crowd = []
    for connection in range(10):
        one = websocket(port)
        for first in range(0, 1000, 100):
            filters = [f"+/+/+/+/+/+/+/+/{connection}-{first + n}/#" for n in range(100)]
            one.send_text(json.dumps({"op": "subscribe", "filter": filters, "snapshot": False}))
        crowd.append(one)
    push(websocket(port, "/t/a/b/c/d/e/f/g/h/i/j?echo=false").plain, encode_frame(BINARY, b"x") * 1000, seconds, True)


def deep_wildcards(port, seconds, buffers={}, **options):
    """100,000 filters of 32 levels that match every topic of the flood, and each topic once."""
    crowd, choice = [], random.Random(1)
    for connection in range(100):
        one = websocket(port, **buffers)
        for _ in range(10):
            filters = set()
            while len(filters) < 100:
                single = set(choice.sample(range(31), 8))
                filters.add("/".join("+" if level in single else "l" for level in range(31)) + "/#")
            one.send_text(json.dumps({"op": "subscribe", "filter": sorted(filters), "snapshot": False, **options}))
        crowd.append(one)
    topics = ["/".join(["l"] * 31 + [str(number)]) for number in range(10_000)]
    lines = [json.dumps({"op": "publish", "topic": topic, "data": 1}) + "\n" for topic in topics]
    frames = b"".join(encode_frame(TEXT, "".join(lines[first:first + 1000]).encode()) for first in range(0, 10_000, 1000))
    push(websocket(port).plain, frames, seconds, True)


def deep_wildcards_behind(port, seconds):
    """The same, with clients that fall behind."""
    deep_wildcards(port, seconds, {"SO_RCVBUF": 4096}, slow="drop-oldest")


def comers(port, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            one = websocket(port)
            one.plain.sendall(encode_close(1000))
            one.plain.close()
        except (OSError, ConnectionEnded):
            pass


def passwords(port, seconds):
    """5,000 clients that each present a password, at once, and wait for the answer."""
    crowd, poll = {}, select.poll()
    for number in range(5000):
        plain = connect(port)
        user = base64.b64encode(f"user{number}:guess".encode())
        plain.sendall(b"GET /t/a HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Basic " + user + b"\r\n\r\n")
        crowd[plain.fileno()] = plain
        poll.register(plain, select.POLLIN)
    end = time.monotonic() + seconds
    while crowd and time.monotonic() < end:
        for descriptor, _ in poll.poll(100):
            poll.unregister(descriptor)
            crowd.pop(descriptor).close()
    time.sleep(max(0, end - time.monotonic()))


POST = b"POST /t/flood HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n\r\nx"
PUT = b"PUT /t/flood?retain HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n\r\nx"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
# The kind of flood, the number of its processes, and the broker's configuration.
KINDS = {
    "none": (lambda port, seconds: time.sleep(seconds), 1, ""),
    "pipelined-publish": (pipelined(POST, True), 2, ""),
    "pipelined-retain": (pipelined(PUT, True), 2, ""),
    "pipelined-metrics": (pipelined(METRICS, True), 2, ""),
    "pipelined-unread": (pipelined(METRICS, False), 4, ""),
    "errors": (frames(b"{}\n", True), 2, ""),
    "errors-unread": (frames(b"{}\n", False), 8, ""),
    "publish-lines": (frames(b'{"op":"publish","topic":"a","data":1}\n', True), 2, ""),
    "subscribe-again": (frames(b'{"op":"subscribe","filter":"a"}\n', True), 2, ""),
    "subscribe-arrays": (arrays, 2, ""),
    "huge-array": (huge_array, 2, ""),
    "compressed-errors": (bombs, 1, "compression: { enabled: true }\n"),
    "unread-snapshots": (unread_snapshots, 1, ""),
    "silent-connections": (silent, 2, "limits: { connections: 200 }\n"),
    "unfinished-messages": (unfinished, 1, ""),
    "wildcards": (wildcards, 1, ""),
    "deep-wildcards": (deep_wildcards, 1, ""),
    "deep-wildcards-behind": (deep_wildcards_behind, 1, ""),
    "passwords": (passwords, 2, ""),
    "comers-and-goers": (comers, 2, ""),
}


def resident(pid, name="VmRSS"):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(name, seconds):
    """By how many MiB the broker's memory rose, how many seconds of CPU it took, and the other client's waits, sorted."""
    flood, processes, config = KINDS[name]
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(folder, config).start()
        try:
            began, ended, answers = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Queue()
            other = multiprocessing.Process(target=stand_by, args=(broker.port, began, ended, answers), daemon=True)
            other.start()
            began.wait(60)
            before, took = resident(broker.process.pid), cpu(broker.process.pid)
            crowd = [multiprocessing.Process(target=flood, args=(broker.port, seconds), daemon=True)
                     for _ in range(processes)]
            for one in crowd:
                one.start()
            for one in crowd:
                one.join(seconds + 240)
            rose = resident(broker.process.pid, "VmHWM") - before
            took = cpu(broker.process.pid) - took
            ended.set()
            waits = sorted(answers.get(timeout=240))
            for one in crowd:
                one.kill()
            return rose, took, waits
        finally:
            broker.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], default=[])
    chosen = parser.parse_args()
    print(f"{'flood':22} {'memory rose':>12} {'CPU':>9} {'wait: half':>11} {'99 %':>11} {'longest':>11}")
    for name in chosen.kinds or KINDS:
        rose, took, waits = measure(name, chosen.seconds)
        print(f"{name:22} {rose:8.1f} MiB {took:7.2f} s {waits[len(waits) // 2]:8.2f} ms "
              f"{waits[len(waits) * 99 // 100]:8.2f} ms {waits[-1]:8.2f} ms", flush=True)


if __name__ == "__main__":
    main()
