#!/usr/bin/python3
"""Kills brokerd at random moments, over and over, and checks that it kept its word.

    crash_rig.py [--cycles N] [--seed N] [--power]

A cycle: publishers over every endpoint, `kill -9` at a random moment (now and then while it starts), a new start on
the same data. Then: everything acknowledged as stored is there, each value whole and one that was sent, what survived
of each publisher is everything up to some point and nothing after it, and `seq` goes on above all that anybody saw.
With --power, what was written and not synced is lost at the kill, all of it or a random part (fragile_disk.py).
"""

import argparse
import base64
import http.client
import json
import random
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from broker_process import Broker
from crash_writers import WRITERS, HTTPWriter, payload
from deadlines import wait_until
from fragile_disk import FragileDisk


class Failed(Exception):
    """The broker broke its word; the text says how."""


class CrashRig:
    """One data directory, and the brokers that serve it one after the other."""

    def __init__(self, directory, seed, loses_power=False):
        self.seed, self.random = seed, random.Random(seed)
        self.broker = Broker(directory)
        self.disk = None
        if loses_power:
            self.disk = FragileDisk(directory, self.broker.data, keeps_journal=True)
            self.broker.environment = self.disk.environment
        # The last version that each publisher used, and what is stored: {topic: (version, seq)}.
        self.versions, self.stored = {}, {}
        self.highest = 0
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
        """One life of the broker, its end, and the check of what is left; the broker runs afterwards."""
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
        connection = http.client.HTTPConnection("127.0.0.1", self.broker.port, timeout=10)
        connection.request("GET", "/s/crash/%23?snapshot=false")
        return connection.getresponse()

    def _seen(self, response):
        """The numbers of all messages that a follower was sent before the end."""
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
        found = self._read()
        for writer in writers:
            def mine(values):
                return {topic: value for topic, value in values.items() if topic in writer.topics}
            if problem := writer.check(mine(self.stored), mine(found)):
                raise Failed(problem)
        busy = {topic for writer in writers for topic in writer.topics}
        for topic in (self.stored.keys() | found.keys()) - busy:
            if self.stored.get(topic) != found.get(topic):
                raise Failed(f"{topic}: was {self.stored.get(topic)}, is {found.get(topic)}, and nobody published it")
        used = [seq for writer in writers for seq in writer.seqs] + seen + [seq for _, seq in found.values()]
        self.highest = max([self.highest, *used])
        seq = self.broker.publish("after/restart", "x")["seq"]
        if seq <= self.highest:
            raise Failed(f"seq fell: {self.highest} was used, {seq} is given after the restart")
        self.highest = seq
        self.stored = found

    def _read(self):
        """All retained values, each compared with what it must be byte for byte: {topic: (version, seq)}."""
        answer = self.broker.http("GET", "/s/crash/%23?poll=1", headers={"Accept": "application/x-ndjson"}, timeout=30)
        if answer.status != 200:
            raise Failed(f"the values cannot be read: {answer}")
        found = {}
        for line in answer.body.splitlines():
            message = json.loads(line)
            if "topic" not in message:
                continue
            data = message["data"]
            value = base64.b64decode(data) if message.get("encoding") == "base64" else data.encode()
            version = int(value.split(b" ", 1)[0])
            if value != payload(message["topic"], version):
                raise Failed(f"{message['topic']}, version {version}, is not what was sent: {value[:200]}…")
            if message["topic"] in found:
                raise Failed(f"{message['topic']} is there twice")
            found[message["topic"]] = (version, message["seq"])
        return found

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
                print(f"{number} cycles, {rig.acknowledged} messages acknowledged and there, "
                      f"{seconds / number:.2f} s a cycle", flush=True)
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
