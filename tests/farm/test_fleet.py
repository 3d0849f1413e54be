"""A fleet of two kinds, each a real board: one thread, and another way of building networks."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from hwprune.board import this_machine
from hwprune.candidate import Candidate
from hwprune.farm.fleet import Fleet
from hwprune.farm.store import ReadingStore
from hwprune_device.job import Protocol
from hwprune_device.reading import Reading
from tests.farm.base import base_network

QUICK = Protocol(rounds=5, max_rounds=5, disturbed_rounds=1, precision_pct=50.0)
ONE = replace(this_machine(), protocol=QUICK)
SLOW = replace(
    ONE, name="slow", kind="slow", target=replace(ONE.target, options={"optimization": "none"})
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    store = ReadingStore(tmp_path_factory.mktemp("fleet") / "s.sqlite")
    fleet = Fleet.of_boards([ONE, SLOW], store)
    fleet.start()
    fleet.place(base_network())
    yield fleet
    fleet.close()
    store.close()


def test_each_kind_has_its_own_unpruned_time(fleet):
    times = {kind: outcome.latency_ms for kind, outcome in fleet.calibrate().items()}
    assert set(times) == {ONE.name, "slow"}
    assert times["slow"] > times[ONE.name]


def test_a_candidate_is_read_on_every_kind(fleet):
    futures = fleet.measure([Candidate(widths=(8, n, 8)) for n in (4, 8, 16)])
    for future in futures:
        outcomes = future.result(timeout=60)
        assert {k: type(o) for k, o in outcomes.items()} == {ONE.name: Reading, "slow": Reading}
        assert outcomes["slow"].board == "slow"
    assert fleet.timings()["candidates"] >= 6


def test_every_kind_runs_a_network_with_its_weights(fleet):
    inputs = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
    outputs = {
        k: farm.run_network(base_network().onnx, [inputs])[0] for k, farm in fleet.farms.items()
    }
    assert set(outputs) == {ONE.name, "slow"}
    np.testing.assert_allclose(outputs["slow"], outputs[ONE.name], rtol=1e-3, atol=1e-5)


def test_the_kind_with_the_fewest_boards_says_how_many_measure_at_a_time(tmp_path):
    fast = [replace(ONE, name=f"fast{n}", kind="fast") for n in range(3)]
    slow = [replace(SLOW, name=f"slow{n}") for n in range(2)]
    with closing(ReadingStore(tmp_path / "s.sqlite")) as store:
        assert Fleet.of_boards([*fast, *slow], store).boards == 2
        assert Fleet.of_boards(fast, store).boards == 3
