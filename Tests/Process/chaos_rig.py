#!/usr/bin/python3
"""Lets an engine and its brokers fail in seeded ways, and checks that nothing acknowledged is lost.

    chaos_rig.py [--runs N] [--seed N] [--faults N] [--partitions N] [--fault NAME]...

A run: a primary with two replicas and three sentinels, three brokers, at each a publisher and a follower; one fault after
the other, each when all is well again. Then: every message that was acknowledged is in the history of every broker, with
the number of its answer, or with another where the engine had lost it and its broker has sent it again; none is there
twice; each publisher's are in its order; and each follower has been shown the same, in the same order, but for what a `gap`
told it, and has been told what it was shown and is in no log any more. Users and tokens are changed meanwhile: what was
confirmed holds at all brokers. And nobody waited for more than 3 s for an acknowledgement once the
engine had a new primary that a replica follows, or its links were mended.

With several partitions each has an engine of its own, of which one fails at a time; the orders are those of each partition.
"""

import argparse
import bisect
import http.client
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from access_harness import bearer
from broker_process import Broker
from chaos_faults import Faults
from deadlines import wait_until
from fragile_disk import FragileDisk
from link_proxy import Network
from raw_websocket import ConnectionEnded, RefusedHandshake
from redis_rig import Engine, Fitness, Promotions, View

NAMES = "abc"
# The maximum of unanswered publications of a publisher.
WINDOW = 8
# What makes a record so large that it is appended by a transaction.
LARGE = " " + "x" * 2500
# The maximum of seconds without an acknowledgement, once they are possible again.
LONGEST_OUTAGE = 3
# By how much numbers jump at least; there are fewer messages than that between two jumps.
JUMP = 1 << 20


class Publisher(threading.Thread):
    """Publishes at one broker, some at a time, and records the answers."""

    def __init__(self, broker, topics, stop):
        super().__init__(daemon=True)
        self.broker, self.topics, self.stop, self.name = broker, topics, stop, broker.directory.name
        self.acknowledged, self.times, self.refused, self.number = [], [], 0, 0

    def run(self):
        while not self.stop.is_set():
            try:
                self.publish(self.broker.session())
            except (OSError, AssertionError, ConnectionEnded, RefusedHandshake):
                self.stop.wait(0.05)

    def publish(self, session):
        under_way = {}
        try:
            while under_way or not self.stop.is_set():
                while len(under_way) < WINDOW and not self.stop.is_set():
                    text = f"{self.name} {self.number}{LARGE if self.number % 8 == 0 else ''}"
                    under_way[str(self.number)] = text
                    session.send(op="publish", id=str(self.number), topic=self.topics[self.number % len(self.topics)],
                                 data=text, ack="stored", retain=self.number % 2 == 0)
                    self.number += 1
                answer = session.receive()
                if "id" not in answer:
                    # The broker restarts.
                    continue
                text = under_way.pop(answer["id"])
                if answer["op"] == "ok":
                    assert answer["stored"], answer
                    self.acknowledged.append((answer["seq"], text))
                    self.times.append(time.monotonic())
                else:
                    self.refused += 1
                    self.stop.wait(0.05)
        finally:
            self.refused += len(under_way)
            session.close()

    def longest_silence(self, since, lacking):
        """The longest time between two acknowledgements after a moment, without the times when the engine was `lacking`."""
        times = sorted([since, time.monotonic()] + [at for at in [*self.times, *lacking] if at > since])
        return max(after - before for before, after in zip(times, times[1:]))


