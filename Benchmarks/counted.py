#!/usr/bin/python3
"""Counts the cost of the broker's operations, and compares the counts with Benchmarks/thresholds.tsv.

    Benchmarks/counted.py [PREFIX]            count, compare, exit 1 above a threshold
    Benchmarks/counted.py --update [PREFIX]   count and rewrite the thresholds

Instructions and allocations per operation come from callgrind, bytes of the heap from the C library. They are the same
on a busy machine as on an idle one, and nearly the same on another of the same kind: hence the tolerance.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = HERE.parent / ".build/benchmarks/release/counted"
THRESHOLDS = HERE / "thresholds.tsv"
# How far above its threshold a figure may be: a fraction of it, and this many in any case.
TOLERANCE, SLACK = 0.03, 2.0
# How far below it must be for the threshold to be worth lowering.
IMPROVEMENT = 0.05
ALLOCATORS = re.compile(r"(__libc_)?(malloc|calloc|realloc|posix_memalign|aligned_alloc|memalign|valloc)$")
COLUMNS = ("instructions", "allocations", "bytes")


def count(prefix):
    """Runs the program under callgrind: {figure: {column: value}}."""
    if prefix.startswith("memory/"):
        return count_memory(prefix)
    figures, output = run_program(prefix)
    return figures | sizes(output) | count_memory(prefix)


def count_memory(prefix):
    """What connections take of the heap: {figure: {column: value}}.

    Always measured in one process that does nothing else, and without the allocator's caches: what lies in these counts as
    taken, so that a figure would depend by 5% on what was measured before it, and on the machine.
    """
    if not (prefix.startswith("memory/") or "memory/".startswith(prefix)):
        return {}
    _, output = run_program("memory/", {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"})
    return {name: size for name, size in sizes(output).items() if name.startswith(prefix)}


def sizes(output):
    """The figures in bytes that the program has printed."""
    lines = (line.split() for line in output.splitlines() if line.startswith("memory "))
    return {name: {"bytes": float(value)} for _, name, value in lines}


def run_program(prefix, settings={}):
    """Runs the program once: what the dumps hold, and what it has printed."""
    with tempfile.TemporaryDirectory() as folder:
        dumps = pathlib.Path(folder, "callgrind")
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no",
                   "--dump-instr=yes", "--compress-pos=no", f"--callgrind-out-file={dumps}", str(PROGRAM), prefix]
        environment = dict(os.environ, SWIFT_DETERMINISTIC_HASHING="1", SWIFT_BACKTRACE="enable=no", TMPDIR=folder, **settings)
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
        if run.returncode != 0:
            sys.exit(f"counted: the run failed ({run.returncode})\n{run.stdout}{run.stderr}")
        figures = {}
        for dump in pathlib.Path(folder).glob("callgrind.*"):
            figures.update(read_dump(dump))
        return figures, run.stdout


def read_dump(path):
    """The figure in one dump of callgrind's; nothing where it is the one at the program's end.

    Allocations are how often the first instructions of the allocators ran. The numbers of calls in a dump will not do: they
    have in them what is not counted, the preparations and what other threads do meanwhile.
    """
    names, entries, entry, figure, operations, total, is_call = {}, {}, None, None, 1, 0, False
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("0x"):
            if entry is not None and not is_call:
                address, *_, cost = line.split()
                entry[int(address, 16)] = entry.get(int(address, 16), 0) + int(cost)
        elif line.startswith("desc: Trigger: Client Request: "):
            figure, operations = line.removeprefix("desc: Trigger: Client Request: ").rsplit(" ", 1)
        elif line.startswith(("fn=", "cfn=")):
            number, _, name = line.split("=", 1)[1].partition(" ")
            if name:
                names[number] = name
            if line.startswith("fn="):
                entry = entries.setdefault(names[number], {}) if ALLOCATORS.match(names[number]) else None
        elif line.startswith("totals: "):
            # Not `summary:`, from which callgrind may have subtracted the cost before the figure, too.
            total = int(line.split()[1])
        # The line after it is the cost of the call, not of the caller's instructions.
        is_call = line.startswith("calls=")
    if figure is None:
        return {}
    allocations = sum(costs[min(costs)] for costs in entries.values() if costs)
    return {figure: {"instructions": total / int(operations), "allocations": allocations / int(operations)}}


def read_thresholds():
    thresholds = {}
    for line in THRESHOLDS.read_text().splitlines() if THRESHOLDS.exists() else []:
        if line and not line.startswith("#"):
            name, *values = line.split("\t")
            thresholds[name] = {c: float(v) for c, v in zip(COLUMNS, values) if v != "-"}
    return thresholds


def write_thresholds(thresholds):
    rows = ["# What each operation may cost, as counted by Benchmarks/counted.py on x86-64; it also writes this file (--update).",
            "# figure\t" + "\t".join(COLUMNS)]
    for name in sorted(thresholds):
        values = thresholds[name]
        rows.append("\t".join([name] + [shown(values.get(column)) for column in COLUMNS]))
    THRESHOLDS.write_text("\n".join(rows) + "\n")


def shown(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def highest(column, limit):
    """The maximum of a figure."""
    # A socket that was full once makes a backlog, so a busy machine adds a few allocations to a thousand.
    slack = SLACK if column == "instructions" else 16 if column == "bytes" else 0.25
    return limit * (1 + TOLERANCE) + slack


def count_again(figures, thresholds):
    """Counts figures above their thresholds again, and keeps the lower count: a busy kernel may have split one turn in two."""
    for name, values in figures.items():
        limits = thresholds.get(name, {})
        if any(column in limits and value > highest(column, limits[column]) for column, value in values.items()):
            for column, value in count(name).get(name, {}).items():
                values[column] = min(value, values[column])


def compare(figures, thresholds):
    """Prints every figure; returns those that are too high, and those that have improved."""
    worse, better = [], []
    print(f"{'figure':44}{'instructions':>14}{'threshold':>12}{'allocations':>13}{'threshold':>12}{'bytes':>9}{'threshold':>11}")
    for name in sorted(figures):
        limits = thresholds.get(name, {})
        cells = ""
        for column, widths in zip(COLUMNS, ((14, 12), (13, 12), (9, 11))):
            value, limit = figures[name].get(column), limits.get(column)
            cells += f"{shown(value):>{widths[0]}}{shown(limit):>{widths[1]}}"
            if value is None:
                continue
            if limit is None:
                worse.append(f"{name}: {column} has no threshold, counted {shown(value)}")
            elif value > highest(column, limit):
                worse.append(f"{name}: {column} {shown(value)}, at most {shown(limit)} (+{value / max(limit, 0.01) - 1:.0%})")
            elif value < limit * (1 - IMPROVEMENT) - highest(column, 0):
                better.append(f"{name}: {column} {shown(value)} instead of {shown(limit)}")
        print(f"{name:44}{cells}")
    return worse, better


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefix", nargs="?", default="", help="only figures whose names begin so")
    parser.add_argument("--update", action="store_true", help="write the thresholds instead of comparing with them")
    arguments = parser.parse_args()
    if not PROGRAM.exists():
        sys.exit(f"counted: {PROGRAM} is missing; make bench-counted builds it")
    figures = count(arguments.prefix)
    if not figures:
        sys.exit(f"counted: no figure begins with '{arguments.prefix}'")
    thresholds = read_thresholds()
    if arguments.update:
        kept = thresholds if arguments.prefix else {}
        kept.update(figures)
        write_thresholds(kept)
        print(f"{THRESHOLDS.relative_to(HERE.parent)}: {len(figures)} figures written")
        return
    count_again(figures, thresholds)
    worse, better = compare(figures, thresholds)
    if not arguments.prefix:
        worse += [f"{name}: has a threshold but was not counted" for name in sorted(thresholds.keys() - figures.keys())]
    if better:
        print("\nBetter than its threshold; keep it so by `Benchmarks/counted.py --update` and say why in the commit:")
        print("\n".join("  " + line for line in better))
    if worse:
        print("\nAbove its threshold. If that is the price of something that is worth it, raise the threshold in "
              "Benchmarks/thresholds.tsv\nand say why in the commit; otherwise profile the figure "
              "(Benchmarks/README.md) and mend the code:", file=sys.stderr)
        sys.exit("\n".join("  " + line for line in worse))


if __name__ == "__main__":
    main()
