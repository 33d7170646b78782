#!/usr/bin/python3
"""Measures a broker with many retained values: start, memory, snapshots. Prints a table for docs/measurements/retained.md.

    measure_retained.py [--values 1000000] [--runs 5]

The topics are a/0/c … a/N/z, 100 below each of the first two levels, with values of 20 bytes: `a/+/c` matches one of a
hundred. Each figure is the median of the runs.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from broker_process import Broker

LEAVES = ["c"] + [f"leaf{number}" for number in range(99)]


def fill(broker, count):
    session = broker.session()
    batch = 500
    for begin in range(0, count, batch):
        lines = [
            json.dumps({
                "op": "publish", "topic": f"a/{number // 100}/{LEAVES[number % 100]}", "retain": True,
                "data": f"value {number:014}", "ack": "stored" if number == count - 1 else "routed",
                **({"id": "last"} if number == count - 1 else {"id": begin} if number % batch == 0 else {})})
            for number in range(begin, min(begin + batch, count))]
        session.websocket.send_text("\n".join(lines))
        answer = session.receive(60)
        if answer["op"] == "error":
            raise SystemExit(f"refused: {answer}")
        # The disk is slower than the socket: what waits for it is bounded.
        while begin % (batch * 20) == 0 and broker.metrics()["broker_store_queue_messages"] > 20_000:
            time.sleep(0.005)
    while answer.get("id") != "last":
        answer = session.receive(60)
    assert answer["stored"] is True, answer


def start(broker):
    """Milliseconds until it listens, and of processor time until then."""
    begin = time.monotonic()
    broker.start()
    elapsed = (time.monotonic() - begin) * 1000
    tasks = Path(f"/proc/{broker.process.pid}/task").glob("*/schedstat")
    return elapsed, sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


def memory(broker):
    """Resident memory in MiB: all, and without pages of the store's file."""
    status = Path(f"/proc/{broker.process.pid}/status").read_text()
    fields = {line.split(":")[0]: line.split(":")[1].split()[0] for line in status.splitlines() if "kB" in line}
    return int(fields["VmRSS"]) / 1024, int(fields["RssAnon"]) / 1024


def snapshot(broker, filter_):
    """Milliseconds from the subscription to the end of the retained part, and how many values came."""
    session = broker.session()
    begin = time.monotonic()
    session.send(op="subscribe", id=1, filter=filter_)
    count = 0
    while True:
        _, payload = session.websocket.receive_message(60)
        count += payload.count(b'"op":"message"')
        if b'"op":"live"' in payload:
            elapsed = (time.monotonic() - begin) * 1000
            session.close()
            return elapsed, count


def median(values):
    return statistics.median(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="broker-measure-"))
    broker = Broker(directory, config="reactors: { count: 2 }\n")
    rows = []

    def row(what, values, unit, note=""):
        rows.append(f"| {what} | {median(values):,.1f} {unit} | {note} |")

    def start_row(what, prepare):
        figures = starts(prepare)
        row(what, [elapsed for elapsed, _ in figures], "ms",
            f"{median([processor for _, processor in figures]):,.1f} ms of processor time")

    def starts(prepare):
        figures = []
        for _ in range(options.runs):
            prepare()
            figures.append(start(broker))
            broker.http("GET", "/health/live")
        return figures

    broker.start()
    start_row("start, nothing stored, after SIGTERM", broker.stop)
    row("memory then", [memory(broker)[0]], "MiB", f"{memory(broker)[1]:,.1f} MiB of it not of files")
    begin = time.monotonic()
    fill(broker, options.values)
    seconds = time.monotonic() - begin
    metrics = broker.metrics()
    assert metrics["broker_retained_messages"] == options.values
    size = (broker.data / "broker.mdb").stat().st_size
    commits = metrics["broker_store_commits_total"]
    rows.append(f"| store {options.values:,} values by one JSON session | {seconds:,.1f} s | {commits:,.0f} commits, "
                f"file of {size / (1 << 20):,.0f} MiB |")
    start_row("start, after SIGTERM", broker.stop)
    start_row("start, after kill -9", broker.kill)
    row("memory after a start", [memory(broker)[0]], "MiB", f"{memory(broker)[1]:,.1f} MiB of it not of files")

    def touch():
        broker.stop()
        os.utime(broker.data / "broker.mdb")

    start_row("start, the file was touched: all pages checked", touch)
    row("memory then", [memory(broker)[0]], "MiB", f"{memory(broker)[1]:,.1f} MiB of it not of files")
    for filter_ in ("a/5000/c", "a/+/c", "#"):
        before = broker.metrics()["process_cpu_seconds_total"]
        taken = [snapshot(broker, filter_) for _ in range(options.runs)]
        processor = (broker.metrics()["process_cpu_seconds_total"] - before) * 1000 / options.runs
        row(f"snapshot of `{filter_}`", [milliseconds for milliseconds, _ in taken], "ms",
            f"{taken[0][1]:,} values, {processor:,.1f} ms of processor time")
    row("memory after these", [memory(broker)[0]], "MiB", f"{memory(broker)[1]:,.1f} MiB of it not of files")
    broker.stop()
    shutil.rmtree(directory)
    print("| what | median | |\n|---|---|---|\n" + "\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
