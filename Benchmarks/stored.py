#!/usr/bin/python3
"""Measures how long publishers wait for their messages to be on disk: one publisher, and 100 at once.

    Benchmarks/stored.py [--rounds N]

All publish a retained value and wait for `"stored":true`; when all have it, all publish the next. Every round has, in turn: the bare disk (a `pwrite` of a page and `fdatasync`,
and the writes of a commit of LMDB, which flushes twice), one publisher, 100 publishers, and 100 whose messages are only routed: that time is the processors' part. A second broker does
the same on a disk that is made slow (Peers/slow_disk.c delays its `fdatasync`), where the processors' part is small.
Latencies are of the load generator, from before the publications' `send` to the answer. They are shown in times of what one publisher waits for: the median, and the p99, since the sync of a disk
that others use too has a tail of its own. Valid only on an idle machine with an idle disk.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import peers

PAGE = 4096
SYNCS = 500
# The additional time of `fdatasync` on the slow disk, in microseconds.
DELAY = 5000


def disk(folder):
    """Milliseconds of each of many syncs in `folder`: of one page, and of the writes and flushes of a commit."""
    path = pathlib.Path(folder, "disk")
    path.write_bytes(bytes(16 * PAGE))
    file, meta = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR | os.O_DSYNC)
    os.fsync(file)
    pages, commits = [], []
    for number in range(SYNCS):
        begin = time.monotonic()
        os.pwrite(file, bytes([number % 256]) * PAGE, (2 + number % 8) * PAGE)
        os.fdatasync(file)
        end = time.monotonic()
        os.pwrite(meta, bytes([number % 256]) * 120, number % 2 * PAGE)
        pages.append((end - begin) * 1000)
        commits.append((time.monotonic() - begin) * 1000)
    os.close(file)
    os.close(meta)
    return pages, commits


def percentile(values, fraction):
    return sorted(values)[min(len(values) - 1, int(len(values) * fraction))]


def load(server, dialect, publishers, messages):
    result = peers.run(server, dialect, subscribers=0, publishers=publishers, messages=messages, warmup=10)
    if result is None:
        sys.exit("stored: the load generator failed")
    return {"rate": result["rate"], "p50": result["p50"] / 1000, "p99": result["p99"] / 1000}


class Rows:
    """The results of the rounds: {row: {column: [a value of each round]}}."""

    def __init__(self):
        self.found = {}

    def add(self, row, values):
        for column, value in values.items():
            self.found.setdefault(row, {}).setdefault(column, []).append(value)

    def median(self, row, column):
        return statistics.median(self.found[row][column])

    def show(self):
        print("| | a second | p50 ms: median (quartiles) | p99 ms: median (quartiles) |\n|---|---|---|---|")
        for row, columns in self.found.items():
            rate = f"{self.median(row, 'rate'):,.0f}" if "rate" in columns else "–"
            cells = []
            for column in ("p50", "p99"):
                first, median, third = peers.quartiles(columns[column])
                cells.append(f"{median:.3g} ({first:.3g}–{third:.3g})")
            print(f"| {row} | {rate} | {cells[0]} | {cells[1]} |", flush=True)


ONE, MANY, ROUTED = "one publisher", "100 publishers", "100 publishers, routed only"


def measure(rounds, folder, slow):
    fast, late = Rows(), Rows()
    servers = [(fast, peers.Server("broker", [], peers.broker(1), folder), (500, 20_000))]
    os.environ["LD_PRELOAD"], os.environ["SLOW_DISK_MICROSECONDS"] = str(slow), str(DELAY)
    try:
        servers.append((late, peers.Server("broker-slow", [], peers.broker(1, "epoll"), folder), (100, 5_000)))
    finally:
        del os.environ["LD_PRELOAD"]
    try:
        for _ in range(rounds):
            for name, times in zip(("`pwrite` of a page and `fdatasync`", "what a commit flushes"), disk(folder)):
                fast.add(name, {"p50": percentile(times, 0.5), "p99": percentile(times, 0.99)})
            for rows, server, (few, many) in servers:
                rows.add(ONE, load(server, "stored", 1, few))
                rows.add(MANY, load(server, "stored", 100, many))
                rows.add(ROUTED, load(server, "routed", 100, many))
    finally:
        for _, server, _ in servers:
            server.stop()
    return fast, late


def show_ratios(name, rows):
    one = rows.median(ONE, "p50")
    p99 = rows.median(MANY, "p99")
    print(f"| {name}: 100 publishers × one, a second | {rows.median(MANY, 'rate') / rows.median(ONE, 'rate'):.1f} |")
    print(f"| {name}: p99 of 100, in times of what one waits for: its median, its p99 "
          f"| {p99 / one:.1f}, {p99 / rows.median(ONE, 'p99'):.1f} |")
    print(f"| {name}: the same without the processors' part (p99 of the routed) "
          f"| {(p99 - rows.median(ROUTED, 'p99')) / one:.1f} times the median |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for program in (peers.LOAD, peers.BROKERD):
        if not program.exists():
            sys.exit(f"stored: {program} is missing; make bench builds it")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        slow = pathlib.Path(folder, "slow_disk.so")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", slow, peers.HERE / "Peers/slow_disk.c", "-ldl"], check=True)
        fast, late = measure(arguments.rounds, folder, slow)
    print("\n### Acknowledged as stored\n")
    fast.show()
    print(f"\nWith a disk whose `fdatasync` is made longer by {DELAY / 1000:g} ms and what waking up takes:\n")
    late.show()
    print("\n| figure | value |\n|---|---|")
    show_ratios("this disk", fast)
    show_ratios("the slow disk", late)


if __name__ == "__main__":
    main()
