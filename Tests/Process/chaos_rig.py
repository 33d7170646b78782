#!/usr/bin/python3
"""Lets an engine and its brokers fail in seeded ways, and checks that nothing acknowledged is lost.

    chaos_rig.py [--runs N] [--seed N] [--faults N] [--fault NAME]...

A run: a primary with two replicas and three sentinels, three brokers, at each a publisher and a follower; one fault after
the other, each when all is well again. Then: every message that was acknowledged is in the history of every broker, with
the number of its answer, or with another where the engine had lost it and its broker has sent it again; none is there
twice; each publisher's are in its order; and each follower has been shown the same, in the same order, but for what a `gap`
told it, and has been told what it was shown and is in no log any more. Users and tokens are changed meanwhile: what was
confirmed holds at all brokers. And nobody waited for more than 3 s for an acknowledgement once the
engine had a new primary that a replica follows, or its links were mended.
"""

import argparse
import bisect
import http.client
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
FILTER = "chaos/#"
TOPICS = [f"chaos/{number}" for number in range(3)]
# The maximum of unanswered publications of a publisher.
WINDOW = 8
# The maximum of seconds without an acknowledgement, once they are possible again.
LONGEST_OUTAGE = 3
# By how much numbers jump at least, and more than messages are there in between.
JUMP = 1 << 20


class Publisher(threading.Thread):
    """Publishes at one broker, some at a time, and records the answers."""

    def __init__(self, broker, stop):
        super().__init__(daemon=True)
        self.broker, self.stop, self.name = broker, stop, broker.directory.name
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
                    text = f"{self.name} {self.number}"
                    under_way[str(self.number)] = text
                    session.send(op="publish", id=str(self.number), topic=TOPICS[self.number % 3], data=text, ack="stored",
                                 retain=self.number % 2 == 0)
                    self.number += 1
                answer = session.receive()
                if "id" not in answer:
                    # The broker begins again.
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
        """The longest time between two acknowledgements, counted from a moment on, and without the times when the engine was `lacking`."""
        times = sorted([since, time.monotonic()] + [at for at in [*self.times, *lacking] if at > since])
        return max(after - before for before, after in zip(times, times[1:]))


