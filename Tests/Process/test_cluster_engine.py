"""An engine that cannot be used is named, with what to do."""

import re

from broker_process import Broker
from cluster_rig import is_ready
from command_line import REPOSITORY
from deadlines import wait_until
from redis_rig import Server

# What docs/cluster.md gives the brokers' user.
RIGHTS = re.search(r"ACL SETUSER broker .*", (REPOSITORY / "docs/cluster.md").read_text())[0].split()[6:]


def test_a_broker_says_that_its_engine_has_no_replica(tmp_path):
    """Not only that it is catching up."""
    server = Server(tmp_path / "engine", ["--save", "", "--appendonly", "yes"])
    broker = None
    try:
        server.start()
        broker = Broker(tmp_path / "broker", (
            f"cluster:\n  name: lacking\n  node: a\n  engine:\n    addresses: [127.0.0.1:{server.port}]\n")).start()
        sentence = "The engine has no replica that follows its primary: add one"
        wait_until(lambda: sentence in broker.http("GET", "/health/ready").json.get("reason", ""), sentence)
        broker.wait_for_line(f"the cluster's engine cannot be used reason=.*{sentence}")
    finally:
        if broker:
            broker.kill()
        server.end()


def test_a_missing_right_of_the_engines_user_is_named(tmp_path):
    """Also if the brokers are otherwise only agreeing, or catching up."""
    primary = Server(tmp_path / "primary", ["--save", "", "--appendonly", "yes"])
    servers, broker = [primary], None
    try:
        primary.start()
        replica = Server(tmp_path / "replica", ["--save", "", "--replicaof", f"127.0.0.1 {primary.port}"])
        servers.append(replica.start())

        def give(rights):
            for server in servers:
                words = ("ACL", "SETUSER", "broker", "reset", "on", ">secret", "~broker:{lacking}:*", *rights)
                assert "OK" in server.ask(*words)

        addresses = ", ".join(f"127.0.0.1:{server.port}" for server in servers)
        broker = Broker(tmp_path / "broker", (
            f"cluster:\n  name: lacking\n  node: a\n  engine: {{ addresses: [{addresses}], user: broker, password: secret }}\n"))
        give([right for right in RIGHTS if right != "+xadd"])
        broker.start()
        # The engine does not say which right its functions lack.
        for cause, next_one in (("primary: .* can't run this command", "+xread"), ("replica: .* run the 'xread' command", "")):

            def says_so():
                reason = broker.http("GET", "/health/ready").json.get("reason", "")
                return re.search(f"{cause}.*give the engine's user all rights", reason)

            wait_until(says_so, f"the cause {cause}")
            give([right for right in RIGHTS if right != next_one])
        wait_until(lambda: is_ready(broker), "a broker whose user has all rights")
    finally:
        if broker:
            broker.kill()
        for server in servers:
            server.end()
