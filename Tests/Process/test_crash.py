"""Contract §1: messages acknowledged as stored survive `kill -9` and a power cut. 25 cycles here, `make crash` for more."""

import shutil

import pytest

from crash_model import KEPT
from crash_readers import Failed, Resumption
from crash_rig import CrashRig

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
def test_acknowledged_messages_survive(make_rig, loses_power):
    rig = make_rig(seed=4, loses_power=loses_power)
    for _ in range(CYCLES):
        rig.cycle()
    assert rig.acknowledged > 10 * CYCLES and rig.resumed == 3 * CYCLES
    assert any(len(messages) == KEPT["few"] for messages in rig.stored.history.values()), "no limit was reached"
    rig.close()


# The rig itself: a broker that loses something must not pass.


def test_the_rig_detects_a_lying_disk(make_rig):
    rig = make_rig(seed=5, loses_power=True)
    rig.cycle()
    honest = rig.disk.cut_power
    rig.disk.cut_power = lambda chance: honest(0, lies=True)
    with pytest.raises(Failed):
        for _ in range(10):
            rig.cycle()


def test_the_rig_detects_a_store_that_was_rolled_back(make_rig, tmp_path):
    rig = make_rig(seed=6)
    rig.cycle()
    rig.broker.stop()
    old = shutil.copytree(rig.broker.data, tmp_path / "old", ignore=lambda *_: {"admin.sock"})
    rig.start()
    kill = rig.kill

    def kill_and_roll_back():
        kill()
        shutil.copy(old / "broker.mdb", rig.broker.data / "broker.mdb")

    rig.kill = kill_and_roll_back
    with pytest.raises(Failed):
        for _ in range(10):
            rig.cycle()


def lose_one(messages):
    del messages[len(messages) // 2]


def double_one(messages):
    messages.append(messages[-1])


def cut_one_in_half(messages):
    longest = max(range(len(messages)), key=lambda index: len(messages[index].payload))
    message = messages[longest]
    messages[longest] = message._replace(payload=message.payload[:len(message.payload) // 2])


def change_the_order(messages):
    messages[0], messages[-1] = messages[-1], messages[0]


@pytest.mark.parametrize("spoil", [lose_one, double_one, cut_one_in_half, change_the_order])
@pytest.mark.parametrize("since", [False, True], ids=["everything", "resumed"])
def test_the_rig_detects_a_wrong_history(make_rig, monkeypatch, spoil, since):
    rig = make_rig(seed=7)
    for _ in range(3):
        rig.cycle()
    honest = Resumption._check_order

    def spoiled(resumption):
        if len(resumption.messages) > 1 and (resumption.since > 0) == since:
            spoil(resumption.messages)
        honest(resumption)

    monkeypatch.setattr(Resumption, "_check_order", spoiled)
    with pytest.raises(Failed):
        for _ in range(20):
            rig.cycle()


def test_the_rig_detects_an_unannounced_gap(make_rig, monkeypatch):
    rig = make_rig(seed=8)
    honest = Resumption.check

    def check(resumption, *arguments):
        resumption.gaps = []
        honest(resumption, *arguments)

    monkeypatch.setattr(Resumption, "check", check)
    with pytest.raises(Failed, match="no gap says so"):
        for _ in range(20):
            rig.cycle()