class Follower(threading.Thread):
    """Follows at one broker, and returns to it with its last position."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.broker = broker
        # The position of the last message.
        self.since = None
        self.seen, self.gaps, self.failure = [], 0, None
        # What a gap took back.
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
        session.send(op="subscribe", id="s", filter=FILTER, since=self.since or f"{epoch}-0")
        while not self.is_complete.is_set():
            received = session.receive()
            if received["op"] == "message":
                # What the values are is compared in the end.
                if received.get("retained"):
                    continue
                self.since = f"{epoch}-{received['seq']}"
                self.seen.append((received["seq"], received["data"]))
                if received["topic"] == "chaos/end":
                    self.is_complete.set()
            elif received["op"] == "gap" and received.get("undone"):
                self.undone += [one for one in self.seen if one[0] > received["since"]]
                self.seen = [one for one in self.seen if one[0] <= received["since"]]
                self.since = f"{epoch}-{received['seq']}"
            elif received["op"] == "gap":
                self.gaps += 1
            elif received["op"] == "error":
                raise AssertionError(received)


class Administrator(threading.Thread):
    """Changes users and tokens, at one broker after the other, and notes what it is answered."""

    # Seconds between two changes.
    PACE = 0.25

    def __init__(self, brokers, stop, seed):
        super().__init__(daemon=True)
        self.brokers, self.stop, self.random = brokers, stop, random.Random(seed)
        # Whether each is there; `None`: that was not confirmed.
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
        # Until it is answered nothing is known.
        states[name] = None
        if broker.control(*verb).returncode == 0:
            states[name] = is_there
            self.confirmed += 1

    def check(self):
        """What was confirmed holds at all brokers, and they are equal."""
        lists = [sorted(row["user"] for row in broker.control_json("users", "list")) for broker in self.brokers]
        assert lists[0] == lists[1] == lists[2], f"the users differ: {lists}"
        for user, is_there in self.users.items():
            assert is_there is None or (user in lists[0]) == is_there, f"{user} was confirmed, and is not so: {is_there}"
        for token, is_there in self.tokens.items():
            user = self.users[self.owners[token]]
            statuses = [broker.http("GET", f"/t/{TOPICS[0]}", headers=bearer(token)).status for broker in self.brokers]
            assert statuses[0] == statuses[1] == statuses[2], f"a token of {self.owners[token]}: {statuses}"
            if is_there is not None and user is not None:
                assert (statuses[0] != 401) == (is_there and user), f"a token of {self.owners[token]}: {statuses}"


class ChaosRig:
    """One engine and its three brokers."""

    def __init__(self, directory, seed):
        self.random = random.Random(seed)
        self.story, self.outages, self.sent_again = [], [], 0
        self.network = Network()
        self.brokers, self.engine, self.promotions = [], None, None
        try:
            clocks = [FragileDisk(self.make(directory / f"clock{number}"), directory / f"none{number}") for number in range(3)]
            self.engine_clocks = [clock.faults for clock in clocks]
            self.engine = Engine(directory / "engine", network=self.network,
                                 environments=[clock.environment for clock in clocks])
            self.promotions = Promotions(self.engine)
            self.promotions.start()
            self.fitness = Fitness(self.promotions)
            self.fitness.start()
            self.views, self.broker_clocks = [], []
            for name in NAMES:
                view = View(self.engine)
                clock = FragileDisk(self.make(directory / f"clock-{name}"), directory / f"none-{name}")
                config = (f"cluster:\n  name: test\n  node: {name}\n  engine:\n{view.settings}"
                          f'history:\n  - {{ filter: "{FILTER}", messages: 1000000 }}\n')
                self.views.append(view)
                self.broker_clocks.append(clock.faults)
                self.brokers.append(Broker(directory / name, config, environment=clock.environment).start())
            self.settle()
        except BaseException:
            self.end()
            raise
        self.stop = threading.Event()
        self.publishers = [Publisher(broker, self.stop) for broker in self.brokers]
        self.followers = [Follower(broker) for broker in self.brokers]
        self.administrator = Administrator(self.brokers, self.stop, seed)

    @staticmethod
    def make(directory):
        directory.mkdir(parents=True)
        return directory

    def end(self):
        for broker in self.brokers:
            if broker.is_alive:
                broker.send_signal(signal.SIGCONT)
                broker.kill()
        if self.promotions:
            self.promotions.stop.set()
        if self.engine:
            self.engine.end()
        self.network.end()

    def settle(self):
        for broker in self.brokers:
            wait_until(lambda broker=broker: is_ready(broker), f"{broker.directory.name} is ready: {self.story}")
        wait_until(self.engine.is_whole, f"an engine that is whole: {self.story}")

    def run(self, faults):
        """Has the faults with these names happen."""
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
                lacking = list(self.fitness.lacking)
                outage = max(publisher.longest_silence(since, lacking) for publisher in publishers)
                self.outages.append((outage, name))
                self.story[-1] += f" (out {outage:.2f} s)"
        self.progress(20)
        self.stop.set()
        for thread in [*self.publishers, self.administrator]:
            thread.join()
        self.brokers[0].publish("chaos/end", "end", "ack=stored")

    def progress(self, count, without=None, of=None):
        """Waits until each publisher, but for one broker's, or each `of` these, has been acknowledged so many messages more."""
        goals = [(publisher, len(publisher.acknowledged) + count) for publisher in of or self.publishers
                 if publisher.broker is not without]
        for publisher, goal in goals:
            wait_until(lambda publisher=publisher, goal=goal: len(publisher.acknowledged) >= goal,
                       f"acknowledgements at {publisher.name}: {self.story}")

    def check(self):
        """Returns how many messages there are."""
        for follower in self.followers:
            wait_until(follower.is_complete.is_set, f"everything at {follower.broker.directory.name}: {self.story}, "
                       f"{follower.failure}")
        histories = [history(broker) for broker in self.brokers]
        assert histories[0] == histories[1] == histories[2], "the histories differ"
        kept = histories[0]
        seqs, texts = [seq for seq, _, _ in kept], [text for _, text, _ in kept]
        assert seqs == sorted(set(seqs)), "not in order"
        assert len(set(texts)) == len(texts), "some are there twice"
        numbers, known = {seq: text for seq, text, _ in kept}, set(texts)
        for publisher in self.publishers:
            lost = [one for one in publisher.acknowledged if numbers.get(one[0]) != one[1]]
            again = [one for one in lost if is_in_jump(one[0], seqs) and one[1] in known]
            self.sent_again += len(again)
            lost = [one for one in lost if one not in again]
            assert not lost, f"acknowledged at {publisher.name} and not there: {lost[:10]} of {len(lost)}"
            own = [int(text.split()[1]) for text in texts if text.startswith(publisher.name + " ")]
            assert own == sorted(own), f"out of order: {publisher.name}"
        for follower in self.followers:
            name = follower.broker.directory.name
            shown = [seq for seq, _ in follower.seen]
            assert shown == sorted(set(shown)), f"shown twice or out of order at {name}"
            wrong = [one for one in follower.seen if numbers.get(one[0]) != one[1]]
            assert not wrong, f"shown at {name} and not there: {wrong[:10]}"
            untrue = [one for one in follower.undone if not is_in_jump(one[0], seqs)]
            assert not untrue, f"said to be undone at {name}, and there: {untrue[:10]}"
            assert follower.gaps or len(shown) == len(kept), f"{len(kept) - len(shown)} not shown at {name}, without a gap"
        values = [[(answer := broker.retained(topic)).status, answer.body] for broker in self.brokers for topic in TOPICS]
        assert values[:3] == values[3:6] == values[6:], f"the retained values differ: {values}"
        self.administrator.check()
        return len(kept)

    @property
    def longest_outage(self):
        return max(self.outages, default=(0, "none"))


