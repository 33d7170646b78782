"""Faults of an engine and of its brokers, which are repaired when the others have continued."""

import signal
import time

from deadlines import wait_until

# Seconds, as `cluster.lease` is: a broker that hears nothing for longer is not ready.
LEASE = 3


class Faults:
    """The faults of one rig. Each is a method that repairs its own fault.

    A method returns the time, by the clock of the process, from which publications must be accepted again, and by which publishers;
    `None` if it does not define that.
    """

    NAMES = [
        "primary_killed", "primary_stopped", "primary_emptied", "failover", "replica_killed", "links_cut",
        "broker_killed", "broker_stopped", "broker_emptied", "broker_away_for_too_long",
        "broker_apart_from_engine", "broker_apart_from_primary", "broker_apart_from_replicas",
        "primary_apart_from_replicas", "primary_apart_from_sentinels", "network_split", "split_with_a_replica",
        "lagging_primary_killed", "slow_primary", "sleeping_engine", "clock_of_a_broker", "clock_of_the_engine",
        "functions_deleted",
    ]

    def __init__(self, rig):
        self.rig, self.random = rig, rig.random

    def happen(self, name):
        """A fault of one of the engines, or of a broker."""
        count = len(self.rig.engines)
        self.partition = self.random.randrange(count) if count > 1 else 0
        self.engine, self.views = self.rig.engines[self.partition], self.rig.views[self.partition]
        self.promotions, self.engine_clocks = self.rig.promotions[self.partition], self.rig.engine_clocks
        self.primary = self.engine.current_primary()
        self.replicas = [server for server in self.engine.servers if server is not self.primary]
        self.broker = self.random.choice(self.rig.brokers)
        self.others = [publisher for publisher in self.rig.publishers if publisher.broker is not self.broker]
        return getattr(self, name)()

    def stop_paths(self, paths):
        """Stops the paths, like an unplugged cable, or like a machine whose process is gone."""
        is_held = self.random.random() < 0.7
        for path in paths:
            path.hold() if is_held else path.cut()

    @staticmethod
    def mend(paths):
        for path in paths:
            path.mend()

    def last(self, shortest, longest):
        """How long a fault lasts."""
        time.sleep(self.random.uniform(shortest, longest))

    def promoted(self, since):
        """The time at which a majority of the sentinels had another primary."""
        return wait_until(lambda: self.promotions.moment(since), f"another primary: {self.rig.story}")

    # The engine

    def primary_killed(self):
        began = time.monotonic()
        self.primary.end()
        self.rig.progress(5)
        self.primary.again(replica_of=self.engine.current_primary(apart_from=self.primary))
        return self.promoted(began), self.rig.publishers

    def primary_stopped(self):
        began = time.monotonic()
        self.primary.process.send_signal(signal.SIGSTOP)
        self.rig.progress(5)
        now = self.engine.current_primary(apart_from=self.primary)
        self.primary.process.send_signal(signal.SIGCONT)
        self.primary.ask("REPLICAOF", "127.0.0.1", str(now.announced))
        return self.promoted(began), self.rig.publishers

    def primary_emptied(self):
        self.primary.again(empty=True)
        began = time.monotonic()
        self.rig.progress(5)
        return began, self.rig.publishers

    def failover(self):
        began = time.monotonic()
        self.engine.fail_over()
        self.rig.progress(5)
        return self.promoted(began), self.rig.publishers

    def replica_killed(self):
        replica = self.random.choice(self.replicas)
        replica.end()
        began = time.monotonic()
        self.rig.progress(5)
        replica.again(replica_of=self.primary)
        return began, self.rig.publishers

    def links_cut(self):
        for server in self.engine.servers:
            server.ask("CLIENT", "KILL", "TYPE", "normal")
        began = time.monotonic()
        self.rig.progress(5)
        return began, self.rig.publishers

    def lagging_primary_killed(self):
        """The primary dies before its replicas have what it has acknowledged."""
        paths = []
        for replica in self.replicas:
            lag = self.random.uniform(0.05, 0.6)
            for path in self.engine.paths(replica, self.primary):
                path.slow(delay=lag)
                paths.append(path)
        self.rig.progress(5)
        began = time.monotonic()
        self.primary.end()
        self.mend(paths)
        self.rig.progress(5)
        self.primary.again(replica_of=self.engine.current_primary(apart_from=self.primary))
        return self.promoted(began), self.rig.publishers

    def slow_primary(self):
        paths = [view.servers[self.primary] for view in self.views]
        delay, rate = self.random.choice([(0.05, None), (0.15, None), (0, 50_000)])
        for path in paths:
            path.slow(delay, rate)
        self.rig.progress(30)
        self.mend(paths)
        return time.monotonic(), self.rig.publishers

    def functions_deleted(self):
        """As after an upgrade of the brokers."""
        for _ in range(3):
            self.primary.ask("FUNCTION", "DELETE", "broker1")
            began = time.monotonic()
            self.rig.progress(5)
        return began, self.rig.publishers

    def sleeping_engine(self):
        """The engine pauses, but too briefly to be replaced."""
        for _ in range(3):
            self.random.choice(self.engine.servers).send("DEBUG", "SLEEP", f"{self.random.uniform(0.1, 0.35):.2f}")
            self.rig.progress(5)
        return time.monotonic(), self.rig.publishers

    def clock_of_the_engine(self):
        """The clock of one of its processes jumps, and then another process takes over."""
        clock = self.random.choice(self.engine_clocks)
        clock.set(clock_offset=self.random.choice([-3600, -5, 5, 3600]))
        self.rig.progress(5)
        began = time.monotonic()
        self.engine.fail_over()
        self.rig.progress(5)
        clock.set(clock_offset=0)
        self.rig.progress(5)
        return self.promoted(began), self.rig.publishers

    # Its links

    def primary_apart_from_replicas(self):
        """No message can be in two places, so none may be acknowledged."""
        paths = [path for replica in self.replicas for path in self.engine.paths(replica, self.primary)]
        self.stop_paths(paths)
        self.last(0.2, 2 * LEASE)
        self.mend(paths)
        began = time.monotonic()
        self.rig.progress(5)
        return began, self.rig.publishers

    def primary_apart_from_sentinels(self):
        """The primary continues to work, and is replaced."""
        paths = [path for sentinel in self.engine.sentinels for path in self.engine.paths(sentinel, self.primary)]
        began = time.monotonic()
        self.stop_paths(paths)
        moment = self.promoted(began)
        self.rig.progress(5)
        self.mend(paths)
        return moment, self.rig.publishers

    def network_split(self):
        """The primary, a broker and a sentinel are on one side, the rest on the other."""
        alone = self.engine.sentinels[0]
        rest = self.engine.sentinels[1:]
        paths = [path for one in (self.primary, alone) for other in [*self.replicas, *rest]
                 for path in self.engine.paths(one, other)]
        for broker, view in zip(self.rig.brokers, self.views):
            if broker is self.broker:
                paths += [view.servers[server] for server in self.replicas] + [view.sentinels[each] for each in rest]
            else:
                paths += [view.servers[self.primary], view.sentinels[alone]]
        began = time.monotonic()
        self.stop_paths(paths)
        moment = self.promoted(began)
        self.rig.progress(5, without=self.broker)
        self.last(0, LEASE)
        self.mend(paths)
        return moment, self.others

    def split_with_a_replica(self):
        """The primary, a replica, a broker and a sentinel continue for a moment; then their messages are undone."""
        port = int(self.rig.log_of(self.broker, self.partition)["replica"].rsplit(":", 1)[1])
        beside = next(replica for replica in self.replicas if self.view.ports[replica] == port)
        far = [replica for replica in self.replicas if replica is not beside]
        alone, rest = self.engine.sentinels[0], self.engine.sentinels[1:]
        near = (self.primary, beside, alone)
        paths = [path for one in near for other in [*far, *rest] for path in self.engine.paths(one, other)]
        for view in self.views:
            if view is not self.view:
                paths += [view.servers[self.primary], view.servers[beside], view.sentinels[alone]]
        before, began = self.term(self.broker), time.monotonic()
        self.stop_paths(paths)
        self.rig.progress(10, of=[publisher for publisher in self.rig.publishers if publisher.broker is self.broker])
        own = [self.view.servers[server] for server in far] + [self.view.sentinels[each] for each in rest]
        self.stop_paths(own)
        self.promoted(began)
        # The others have no replica to read from, but agree without the broker that is apart.
        wait_until(lambda: all(self.term(publisher.broker) > before for publisher in self.others), "another term of the others")
        self.last(0, LEASE)
        self.mend(paths + own)
        began = time.monotonic()
        self.rig.progress(5, without=self.broker)
        return began, self.others

    def term(self, broker):
        return int(self.rig.log_of(broker, self.partition)["term"])

    # A broker, and its links

    def broker_killed(self):
        self.broker.kill()
        self.rig.progress(20, without=self.broker)
        self.broker.start()

    def broker_stopped(self):
        """The broker pauses for longer than the lease."""
        other = self.others[0].broker
        wait_until(lambda: is_alive_for(other, self.broker), "the others to know it")
        self.broker.send_signal(signal.SIGSTOP)
        self.rig.progress(20, without=self.broker)
        wait_until(lambda: not is_alive_for(other, self.broker), "the others to miss it")
        self.broker.send_signal(signal.SIGCONT)

    def broker_emptied(self):
        """The broker loses its disk."""
        self.broker.kill()
        for file in self.broker.data.glob("broker.mdb*"):
            file.unlink()
        self.rig.progress(20, without=self.broker)
        self.broker.start()

    def broker_away_for_too_long(self):
        """The log no longer reaches back to the broker's position."""
        self.broker.kill()
        self.rig.progress(20, without=self.broker)
        # The others have read the part that is cut off.
        cut = ("XTRIM", self.rig.key(self.partition), "MAXLEN", "200")
        assert self.engine.current_primary().ask(*cut).startswith(":")
        self.broker.start()

    def broker_apart(self, paths, longest=2 * LEASE):
        self.stop_paths(paths)
        self.rig.progress(5, without=self.broker)
        self.last(0, longest)
        self.mend(paths)
        began = time.monotonic()
        self.rig.progress(5)
        return began, self.rig.publishers

    @property
    def view(self):
        return self.views[self.rig.brokers.index(self.broker)]

    def broker_apart_from_engine(self):
        return self.broker_apart(self.view.paths)

    def broker_apart_from_primary(self):
        return self.broker_apart([self.view.servers[self.primary]])

    def broker_apart_from_replicas(self):
        return self.broker_apart([self.view.servers[server] for server in self.replicas])

    def clock_of_a_broker(self):
        clock = self.rig.broker_clocks[self.rig.brokers.index(self.broker)]
        clock.set(clock_offset=self.random.choice([-86400, -60, 60, 86400]))
        self.rig.progress(20)
        clock.set(clock_offset=0)
        self.rig.progress(5)
        return time.monotonic(), self.rig.publishers


def is_alive_for(broker, other):
    rows = broker.control_json("cluster", "nodes")
    return any(row["alive"] for row in rows if row["name"] == other.directory.name)