class Follower(threading.Thread):
    """Follows at one broker, and returns to it with its last position."""

    def __init__(self, broker, partitions):
        super().__init__(daemon=True)
        self.broker, self.partitions, self.ends = broker, partitions, set()
        # The last number of each partition.
        self.parts = [0] * partitions
        self.seen, self.gaps, self.failure = [], 0, None
        # The messages that a gap has revoked.
        self.undone = []
        self.is_complete, self.stop = threading.Event(), threading.Event()

    def run(self):
        while not self.is_complete.is_set() and not self.stop.is_set():
            try:
                self.follow()
            except (OSError, AssertionError, ConnectionEnded, RefusedHandshake) as failure:
                self.failure = failure
                self.stop.wait(0.05)

    def follow(self):
        session = self.broker.session()
        epoch = session.welcome["epoch"]
        session.send(op="subscribe", id="s", filter=filter_of(self.partitions), since=position(epoch, self.parts))
        while not self.is_complete.is_set():
            received = session.receive()
            if received["op"] == "message":
                # The values are compared at the end.
                if received.get("retained"):
                    continue
                self.parts[received["seq"] % self.partitions] = received["seq"]
                self.seen.append((received["seq"], received["data"]))
                if received["topic"].endswith("/end"):
                    self.ends.add(received["topic"])
                    if len(self.ends) == self.partitions:
                        self.is_complete.set()
            elif received["op"] == "gap" and received.get("undone"):
                self.take_back(parts_of(received["since"]), parts_of(received.get("position", received.get("seq"))))
            elif received["op"] == "gap":
                self.gaps += 1
            elif received["op"] == "error":
                raise AssertionError(received)


    def take_back(self, since, reached):
        """Drops the messages between two positions, which are in no log, in the partitions where the positions differ."""
        gone = {one for one in self.seen
                if since[one[0] % self.partitions] < one[0] and since[one[0] % self.partitions] < reached[one[0] % self.partitions]}
        self.undone += gone
        self.seen = [one for one in self.seen if one not in gone]
        self.parts = [max(pair) for pair in zip(self.parts, reached)]


class Administrator(threading.Thread):
    """Changes users and tokens, at one broker after the other, and records the answers."""

    # Seconds between two changes.
    PACE = 0.25

    def __init__(self, brokers, topic, stop, seed):
        super().__init__(daemon=True)
        self.brokers, self.topic, self.stop, self.random = brokers, topic, stop, random.Random(seed)
        # Whether each user and token exists; `None`: the last change was not confirmed.
        self.users, self.tokens, self.owners = {}, {}, {}
        self.confirmed = 0

    def run(self):
        while not self.stop.wait(self.PACE):
            try:
                self.change(self.random.choice(self.brokers))
            except (OSError, subprocess.SubprocessError):
                pass

    def change(self, broker):
        present = [user for user, is_there in self.users.items() if is_there]
        minted = [token for token, is_there in self.tokens.items() if is_there and self.users[self.owners[token]]]
        kind = self.random.random()
        if kind < 0.4 or not present:
            user = f"user-{len(self.users)}"
            self.ask(broker, self.users, user, True, "users", "add", user, "--no-password")
        elif kind < 0.7:
            user = self.random.choice(present)
            done = broker.control("token", "mint", "--user", user)
            if done.returncode == 0:
                token = done.stdout.decode().strip()
                self.owners[token] = user
                self.tokens[token] = True
        elif kind < 0.85 and minted:
            token = self.random.choice(minted)
            self.ask(broker, self.tokens, token, False, "token", "revoke", token)
        else:
            user = self.random.choice(present)
            self.ask(broker, self.users, user, False, "users", "remove", user)

    def ask(self, broker, states, name, is_there, *verb):
        # The outcome is unknown until the answer.
        states[name] = None
        if broker.control(*verb).returncode == 0:
            states[name] = is_there
            self.confirmed += 1

    def check(self):
        """Checks that confirmed changes are in force at all brokers, and that these are equal."""
        lists = [sorted(row["user"] for row in broker.control_json("users", "list")) for broker in self.brokers]
        assert lists[0] == lists[1] == lists[2], f"the users differ: {lists}"
        for user, is_there in self.users.items():
            assert is_there is None or (user in lists[0]) == is_there, f"{user} was confirmed, and is not so: {is_there}"
        for token, is_there in self.tokens.items():
            user = self.users[self.owners[token]]
            statuses = [broker.http("GET", f"/t/{self.topic}", headers=bearer(token)).status for broker in self.brokers]
            assert statuses[0] == statuses[1] == statuses[2], f"a token of {self.owners[token]}: {statuses}"
            if is_there is not None and user is not None:
                assert (statuses[0] != 401) == (is_there and user), f"a token of {self.owners[token]}: {statuses}"


