"""A farm whose boards are reached by ssh over a real link, which is cut while they measure."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from hwprune.board import this_machine
from hwprune.farm.farm import Farm
from hwprune.farm.store import ReadingStore
from hwprune_device.reading import Reading
from tests.farm.base import base_network
from tests.farm.connections.conftest import spoilt_rig  # noqa: F401
from tests.farm.test_faults import BOARD, SLOW, candidates, results, state_of, until


@pytest.fixture
def far_farm(spoilt_rig, tmp_path):  # noqa: F811
    """A farm of one board behind the link and, if asked for, one beside it."""
    store = ReadingStore(tmp_path / "s.sqlite")
    farms = []

    def start(*others) -> Farm:
        far = spoilt_rig.board("far")
        # Cores of its own: a supervisor behind a cut link holds its lease for up to two minutes.
        cores = (min(os.sched_getaffinity(0)),)
        far = replace(far, kind="k", protocol=SLOW, target=BOARD.target, cores=cores)
        farm = Farm([far, *others], store)
        farms.append(farm)
        farm.start()
        farm.place(base_network())
        assert isinstance(farm.calibrate(), Reading)
        return farm

    yield spoilt_rig, start
    spoilt_rig.mend()
    for farm in farms:
        farm.close()
    store.close()


def busy_for(farm: Farm, board: str, seconds: float) -> None:
    until(lambda: state_of(farm, board) == "busy")
    time.sleep(seconds)


@pytest.mark.heavy
def test_a_link_that_is_cut_for_a_second_costs_nothing(far_farm):
    rig, start = far_farm
    farm = start()
    futures = farm.measure(candidates(4, 8))
    busy_for(farm, "far", 0.3)
    rig.cut()
    time.sleep(1.0)
    rig.mend()
    outcomes = results(futures)
    assert all(isinstance(outcome, Reading) for outcome in outcomes)
    assert {outcome.board for outcome in outcomes} == {"far"}


@pytest.mark.heavy
def test_a_link_that_stays_cut_leaves_its_work_to_the_others_and_is_taken_back(far_farm):
    rig, start = far_farm
    farm = start(replace(BOARD, name="near", kind="k", protocol=SLOW))
    futures = farm.measure(candidates(*range(1, 13)))
    busy_for(farm, "far", 0.3)
    rig.cut()
    assert all(isinstance(outcome, Reading) for outcome in results(futures))
    until(lambda: state_of(farm, "far") == "lost", 40)
    # The link was cut: nobody on the board is to blame.
    assert farm.poisoned == ()
    rig.mend()
    until(lambda: state_of(farm, "far") in ("idle", "busy"), 60)
    assert all(isinstance(o, Reading) for o in results(farm.measure(candidates(13, 14))))


@pytest.mark.heavy
def test_a_link_that_is_cut_for_thirty_seconds_costs_time_alone(far_farm):
    rig, start = far_farm
    farm = start()
    futures = farm.measure(candidates(4, 8))
    busy_for(farm, "far", 0.3)
    rig.cut()
    time.sleep(30.0)
    rig.mend()
    assert all(isinstance(outcome, Reading) for outcome in results(futures))
    assert farm.poisoned == ()


@pytest.mark.heavy
def test_late_and_lossy_links_only_take_longer(far_farm):
    rig, start = far_farm
    rig.delay(40.0, 1.0)
    farm = start()
    assert all(isinstance(o, Reading) for o in results(farm.measure(candidates(4, 8, 12))))
    assert this_machine().is_here
