#!/usr/bin/python3
"""Has an engine and its brokers fail in seeded ways, and checks that nothing that was acknowledged is lost.

    chaos_rig.py [--runs N] [--seed N] [--faults N]

A run: a primary with two replicas and three sentinels, three brokers, at each a publisher and a follower; one fault after
the other, each when all is well again. Then: every message that was acknowledged is in the history of every broker, with
the number of its answer; none is there twice; each publisher's are in its order; and each follower has been shown the
same, in the same order, but for what a `gap` told it.
"""

import argparse
import http.client
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from broker_process import Broker
from deadlines import wait_until
from raw_websocket import ConnectionEnded
from redis_rig import Engine

NAMES = "abc"
FILTER = "chaos/#"
FAULTS = [
    "primary killed", "primary stopped", "primary emptied", "failover", "replica killed", "links cut",
    "broker killed", "broker stopped",
]


class Publisher(threading.Thread):
    """Publishes one message after the other at one broker, and notes what it is answered."""

    def __init__(self, broker, stop):
        super().__init__(daemon=True)
        self.broker, self.stop, self.name = broker, stop, broker.directory.name
        self.acknowledged, self.refused = [], 0

    def run(self):
        number = 0
        while not self.stop.is_set():
            text = f"{self.name} {number}"
            number += 1
            try:
                answer = self.broker.http("POST", f"/t/chaos/{number % 3}?ack=stored", body=text)
            except (OSError, http.client.HTTPException):
                answer = None
            if answer is not None and answer.status == 200:
                self.acknowledged.append((answer.json["seq"], text))
            else:
                self.refused += 1
                self.stop.wait(0.05)