class ChaosRig:
    """An engine for each partition, and three brokers."""

    def __init__(self, directory, seed, partitions=1):
        self.random, self.partitions = random.Random(seed), partitions
        names = names_of(partitions)
        # So many that each topic is used for retained and other messages in turn.
        self.topics = [f"{name}/{number}" for place, name in enumerate(names) for number in range(3 if place == 0 else 2)]
        self.ends = [f"{name}/end" for name in names]
        self.story, self.outages, self.sent_again = [], [], 0
        self.network = Network()
        self.brokers, self.engines, self.promotions, self.fitness = [], [], [], []
        self.publishers, self.followers, self.stop = [], [], threading.Event()
        try:
            clocks = [FragileDisk(self.make(directory / f"clock{number}"), directory / f"none{number}") for number in range(3)]
            self.engine_clocks = [clock.faults for clock in clocks]
            for place in range(partitions):
                self.engines.append(Engine(directory / f"engine{place}", network=self.network,
                                           environments=[clock.environment for clock in clocks]))
                self.promotions.append(Promotions(self.engines[-1]))
                self.promotions[-1].start()
                self.fitness.append(Fitness(self.promotions[-1]))
                self.fitness[-1].start()
            # Each engine as the brokers see it.
            self.views, self.broker_clocks = [[] for _ in self.engines], []
            for name in NAMES:
                views = [View(engine) for engine in self.engines]
                clock = FragileDisk(self.make(directory / f"clock-{name}"), directory / f"none-{name}")
                config = (f"cluster:\n  name: test\n  node: {name}\n{engine_settings(views)}"
                          f'history:\n  - {{ filter: "{filter_of(partitions)}", messages: 1000000 }}\n')
                for place, view in enumerate(views):
                    self.views[place].append(view)
                self.broker_clocks.append(clock.faults)
                self.brokers.append(Broker(directory / name, config, environment=clock.environment).start())
            self.settle()
        except BaseException:
            self.end()
            raise
        self.publishers = [Publisher(broker, self.topics, self.stop) for broker in self.brokers]
        self.followers = [Follower(broker, partitions) for broker in self.brokers]
        self.administrator = Administrator(self.brokers, self.topics[0], self.stop, seed)

    @staticmethod
    def make(directory):
        directory.mkdir(parents=True)
        return directory

    def end(self):
        # After a failure they would go on at whatever has their broker's port next.
        self.stop.set()
        for follower in self.followers:
            follower.stop.set()
        for broker in self.brokers:
            if broker.is_alive:
                broker.send_signal(signal.SIGCONT)
                broker.kill()
        for promotions in self.promotions:
            promotions.stop.set()
        for engine in self.engines:
            engine.end()
        self.network.end()

    def settle(self):
        for broker in self.brokers:
            wait_until(lambda broker=broker: is_ready(broker), f"{broker.directory.name} is ready: {self.story}")
        for engine in self.engines:
            wait_until(engine.is_whole, f"an engine that is whole: {self.story}")

    def key(self, partition):
        """The key of a log."""
        name = "test" if self.partitions == 1 else f"test.{partition}of{self.partitions}"
        return f"broker:{{{name}}}:log"

    def log_of(self, broker, partition):
        """A broker's status of a log."""
        answer = json.loads(broker.control("cluster", "--json").stdout)
        return answer["partitions"][partition] if self.partitions > 1 else answer

    def run(self, faults):
        """Causes the faults with these names, one after the other."""
        for thread in [*self.publishers, *self.followers, self.administrator]:
            thread.start()
        doer = Faults(self)
        for name in faults:
            self.progress(20)
            self.story.append(name)
            began = time.monotonic()
            told = doer.happen(name)
            took = time.monotonic() - began
            self.settle()
            self.progress(5)
            self.story[-1] = f"{name} {took:.1f} s"
            if told:
                since, publishers = told
                lacking = [moment for fitness in self.fitness for moment in fitness.lacking]
                outage = max(publisher.longest_silence(since, lacking) for publisher in publishers)
                self.outages.append((outage, name))
                self.story[-1] += f" (out {outage:.2f} s)"
        self.progress(20)
        self.stop.set()
        for thread in [*self.publishers, self.administrator]:
            thread.join()
        for end in self.ends:
            self.brokers[0].publish(end, end, "ack=stored")

    def progress(self, count, without=None, of=None):
        """Waits until each publisher, except one broker's, or each `of` these, has so many more acknowledged messages."""
        goals = [(publisher, len(publisher.acknowledged) + count) for publisher in of or self.publishers
                 if publisher.broker is not without]
        for publisher, goal in goals:
            wait_until(lambda publisher=publisher, goal=goal: len(publisher.acknowledged) >= goal,
                       f"acknowledgements at {publisher.name}: {self.story}")

    def check(self):
        """Checks the whole history, and returns how many messages it has."""
        for follower in self.followers:
            wait_until(follower.is_complete.is_set, f"everything at {follower.broker.directory.name}: {self.story}, "
                       f"{follower.failure}")
        histories = [[self.of(place, history(broker, self.partitions)) for place in range(self.partitions)]
                     for broker in self.brokers]
        assert histories[0] == histories[1] == histories[2], "the histories differ"
        kept = [one for part in histories[0] for one in part]
        seqs, texts = [[seq for seq, _, _ in part] for part in histories[0]], [text for _, text, _ in kept]
        assert all(part == sorted(set(part)) for part in seqs), "not in order"
        assert len(set(texts)) == len(texts), "some are there twice"
        numbers, known = {seq: text for seq, text, _ in kept}, set(texts)
        for publisher in self.publishers:
            lost = [one for one in publisher.acknowledged if numbers.get(one[0]) != one[1]]
            again = [one for one in lost if self.is_in_jump(one[0], seqs) and one[1] in known]
            self.sent_again += len(again)
            lost = [one for one in lost if one not in again]
            assert not lost, f"acknowledged at {publisher.name} and not there: {lost[:10]} of {len(lost)}"
            for part in histories[0]:
                own = [int(text.split()[1]) for _, text, _ in part if text.startswith(publisher.name + " ")]
                assert own == sorted(own), f"out of order: {publisher.name}"
        for follower in self.followers:
            name = follower.broker.directory.name
            shown = [[seq for seq, _ in self.of(place, follower.seen)] for place in range(self.partitions)]
            assert all(part == sorted(set(part)) for part in shown), f"shown twice or out of order at {name}"
            wrong = [one for one in follower.seen if numbers.get(one[0]) != one[1]]
            assert not wrong, f"shown at {name} and not there: {wrong[:10]}"
            untrue = [one for one in follower.undone if not self.is_in_jump(one[0], seqs)]
            assert not untrue, f"said to be undone at {name}, and there: {untrue[:10]}"
            missing = len(kept) - len(follower.seen)
            assert follower.gaps or not missing, f"{missing} not shown at {name}, without a gap"
        values = [[((answer := broker.retained(topic)).status, answer.body) for topic in self.topics] for broker in self.brokers]
        assert values[0] == values[1] == values[2], f"the retained values differ: {values}"
        self.administrator.check()
        return len(kept)

    def of(self, place, messages):
        """The messages of a partition."""
        return [one for one in messages if one[0] % self.partitions == place]

    def is_in_jump(self, seq, seqs):
        """Whether the log skipped a number when another process of the engine continued it."""
        own = seqs[seq % self.partitions]
        place = bisect.bisect_left(own, seq)
        return 0 < place < len(own) and own[place] != seq and own[place] - own[place - 1] > JUMP * self.partitions

    @property
    def longest_outage(self):
        return max(self.outages, default=(0, "none"))