def is_in_jump(seq, seqs):
    """Whether the log skipped a number when another process of the engine continued it."""
    place = bisect.bisect_left(seqs, seq)
    return 0 < place < len(seqs) and seqs[place] != seq and seqs[place] - seqs[place - 1] > JUMP


def is_ready(broker):
    try:
        return broker.http("GET", "/health/ready").status == 200
    except (OSError, http.client.HTTPException):
        return False


def history(broker):
    """The whole history, as a new client gets it."""
    session = broker.session()
    session.send(op="subscribe", id="s", filter=FILTER, since=f"{session.welcome['epoch']}-0")
    found = []
    while True:
        received = session.receive()
        if received["op"] == "message":
            found.append((received["seq"], received["data"], received["topic"]))
            if received["topic"] == "chaos/end":
                return found


def faults_of(seed, count):
    """The faults of a run: all of them, shuffled by the seed, and then again."""
    places = range(seed * count, (seed + 1) * count)
    deals = {place // len(Faults.NAMES) for place in places}
    shuffled = {deal: random.Random(deal).sample(Faults.NAMES, len(Faults.NAMES)) for deal in deals}
    return [shuffled[place // len(Faults.NAMES)][place % len(Faults.NAMES)] for place in places]


def run(seed, faults, directory, longest=LONGEST_OUTAGE):
    """One run, with so many faults, or those with these names; returns what happened in it, as a line.

    Nobody may wait longer than so many seconds once it is possible again.
    """
    rig = ChaosRig(Path(directory), seed)
    try:
        rig.run(faults_of(seed, faults) if isinstance(faults, int) else faults)
        count = rig.check()
        outage, fault = rig.longest_outage
        assert outage <= longest, f"{outage:.1f} s without an acknowledgement at {fault}: {rig.story}"
        refused = sum(publisher.refused for publisher in rig.publishers)
        gaps = sum(follower.gaps for follower in rig.followers)
        return (f"seed {seed}: {count} messages, {refused} refused, {rig.sent_again} sent again, {gaps} gaps, "
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
    parser.add_argument("--fault", action="append", choices=Faults.NAMES, help="instead; may be repeated")
    options = parser.parse_args()
    failed = 0
    for seed in range(options.seed, options.seed + options.runs):
        directory = tempfile.mkdtemp(prefix="broker-chaos-")
        try:
            print(run(seed, options.fault or options.faults, directory), flush=True)
            shutil.rmtree(directory)
        except AssertionError as failure:
            failed += 1
            print(f"FAILED {failure}; see {directory}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
