"""Faults of the engine and of the brokers of a cluster, one after the other (`make chaos` for many)."""

import pytest

import chaos_rig


@pytest.mark.parametrize("seed", [3, 7])
def test_nothing_acknowledged_is_lost_whatever_fails(seed, tmp_path):
    chaos_rig.run(seed, 4, tmp_path)
