"""Contract §1: what was acknowledged as stored survives `kill -9` and a power cut. 25 cycles here, `make crash` for more."""

import shutil

import pytest

from crash_rig import CrashRig, Failed

CYCLES = 25


@pytest.fixture
def make_rig(tmp_path):
    rigs = []

    def make(seed, **options):
        rigs.append(CrashRig(tmp_path, seed, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        if rig.broker.is_alive:
            rig.broker.kill()


@pytest.mark.parametrize("loses_power", [False, True], ids=["killed", "power cut"])
def test_what_was_acknowledged_survives(make_rig, loses_power):
    rig = make_rig(seed=4, loses_power=loses_power)
    for _ in range(CYCLES):
        rig.cycle()
    assert rig.acknowledged > 10 * CYCLES
    rig.close()


# The rig itself: a broker that loses something must not pass.


def test_the_rig_notices_a_disk_that_lies(make_rig):
    rig = make_rig(seed=5, loses_power=True)
    rig.cycle()
    honest = rig.disk.cut_power
    rig.disk.cut_power = lambda chance: honest(0, lies=True)
    with pytest.raises(Failed):
        for _ in range(10):
            rig.cycle()


def test_the_rig_notices_a_store_that_goes_back(make_rig, tmp_path):
    rig = make_rig(seed=6)
    rig.cycle()
    rig.broker.stop()
    old = shutil.copytree(rig.broker.data, tmp_path / "old", ignore=lambda *_: {"admin.sock"})
    rig.start()
    kill = rig.kill

    def kill_and_go_back():
        kill()
        shutil.copy(old / "broker.mdb", rig.broker.data / "broker.mdb")

    rig.kill = kill_and_go_back
    with pytest.raises(Failed):
        for _ in range(10):
            rig.cycle()
