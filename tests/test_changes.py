"""Changes: what a table believes after one is what it believes of the whole candidate."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune.changes import Changes
from hwprune.layer import ChannelCount, Layer
from hwprune.search.surrogate import Surrogate
from hwprune.tables.cost_table import CostTable
from tests.doubles.synthetic_problem import SyntheticProblem
from tests.search.test_surrogate import seen

FULL = (12, 16, 8)


def counts() -> st.SearchStrategy[ChannelCount]:
    """Axes of all kinds: fixed, of one group, and joined of several."""
    units = st.tuples(st.integers(0, len(FULL) - 1), st.sampled_from([1, 2, 6, 49]))
    per_unit = st.lists(units, max_size=3, unique_by=lambda unit: unit[0]).map(tuple)
    axes = st.builds(ChannelCount, fixed=st.integers(0, 20), per_unit=per_unit)
    return axes.filter(lambda count: count.fixed > 0 or bool(count.per_unit))


def some_layers() -> st.SearchStrategy[tuple[Layer, ...]]:
    layer = st.builds(
        Layer,
        name=st.just("x"),
        positions=st.sampled_from([1, 64]),
        kernel=st.sampled_from([1, 9]),
        grouped=st.booleans(),
        outputs=counts(),
        inputs=counts(),
    )
    return st.lists(layer, min_size=1, max_size=5).map(tuple)


def drawn(chance: np.random.Generator, full: tuple[int, ...], rows: int, count: int):
    widths = np.stack([chance.integers(1, width + 1, rows) for width in full], axis=1)
    group = chance.integers(0, len(full), count)
    return widths, Changes(
        row=chance.integers(0, rows, count),
        group=group,
        width=chance.integers(1, np.array(full)[group] + 1),
    )


@settings(max_examples=60, deadline=None)
@given(layers=some_layers(), seed=st.integers(0, 999))
def test_a_change_costs_what_the_changed_candidate_costs(layers, seed):
    chance = np.random.default_rng(seed)
    table = CostTable(layers, FULL)
    known, _ = drawn(chance, FULL, 30, 1)
    table.fit(known, chance.random(30), np.ones(30))
    widths, changes = drawn(chance, FULL, 4, 25)
    np.testing.assert_allclose(
        table.changed(widths, changes), table.predict(changes.apply(widths)), atol=1e-8
    )


def test_a_surrogate_believes_the_same_of_a_change_as_of_the_candidate():
    problem, evaluations = seen(
        SyntheticProblem(9, seed=1, constraints=("latency_ms", "params")), 60
    )
    surrogate = Surrogate(problem)
    surrogate.fit(evaluations)
    full = tuple(group.width for group in problem.space.groups)
    widths, changes = drawn(np.random.default_rng(0), full, 5, 200)
    loss, used = surrogate.changed(widths, changes)
    np.testing.assert_allclose(loss, surrogate.loss(changes.apply(widths)), atol=1e-9)
    np.testing.assert_allclose(used, surrogate.used(changes.apply(widths)), atol=1e-9)
