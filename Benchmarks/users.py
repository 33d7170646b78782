#!/usr/bin/python3
"""Measures the cost of a large file of users and tokens: the time to load it, and the memory of an entry.

    Benchmarks/users.py [--users 10000] [--tokens 100000] [--rounds 5]

The broker is started without the file and with it. The time of a load is the additional CPU time of the start; the memory is
that of the process when it listens. Then the file is changed while the broker runs, to measure when the change takes effect.
"""
import argparse
import base64
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BROKERD = os.environ.get("BROKERD", str(HERE.parent / ".build/release/brokerd"))
HASH = "$scrypt$ln=15,r=8,p=3$" + "A" * 22 + "$" + "A" * 43


def lines(users, tokens):
    digest = base64.b64encode(bytes(32)).decode()
    for number in range(users):
        yield {"user": f"user{number}", "password": HASH, "roles": ["sensor"], "created": 1}
    for number in range(tokens):
        yield {"token": f"{number:08}", "sha256": digest, "user": f"user{number % users}", "created": 1}


def write(path, entries):
    new = path.with_suffix(".new")
    with open(new, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)
    os.replace(new, path)


def processor(pid):
    """Seconds of CPU time that a process has used."""
    tasks = pathlib.Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def resident(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def start(entries):
    """CPU seconds and bytes of a broker that listens, and the CPU seconds that it takes to read its file again."""
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder, "data")
        data.mkdir(mode=0o700)
        write(data / "access.jsonl", entries)
        broker = subprocess.Popen(
            [BROKERD, "--data-dir", str(data), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            wait(broker, "listen")
            time.sleep(0.5)
            used, taken = processor(broker.pid), resident(broker.pid)
            write(data / "access.jsonl", [*entries, {"user": "late"}])
            wait(broker, "loaded the changed file")
            return used, taken, processor(broker.pid) - used
        finally:
            broker.terminate()
            broker.wait(60)


def wait(broker, words):
    for line in broker.stdout:
        if words in line.lower():
            return
    raise SystemExit(f"users: brokerd ended with {broker.wait()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    entries = list(lines(chosen.users, chosen.tokens))
    rows = []
    for _ in range(chosen.rounds):
        (without, empty, _), (used, taken, again) = start([]), start(entries)
        rows.append((used - without, (taken - empty) / len(entries), again))
    loads, sizes, changes = (statistics.median(column) for column in zip(*rows))
    print(f"{len(entries)} entries: {loads:.3f} s of CPU to load, {changes:.3f} s when changed, {sizes:.0f} B each")


if __name__ == "__main__":
    main()