def filter_of(partitions):
    return "chaos/#" if partitions == 1 else "#"


def names_of(partitions):
    """A first level of each partition."""
    if partitions == 1:
        return ["chaos"]
    names = {}
    for number in range(100 * partitions):
        names.setdefault(partition_of(f"chaos{number}", partitions), f"chaos{number}")
    return [names[place] for place in range(partitions)]


def partition_of(level, partitions):
    """As docs/protocol.md has it."""
    value = 0xCBF29CE484222325
    for byte in level.encode():
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return (value ^ value >> 32) % partitions


def position(epoch, parts):
    text = str(parts[0]) if len(parts) == 1 else ",".join(f"{place}:{seq}" for place, seq in enumerate(parts))
    return f"{epoch}-{text}"


def parts_of(position):
    """The number of each partition."""
    if isinstance(position, int):
        return [position]
    return [int(part.split(":")[1]) for part in position.split("-")[-1].split(",")]


def engine_settings(views):
    if len(views) == 1:
        return f"  engine:\n{views[0].settings}"
    lines = "".join(item(view.settings) for view in views)
    return f"  partitions: {len(views)}\n  engines:\n{lines}"


def item(settings):
    """The lines of a section as an item of a list."""
    lines = settings.splitlines()
    return "".join(f"    {'- ' if number == 0 else '  '}{line.strip()}\n" for number, line in enumerate(lines))


