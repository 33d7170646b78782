#!/usr/bin/python3
"""Kills brokerd at random moments, again and again, and checks that it kept its promises.

    crash_rig.py [--cycles N] [--seed N] [--power]

A cycle: publishers over every endpoint, `kill -9` at a random moment (now and then while it starts), a new start on
the same data. Then: everything acknowledged as stored is there, retained or in the history, each message whole and one
that was sent, what survived of each publisher is everything up to some point and nothing after it, and `seq` goes on
above all that anybody saw. A client that resumes, from any position and over any endpoint, gets what is kept after it, in order and
once, and is told of what is not. With --power, what was written and not synced is lost at the kill, all of it or a random
part (fragile_disk.py).
"""

import argparse
import http.client
import random
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from broker_process import Broker
from crash_model import CONFIG, KEPT, Stored, kept
from crash_readers import Failed, Resumption, read_values
from crash_writers import WRITERS, HTTPWriter
from deadlines import wait_until
from fragile_disk import FragileDisk


class CrashRig:
    """One data directory, and the brokers that serve it one after the other."""

    def __init__(self, directory, seed, loses_power=False):
        self.seed, self.random = seed, random.Random(seed)
        self.broker = Broker(directory, CONFIG)
        self.disk = None
        if loses_power:
            self.disk = FragileDisk(directory, self.broker.data, keeps_journal=True)
            self.broker.environment = self.disk.environment
        # The last version that each publisher used, and the stored messages.
        self.versions, self.stored = {}, Stored()
        # The acknowledged messages of the last cycles that must be kept, {seq: (topic, payload)}.
        self.recent = {}
        self.highest, self.epoch = 0, None
        self.resumed = 0
        self.is_killed = False
        self.acknowledged = self.cycles = 0

    def start(self):
        if self.disk:
            self.disk.power_on()
        self.is_killed = False
        self.broker.start()

    def kill(self):
        self.is_killed = True
        self.broker.kill()
        if self.disk:
            self.disk.cut_power(self.random.choice((0, 0, 0.1, 0.5, 0.9)))

    def cycle(self):
        """Runs the broker, kills it, and checks what is left; the broker runs afterwards."""
        if not self.broker.is_alive:
            self.start()
        writers = [kind(self, number, self.random.random())
                   for number, kind in enumerate(self.random.choices(WRITERS, k=3) + [HTTPWriter])]
        follower = self._follow()
        for writer in writers:
            writer.start()
        self._let_them_work(writers)
        self.kill()
        for writer in writers:
            writer.join(20)
            if writer.is_alive():
                raise Failed(f"{writer.prefix} hangs after the kill")
        seen = self._seen(follower)
        if self.random.random() < 0.15:
            self._kill_while_it_starts()
        before = len(self.broker.lines)
        self.start()
        if any("damaged" in line for line in self.broker.lines[before:]):
            raise Failed(f"the store was found damaged: {self.broker.lines[before:]}")
        self._check(writers, seen)
        self.acknowledged += sum(writer.acknowledged for writer in writers)
        self.cycles += 1

    def _let_them_work(self, writers):
        kind = self.random.random()
        if kind < 0.1:
            return  # killed at once
        wanted = self.random.randrange(1, 40 if kind < 0.5 else 250)
        wait_until(
            lambda: sum(writer.acknowledged for writer in writers) >= wanted
            or not any(writer.is_alive() for writer in writers), f"{wanted} acknowledgements", 60)
        time.sleep(self.random.random() * 0.02)  # so that the kill comes at any moment between two of them

    def _kill_while_it_starts(self):
        if self.disk:
            self.disk.power_on()
        process = self.broker.launch()
        time.sleep(self.random.random() * 0.04)
        process.kill()
        process.wait()
        if self.disk:
            self.disk.cut_power(0)

    def _follow(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.broker.port, timeout=60)
        connection.request("GET", "/s/crash/%23?snapshot=false")
        return connection.getresponse()

    def _seen(self, response):
        """The numbers of all messages that a follower received before the end."""
        received = []
        try:
            while piece := response.read1(1 << 20):
                received.append(piece)
        except (OSError, http.client.HTTPException, ValueError):
            pass
        return [int(seq) for seq in re.findall(rb'"topic":"crash/[^"]*","seq":(\d+),"time"', b"".join(received))]

    def _check(self, writers, seen):
        if seen != sorted(set(seen)):
            raise Failed(f"a follower saw seq fall or twice: {seen}")
        self._check_epoch()
        found = self.read()
        for writer in writers:
            if problem := writer.check(self.stored, found):
                raise Failed(problem)
        busy = {topic for writer in writers for topic in writer.topics}
        idle = (self.stored.topics | found.topics) - busy
        if problem := self.stored.part(idle).difference(found.part(idle)):
            raise Failed(f"nobody published, and yet: {problem}")
        for writer in writers:
            self.recent |= {seq: (sent.topic, sent.payload) for sent, seq in zip(writer.sent, writer.seqs)
                            if kept(sent.topic)}
        self.recent = dict(sorted(self.recent.items())[-1000:])
        self._resume(found, seen)
        self.highest = max([self.highest, *seen, *found.seqs, *(seq for writer in writers for seq in writer.seqs)])
        seq = self.broker.publish("after/restart", "x")["seq"]
        if seq <= self.highest:
            raise Failed(f"seq fell: {self.highest} was used, {seq} is given after the restart")
        self.highest = seq
        self.stored = found

    def _check_epoch(self):
        session = self.broker.session()
        epoch = session.welcome["epoch"]
        session.close()
        if self.epoch not in (None, epoch):
            raise Failed(f"the epoch was {self.epoch} and is {epoch}")
        self.epoch = epoch

    def read(self):
        """Reads everything that is stored."""
        found = Stored(read_values(self.broker))
        for kind in KEPT:
            for message in Resumption(self.broker, self.epoch, f"crash/+/{kind}/#", 0, "lines").messages:
                found.history.setdefault(message.topic, []).append((message.payload, message.seq))
        return found

    def _resume(self, found, seen):
        """Resumes from random positions, like clients that lost their connections."""
        everything = sorted((seq, topic, payload) for topic, messages in found.history.items()
                            for payload, seq in messages)
        positions = [0, self.highest, *self.recent, *([seen[-1]] * 5 if seen else [])]
        for _ in range(3):
            filter_ = self.random.choice([f"crash/+/{kind}/#" for kind in KEPT] + list(found.history))
            resumption = Resumption(
                self.broker, self.epoch, filter_, self.random.choice(positions), self.random.choice(Resumption.WAYS))
            resumption.check(everything, self.recent)
            self.resumed += 1

    def close(self):
        if self.broker.is_alive:
            self.broker.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--power", action="store_true", help="lose what was not synced")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="broker-crash-"))
    rig = CrashRig(directory, options.seed, options.power)
    begin = time.monotonic()
    print(f"seed {options.seed}, data in {directory}", flush=True)
    try:
        for number in range(1, options.cycles + 1):
            rig.cycle()
            if number % 50 == 0 or number == options.cycles:
                seconds = time.monotonic() - begin
                print(f"{number} cycles, {rig.acknowledged} messages acknowledged and there or pushed out by newer ones, "
                      f"{rig.resumed} times resumed, {seconds / number:.2f} s a cycle", flush=True)
        rig.close()
    except BaseException as failure:
        if rig.broker.is_alive:
            rig.broker.kill()
        print("\n".join(rig.broker.lines[-20:]))
        print(f"cycle {rig.cycles + 1}: {type(failure).__name__}: {failure}\n(data kept in {directory})")
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
