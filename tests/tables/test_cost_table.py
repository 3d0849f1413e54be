"""The cost table: it learns a board's fast paths from whole networks and knows its error."""

from __future__ import annotations

import numpy as np
import pytest

from hwprune.layer import ChannelCount, Layer
from hwprune.tables.cost_table import CostTable

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