def is_ready(broker):
    try:
        return broker.http("GET", "/health/ready").status == 200
    except (OSError, http.client.HTTPException):
        return False


def history(broker, partitions):
    """The whole history, as a new client gets it."""
    session = broker.session()
    since = position(session.welcome["epoch"], [0] * partitions)
    session.send(op="subscribe", id="s", filter=filter_of(partitions), since=since)
    found, ends = [], set()
    while True:
        received = session.receive()
        if received["op"] == "message":
            found.append((received["seq"], received["data"], received["topic"]))
            if received["topic"].endswith("/end"):
                ends.add(received["topic"])
                if len(ends) == partitions:
                    return found


def faults_of(seed, count):
    """The faults of a run: all of them, shuffled by the seed, and then again."""
    places = range(seed * count, (seed + 1) * count)
    deals = {place // len(Faults.NAMES) for place in places}
    shuffled = {deal: random.Random(deal).sample(Faults.NAMES, len(Faults.NAMES)) for deal in deals}
    return [shuffled[place // len(Faults.NAMES)][place % len(Faults.NAMES)] for place in places]


def run(seed, faults, directory, longest=LONGEST_OUTAGE, partitions=1):
    """One run, with so many faults, or those with these names; returns what happened in it, as a line.

    Nobody may wait longer than so many seconds once it is possible again.
    """
    rig = ChaosRig(Path(directory), seed, partitions)
    try:
        rig.run(faults_of(seed, faults) if isinstance(faults, int) else faults)
        count = rig.check()
        outage, fault = rig.longest_outage
        assert outage <= longest, f"{outage:.1f} s without an acknowledgement at {fault}: {rig.story}"
        refused = sum(publisher.refused for publisher in rig.publishers)
        gaps = sum(follower.gaps for follower in rig.followers)
        return (f"seed {seed}: {partitions} partitions, {count} messages, {refused} refused, {rig.sent_again} sent again, {gaps} gaps, "
                f"{rig.administrator.confirmed} changes of users; "
                f"{', '.join(rig.story)}")
    except BaseException as failure:
        for broker in rig.brokers:
            (broker.directory / "lines").write_text("\n".join(broker.lines))
        raise AssertionError(f"seed {seed}: {failure!r}; {rig.story}") from failure
    finally:
        rig.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; each other has the next")
    parser.add_argument("--faults", type=int, default=4, help="of a run")
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--fault", action="append", choices=Faults.NAMES, help="instead; may be repeated")
    options = parser.parse_args()
    failed = 0
    for seed in range(options.seed, options.seed + options.runs):
        directory = tempfile.mkdtemp(prefix="broker-chaos-")
        try:
            print(run(seed, options.fault or options.faults, directory, partitions=options.partitions), flush=True)
            shutil.rmtree(directory)
        except AssertionError as failure:
            failed += 1
            print(f"FAILED {failure}; see {directory}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