class Follower(threading.Thread):
    """Follows at one broker, and returns to it with what it saw last."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.broker = broker
        self.seen, self.gaps, self.last, self.failure = [], 0, None, None
        self.is_complete, self.stop = threading.Event(), threading.Event()

    def run(self):
        while not self.is_complete.is_set() and not self.stop.is_set():
            try:
                self.follow()
            except (OSError, AssertionError, ConnectionEnded) as failure:
                self.failure = failure
                self.stop.wait(0.05)

    def follow(self):
        session = self.broker.session()
        since = f"{session.welcome['epoch']}-{self.last or 0}"
        session.send(op="subscribe", id="s", filter=FILTER, since=since)
        while not self.is_complete.is_set():
            received = session.receive()
            if received["op"] == "message":
                self.last = received["seq"]
                self.seen.append((received["seq"], received["data"]))
                if received["topic"] == "chaos/end":
                    self.is_complete.set()
            elif received["op"] == "gap":
                self.gaps += 1
            elif received["op"] == "error":
                raise AssertionError(received)


class ChaosRig:
    """One engine and its three brokers."""

    def __init__(self, directory, seed):
        self.random = random.Random(seed)
        self.story = []
        self.engine = Engine(directory / "engine")
        self.brokers = []
        try:
            for name in NAMES:
                config = (f"cluster:\n  name: test\n  node: {name}\n  engine:\n{self.engine.settings}"
                          f'history:\n  - {{ filter: "{FILTER}", messages: 1000000 }}\n')
                self.brokers.append(Broker(directory / name, config).start())
            self.settle()
        except BaseException:
            self.end()
            raise
        self.stop = threading.Event()
        self.publishers = [Publisher(broker, self.stop) for broker in self.brokers]
        self.followers = [Follower(broker) for broker in self.brokers]

    def end(self):
        for broker in self.brokers:
            if broker.is_alive:
                broker.send_signal(signal.SIGCONT)
                broker.kill()
        self.engine.end()

    def settle(self):
        for broker in self.brokers:
            wait_until(lambda broker=broker: is_ready(broker), f"{broker.directory.name} is ready: {self.story}")
        wait_until(self.engine.is_whole, f"an engine that is whole: {self.story}")

    def run(self, faults):
        for thread in [*self.publishers, *self.followers]:
            thread.start()
        for _ in range(faults):
            self.progress(20)
            fault = self.random.choice(FAULTS)
            began = time.monotonic()
            self.happen(fault)
            self.story.append(f"{fault} {time.monotonic() - began:.1f} s")
            self.settle()
        self.progress(20)
        self.stop.set()
        for publisher in self.publishers:
            publisher.join()
        self.brokers[0].publish("chaos/end", "end")

    def progress(self, count, without=None):
        """Waits until each publisher, but for one broker's, has been acknowledged so many messages more."""
        goals = [(publisher, len(publisher.acknowledged) + count) for publisher in self.publishers
                 if publisher.broker is not without]
        for publisher, goal in goals:
            wait_until(lambda publisher=publisher, goal=goal: len(publisher.acknowledged) >= goal,
                       f"acknowledgements at {publisher.name}: {self.story}")

    def happen(self, fault):
        """Does it, and mends it when the others have gone on."""
        primary = self.engine.current_primary()
        broker = self.random.choice(self.brokers)
        if fault == "primary killed":
            primary.end()
            self.progress(5)
            primary.again(replica_of=self.engine.current_primary(apart_from=primary))
        elif fault == "primary stopped":
            primary.process.send_signal(signal.SIGSTOP)
            self.progress(5)
            now = self.engine.current_primary(apart_from=primary)
            primary.process.send_signal(signal.SIGCONT)
            primary.ask("REPLICAOF", "127.0.0.1", str(now.port))
        elif fault == "primary emptied":
            primary.again(empty=True)
            self.progress(5)
        elif fault == "failover":
            self.engine.fail_over()
            self.progress(5)
        elif fault == "replica killed":
            replica = next(server for server in self.engine.servers if server is not primary)
            replica.end()
            self.progress(5)
            replica.again(replica_of=primary)
        elif fault == "links cut":
            for server in self.engine.servers:
                server.ask("CLIENT", "KILL", "TYPE", "normal")
            self.progress(5)
        elif fault == "broker killed":
            broker.kill()
            self.progress(20, without=broker)
            broker.start()
        elif fault == "broker stopped":
            broker.send_signal(signal.SIGSTOP)
            self.progress(20, without=broker)
            other = next(each for each in self.brokers if each is not broker)
            wait_until(lambda: not is_alive_for(other, broker), "the others to miss it")
            broker.send_signal(signal.SIGCONT)

    def check(self):
        """Returns how many messages there are."""
        for follower in self.followers:
            wait_until(follower.is_complete.is_set, f"everything at {follower.broker.directory.name}: {self.story}, "
                       f"{follower.failure}")
        histories = [history(broker) for broker in self.brokers]
        assert histories[0] == histories[1] == histories[2], "the histories differ"
        kept = histories[0]
        seqs, texts = [seq for seq, _ in kept], [text for _, text in kept]
        assert seqs == sorted(set(seqs)), "not in order"
        assert len(set(texts)) == len(texts), "some are there twice"
        numbers = dict(kept)
        for publisher in self.publishers:
            lost = [one for one in publisher.acknowledged if numbers.get(one[0]) != one[1]]
            assert not lost, f"acknowledged at {publisher.name} and not there: {lost[:10]} of {len(lost)}"
            own = [int(text.split()[1]) for text in texts if text.startswith(publisher.name + " ")]
            assert own == sorted(own), f"out of order: {publisher.name}"
        for follower in self.followers:
            name = follower.broker.directory.name
            shown = [seq for seq, _ in follower.seen]
            assert shown == sorted(set(shown)), f"shown twice or out of order at {name}"
            wrong = [one for one in follower.seen if numbers.get(one[0]) != one[1]]
            assert not wrong, f"shown at {name} and not there: {wrong[:10]}"
            assert follower.gaps or len(shown) == len(kept), f"{len(kept) - len(shown)} not shown at {name}, without a gap"
        return len(kept)


def is_ready(broker):
    try:
        return broker.http("GET", "/health/ready").status == 200
    except (OSError, http.client.HTTPException):
        return False


def is_alive_for(broker, other):
    rows = broker.control_json("cluster", "nodes")
    return next(row["alive"] for row in rows if row["name"] == other.directory.name)


def history(broker):
    """All that is kept, as a client gets it that was never there."""
    session = broker.session()
    session.send(op="subscribe", id="s", filter=FILTER, since=f"{session.welcome['epoch']}-0")
    found = []
    while True:
        received = session.receive()
        if received["op"] == "message":
            found.append((received["seq"], received["data"]))
            if received["topic"] == "chaos/end":
                return found


def run(seed, faults, directory):
    """One run; returns what happened in it, as a line."""
    rig = ChaosRig(Path(directory), seed)
    try:
        rig.run(faults)
        count = rig.check()
        refused = sum(publisher.refused for publisher in rig.publishers)
        gaps = sum(follower.gaps for follower in rig.followers)
        return f"seed {seed}: {count} messages, {refused} refused, {gaps} gaps; {', '.join(rig.story)}"
    finally:
        rig.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; each other has the next")
    parser.add_argument("--faults", type=int, default=4, help="of a run")
    options = parser.parse_args()
    for seed in range(options.seed, options.seed + options.runs):
        with tempfile.TemporaryDirectory(prefix="broker-chaos-") as directory:
            print(run(seed, options.faults, directory), flush=True)


if __name__ == "__main__":
    sys.exit(main())
