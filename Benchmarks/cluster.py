#!/usr/bin/python3
"""Measures the cost of the order of several brokers: publications and deliveries a second, latency, the engine's processor time;
beside NATS JetStream with three replicas.

    Benchmarks/cluster.py [--messages N] [--samples N]

A primary of Redis with two replicas and three sentinels, and three brokers, all on this machine. Latency is from before the `send`
of a publication at one broker to the delivery at another, one at a time, and the same at a broker by itself. Then publishers at all
three brokers publish in bursts, and each broker has a subscriber of all of it. The engine's processor time is that of its processes,
from /proc, for each message; the number of messages of an append comes from the brokers' figures.
Then three servers of NATS get the same load (`jetstream.py`), if `nats-server` is installed.
The latencies are valid only on an idle machine; the processor time is valid on a busy one, too.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
RELEASE = HERE.parent / ".build/release"
os.environ.setdefault("BROKERD", str(RELEASE / "brokerd"))
os.environ.setdefault("BROKERCTL", str(RELEASE / "brokerctl"))
sys.path.insert(0, str(HERE.parent / "Tests/Process"))

import jetstream  # noqa: E402
from broker_process import Broker  # noqa: E402
from deadlines import wait_until  # noqa: E402
from redis_rig import Engine  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
BURSTS = (1, 10, 100)


def seconds_of(process):
    """The processor time that a process has used."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def latencies(publishing, following, samples):
    """Milliseconds of each message from one broker to another, one after another, sorted."""
    publisher, follower = publishing.session(), following.session()
    follower.subscribe("latency")
    found = []
    for number in range(samples + 100):
        begin = time.perf_counter()
        publisher.send(op="publish", topic="latency", data=number)
        while follower.receive().get("data") != number:
            pass
        found.append((time.perf_counter() - begin) * 1000)
    publisher.close()
    follower.close()
    return sorted(found[100:])


def percentile(values, fraction):
    return values[min(len(values) - 1, int(len(values) * fraction))]


def ready(broker):
    try:
        return broker.http("GET", "/health/ready").status == 200
    except OSError:
        return False


def figures(brokers):
    samples = [broker.metrics() for broker in brokers]
    return {name: sum(each[name] for each in samples) for name in ("broker_cluster_appends_total", "broker_cluster_position")}


def throughput(engine, brokers, burst, messages):
    """The cost of a load in which each publication is a burst of this many messages."""
    followers = [
        subprocess.Popen([os.environ["BROKERCTL"], "bench", "sub", "bench", "--url", broker.url(), "--subscribers", "1",
                          "--seconds", "600", "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for broker in brokers]
    try:
        for broker in brokers:
            wait_until(lambda broker=broker: broker.metrics()["broker_subscriptions"] >= 1, "a subscriber")
        processes = {"primary": [engine.primary.process], "replicas": [each.process for each in engine.servers[1:]],
                     "brokers": [broker.process for broker in brokers]}
        before = {name: sum(map(seconds_of, those)) for name, those in processes.items()}
        appends, begin = figures(brokers)["broker_cluster_appends_total"], time.monotonic()
        loads = [
            subprocess.Popen([os.environ["BROKERCTL"], "bench", "pub", "--url", broker.url(), "--publishers", "4",
                              "--messages", str(messages // len(brokers)), "--burst", str(burst), "--topic", "bench", "--json"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for broker in brokers]
        for load in loads:
            printed, errors = load.communicate()
            assert load.returncode == 0, errors.decode()
            json.loads(printed)
        took = time.monotonic() - begin
        count = messages // len(brokers) * len(brokers)
        cost = {name: (sum(map(seconds_of, those)) - before[name]) * 1e6 / count for name, those in processes.items()}
        return count / took, count / (figures(brokers)["broker_cluster_appends_total"] - appends), cost
    finally:
        for follower in followers:
            follower.kill()
            follower.wait()


def compare_with_jetstream(directory, options):
    """Prints the same figures of JetStream."""
    servers = jetstream.JetStream(directory)
    try:
        values = jetstream.latencies(servers, options.samples)
        print("\n| NATS JetStream, three replicas | p50 ms | p99 ms |\n|---|---|---|\n"
              f"| two servers | {percentile(values, 0.5):.2f} | {percentile(values, 0.99):.2f} |\n")
        print("| messages of 64 B, published at three servers | published a second | delivered a second | µs of the three servers |\n"
              "|---|---|---|---|")
        for burst in BURSTS:
            before = sum(map(seconds_of, servers.processes))
            count, took = jetstream.throughput(servers, burst, count_of(options, burst))
            cost = (sum(map(seconds_of, servers.processes)) - before) * 1e6 / count
            rate = count / took
            print(f"| bursts of {burst} | {rate:,.0f} | {rate * len(servers.ports):,.0f} | {cost:.1f} |", flush=True)
    finally:
        servers.end()


def count_of(options, burst):
    """How many messages a load of such bursts has."""
    return options.messages * burst // 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=300_000)
    parser.add_argument("--samples", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="broker-bench-") as directory:
        directory = pathlib.Path(directory)
        alone = Broker(directory / "alone").start()
        engine = Engine(directory / "engine")
        brokers = [
            Broker(directory / name, f"cluster:\n  name: bench\n  node: {name}\n  engine:\n{engine.settings}").start()
            for name in "abc"]
        try:
            for broker in brokers:
                wait_until(lambda broker=broker: ready(broker), "a broker that is ready")
            print("| from a publication to its delivery, one at a time | p50 ms | p99 ms |\n|---|---|---|")
            rows = {"one broker": latencies(alone, alone, options.samples),
                    "two brokers of a cluster": latencies(brokers[0], brokers[1], options.samples)}
            for name, values in rows.items():
                print(f"| {name} | {percentile(values, 0.5):.2f} | {percentile(values, 0.99):.2f} |")
            added = [percentile(rows["two brokers of a cluster"], part) - percentile(rows["one broker"], part) for part in (0.5, 0.99)]
            print(f"| added | {added[0]:.2f} | {added[1]:.2f} |\n")
            print("| messages of 64 B, published at three brokers | published a second | delivered a second | messages an append "
                  "| µs of the primary, of both replicas, of the three brokers |\n|---|---|---|---|---|")
            for burst in BURSTS:
                rate, share, cost = throughput(engine, brokers, burst, count_of(options, burst))
                print(f"| bursts of {burst} | {rate:,.0f} | {rate * len(brokers):,.0f} | {share:.0f} "
                      f"| {cost['primary']:.2f}, {cost['replicas']:.2f}, {cost['brokers']:.1f} |", flush=True)
        finally:
            for broker in [alone, *brokers]:
                if broker.is_alive:
                    broker.kill()
            engine.end()
        if shutil.which("nats-server"):
            compare_with_jetstream(directory, options)
        else:
            print("nats-server is missing: `make bench-dependencies` installs it", file=sys.stderr)


if __name__ == "__main__":
    main()
