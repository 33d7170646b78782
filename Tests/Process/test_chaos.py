"""Faults of the engine, of the brokers and of the links between them, one after the other (`make chaos` for many)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import chaos_rig
from chaos_faults import Faults
from deadlines import ANSWER_DEADLINE

FAULTS = 2


# Most faults have their turn in these.
@pytest.mark.parametrize("first", range(0, 6, 2))
def test_nothing_acknowledged_is_lost_whatever_fails(first, tmp_path):
    """Two at a time, as they wait most of the time."""
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(chaos_rig.run, seed, FAULTS, tmp_path / str(seed)) for seed in (first, first + 1)]
        for run in runs:
            print(run.result(10 * ANSWER_DEADLINE))
