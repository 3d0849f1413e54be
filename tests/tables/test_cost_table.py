"""The cost table: it learns a board's fast paths from whole networks and knows its error."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprune.changes import Changes
from hwprune.layer import ChannelCount, Layer
from hwprune.products import Products
from hwprune.tables.cost_table import CostTable
from hwprune.tables.layer_costs import Forms

FULL = (32, 64, 64, 64)


def layers() -> tuple[Layer, ...]:
    """A stream (group 0), and three blocks whose inner widths are their own."""
    stream = ChannelCount(fixed=0, per_unit=((0, 1),))
    found = []
    for group in (1, 2, 3):
        inner = ChannelCount(fixed=0, per_unit=((group, 1),))
        for outputs, inputs in ((inner, stream), (stream, inner)):
            found.append(
                Layer(
                    name=f"block{group}",
                    positions=64,
                    kernel=9,
                    grouped=False,
                    outputs=outputs,
                    inputs=inputs,
                )
            )
    return tuple(found)


def board_ms(widths: np.ndarray) -> np.ndarray:
    """A board in blocks of 16 that changes a tensor's layout wherever one side fills none."""
    total = np.zeros(len(widths))
    for group in (1, 2, 3):
        stream, inner = widths[:, 0], widths[:, group]
        total += 2e-4 * np.ceil(stream / 16) * np.ceil(inner / 16) * 256
        total += np.where((stream % 16 == 0) != (inner % 16 == 0), 1e-3 * (stream + inner), 0.0)
    return total + 0.05


