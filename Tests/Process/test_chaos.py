"""Faults of the engine, of the brokers and of the links between them, one after the other (`make chaos` for many)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import chaos_rig
from deadlines import ANSWER_DEADLINE

FAULTS = 2


def test_messages_the_engine_lost_are_announced_and_sent_again(tmp_path):
    """A broker continues with a part of the engine; afterwards only this broker has seen its messages."""
    rig = chaos_rig.ChaosRig(tmp_path, 0)
    try:
        rig.run(["split_with_a_replica"] * 2)
        rig.check()
        assert rig.sent_again > 0, rig.story
        assert sum(len(follower.undone) for follower in rig.followers) > 0, rig.story
        assert any("published again what this broker had acknowledged" in line for broker in rig.brokers for line in broker.lines)
    finally:
        rig.end()


def test_of_several_partitions_one_fails_at_a_time(tmp_path):
    """Each partition keeps its order and loses nothing, and clients with a position in two parts learn exactly what is undone."""
    with ThreadPoolExecutor(2) as pool:
        split = pool.submit(chaos_rig.run, 0, ["split_with_a_replica"] * 2, tmp_path / "split", ANSWER_DEADLINE, 2)
        others = pool.submit(chaos_rig.run, 1, FAULTS, tmp_path / "others", ANSWER_DEADLINE, 2)
        for run in (split, others):
            print(run.result(10 * ANSWER_DEADLINE))


# Most faults have their turn in these.
@pytest.mark.parametrize("first", (0, 5))
def test_nothing_acknowledged_is_lost_whatever_fails(first, tmp_path):
    """Five at a time, because they mostly wait; waiting times are measured where nothing else runs."""
    with ThreadPoolExecutor(5) as pool:
        runs = [pool.submit(chaos_rig.run, seed, FAULTS, tmp_path / str(seed), ANSWER_DEADLINE)
                for seed in range(first, first + 5)]
        for run in runs:
            print(run.result(10 * ANSWER_DEADLINE))
