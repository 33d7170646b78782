"""What is in `format1.txt`: a store as the last broker that wrote format 1 left it (commit 28c87a5).

The file is base64 of a gzipped `broker.mdb`, after a line of JSON with what only that broker knew. It was made by

    git worktree add ../before 28c87a5 && make -C ../before build
    BROKERD=../before/.build/release/brokerd PYTHONPATH=Tests/Process python3 Tests/Process/stores/format1.py

and is made again only if something is missing in it.
"""

import base64
import gzip
import json
from pathlib import Path

FILE = Path(__file__).with_name("format1.txt")
CONFIG = """
history:
  - { filter: "log/#", messages: 3 }
"""
# Beyond every test's time: a hundred years, in seconds.
LONG = 3_155_760_000
LONG_TOPIC = "long/" + "x" * 900

# topic: (body, content type, query)
VALUES = {
    "plain": (b"hello", None, "retain"),
    "json/number": (b"21.5", "application/json", "retain"),
    "bytes": (bytes(range(256)), "image/png", "retain"),
    "typed": (b"<p>", "text/html", "retain"),
    "a//b/": ("ünïcode \U0001F600".encode(), None, "retain"),
    LONG_TOPIC: (b"long topic", "text/x-long", "retain"),
    "large": (b"0123456789" * 1000, None, "retain"),
    "mortal": (b"x", None, f"retain&ttl={LONG}"),
    "log/kept": (b"retained and kept", "text/x-both", "retain"),
}
# What a rule keeps of "log/#" besides the value, in order; the first two of log/a were pushed out.
HISTORY = [
    ("log/a", b"1", None), ("log/a", b"2", None), ("log/b", b"\x00\xff", "image/png"), ("log/a", b"3", None),
    ("log/a", b"4", None), ("log/a", b"5", "text/x-five"),
]


def unpack(path):
    """Writes the store's file to `path`, and returns what is known of it."""
    facts, data = FILE.read_text().split("\n", 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.write_bytes(gzip.decompress(base64.b64decode(data)))
    return json.loads(facts)


def make(directory):
    from broker_process import Broker

    broker = Broker(directory, CONFIG).start()
    try:
        broker.publish("removed", b"x", "retain")
        broker.publish("removed", b"", "retain")
        seqs = {}
        for topic, (body, type_, query) in VALUES.items():
            seqs[topic] = broker.publish(topic, body, query, {"Content-Type": type_} if type_ else {})["seq"]
        kept = [broker.publish(topic, body, "ack=stored", {"Content-Type": type_} if type_ else {})["seq"]
                for topic, body, type_ in HISTORY]
        times = {message["topic"]: message["time"] for message in map(
            json.loads, broker.control("retained", "export").stdout.splitlines())}
        status = broker.control_json("status")
    finally:
        broker.stop()
    facts = {"epoch": status["epoch"], "newest": kept[-1], "seqs": seqs, "kept": kept, "times": times}
    data = base64.encodebytes(gzip.compress((broker.data / "broker.mdb").read_bytes(), mtime=0)).decode()
    FILE.write_text(f"{json.dumps(facts)}\n{data}")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        make(directory)