def drawn(count: int, seed: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    return np.stack([chance.choice(np.arange(4, w + 1, 4), count) for w in FULL], axis=1)


def test_widths_that_were_never_read_are_predicted_with_their_fast_paths():
    known, unseen = drawn(80, 0), drawn(200, 1)
    table = CostTable(layers(), FULL)
    whole = board_ms(np.array([FULL]))[0]
    table.fit(known, board_ms(known) / whole, np.ones(len(known)))
    off = table.predict(unseen) / (board_ms(unseen) / whole) - 1
    assert np.sqrt(np.mean(off**2)) < 0.03
    aligned, mixed = np.array([[16, 32, 32, 32]]), np.array([[12, 32, 32, 32]])
    # Narrower, and yet slower: what a count of operations would never tell.
    assert board_ms(mixed) > board_ms(aligned)
    assert table.predict(mixed) > table.predict(aligned)


def test_the_error_it_states_is_near_the_error_it_makes():
    known, unseen = drawn(80, 2), drawn(300, 3)
    noise = np.random.default_rng(4).normal(1, 0.02, len(known))
    whole = board_ms(np.array([FULL]))[0]
    table = CostTable(layers(), FULL)
    table.fit(known, board_ms(known) / whole * noise, np.ones(len(known)))
    made = np.sqrt(np.mean((table.predict(unseen) - board_ms(unseen) / whole) ** 2))
    assert made < 2.5 * table.error


def test_one_reading_is_enough_for_an_answer():
    table = CostTable(layers(), FULL)
    table.fit(np.array([FULL]), np.array([2.0]), np.ones(1))
    assert table.predict(np.array([FULL]))[0] == pytest.approx(2.0, rel=0.2)
    assert np.isfinite(table.predict(drawn(5, 0))).all()


def test_what_cannot_be_cut_is_a_constant():
    fixed = Layer(
        name="head",
        positions=1,
        kernel=1,
        grouped=False,
        outputs=ChannelCount(fixed=10),
        inputs=ChannelCount(fixed=64),
    )
    table = CostTable((fixed,), (8,))
    table.fit(np.array([[8], [4]]), np.array([1.0, 1.0]), np.ones(2))
    assert table.predict(np.array([[2]]))[0] == pytest.approx(1.0, rel=0.1)


@cache
def believed(scale: float) -> tuple[Forms, CostTable]:
    """What another board was learned to take: this one's, times a scale."""
    known = drawn(120, 7)
    table = CostTable(layers(), FULL)
    table.fit(known, scale * board_ms(known), 1 / (scale * board_ms(known)) ** 2)
    return table.forms, table


def off(table: CostTable, unseen: np.ndarray) -> float:
    return float(np.sqrt(np.mean((table.predict(unseen) / board_ms(unseen) - 1) ** 2)))


@pytest.mark.parametrize("scale", [0.1, 3.0, 40.0])
def test_what_was_known_in_another_scale_is_scaled_right_by_a_few_readings(scale):
    forms, _ = believed(scale)
    known, unseen = drawn(6, 8), drawn(200, 9)
    table = CostTable(layers(), FULL, before=forms)
    table.fit(known, board_ms(known), 1 / board_ms(known) ** 2)
    assert off(table, unseen) < 0.05
    alone = CostTable(layers(), FULL)
    alone.fit(known, board_ms(known), 1 / board_ms(known) ** 2)
    assert off(table, unseen) < off(alone, unseen)


def test_what_was_known_and_is_wrong_is_corrected_by_many_readings():
    """Known of a board without the price of a changed layout."""
    known, unseen = drawn(120, 8), drawn(200, 9)
    without = np.zeros(len(known))
    for group in (1, 2, 3):
        blocks = np.ceil(known[:, 0] / 16) * np.ceil(known[:, group] / 16)
        without += 2e-4 * blocks * 256
    wrong = CostTable(layers(), FULL)
    wrong.fit(known, without + 0.05, np.ones(len(known)))
    table = CostTable(layers(), FULL, before=wrong.forms)
    table.fit(known, board_ms(known), 1 / board_ms(known) ** 2)
    assert off(wrong, unseen) > 0.1
    assert off(table, unseen) < 0.03


def test_a_few_noisy_readings_do_not_bend_what_was_known():
    forms, before = believed(1.0)
    known, unseen = drawn(10, 8), drawn(200, 9)
    noise = np.random.default_rng(3).normal(1, 0.05, len(known))
    table = CostTable(layers(), FULL, before=forms)
    table.fit(known, board_ms(known) * noise, 1 / board_ms(known) ** 2)
    assert off(table, unseen) < off(before, unseen) + 0.04


def fitted(seed: int, forms: Forms | None = None) -> CostTable:
    known = drawn(60, seed)
    table = CostTable(layers(), FULL, before=forms)
    table.fit(known, board_ms(known), np.ones(len(known)))
    return table


def test_many_candidates_cost_what_each_of_them_costs_alone():
    """Costs kept by pair serve many candidates; a few are worked out."""
    many = drawn(20_000, 1)
    table = fitted(0)
    at_once = table.predict(many)
    in_parts = np.concatenate([fitted(0).predict(part) for part in np.split(many[:400], 40)])
    np.testing.assert_allclose(at_once[:400], in_parts, rtol=1e-12, atol=0)
    again = drawn(60, 5)
    table.fit(again, 2 * board_ms(again), np.ones(len(again)))
    # What was kept is not served after there was more to learn from.
    np.testing.assert_allclose(table.predict(many)[:40], table.predict(many[:40]), rtol=1e-12)


@given(seed=st.integers(0, 1000), known_before=st.booleans())
def test_a_changed_candidate_costs_what_it_is_predicted_to(seed, known_before):
    table = fitted(0, believed(3.0)[0] if known_before else None)
    widths = drawn(7, seed)
    chance = np.random.default_rng(seed)
    count = 25
    row, group = chance.integers(0, len(widths), count), chance.integers(0, len(FULL), count)
    width = np.array([chance.integers(1, FULL[g] + 1) for g in group])
    after = widths[row].copy()
    after[np.arange(count), group] = width
    found = table.changed(widths, Changes(row=row, group=group, width=width))
    np.testing.assert_allclose(found, table.predict(after), rtol=1e-9)


def test_a_table_that_is_fitted_again_believes_what_a_new_one_would():
    """Also with what is counted from the graph beside what is known of the layers."""
    counted = Products(times=np.ones(3), first=_inner(), second=_inner())
    forms, _ = believed(3.0)
    known, unseen = drawn(160, 8), drawn(50, 9)
    again, once = (CostTable(layers(), FULL, counted, before=forms) for _ in range(2))
    ms = board_ms(known) + 1e-4 * counted.terms(known)[:, 0]
    again.fit(known[:80], ms[:80], 1 / ms[:80] ** 2)
    for table in (again, once):
        table.fit(known, ms, 1 / ms**2)
    np.testing.assert_allclose(again.predict(unseen), once.predict(unseen))


def _inner() -> list[ChannelCount]:
    return [ChannelCount(fixed=0, per_unit=((group, 1),)) for group in (1, 2, 3)]
