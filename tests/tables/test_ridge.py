"""Ridge regression: the error it states is the leave-one-out error, whatever the shape."""

from __future__ import annotations

import numpy as np
import pytest

from hwprune.tables import ridge
from hwprune.tables.ridge import STRENGTHS, Ridge


def problem(rows: int, columns: int, seed: int = 0):
    """Blocks of two scales, a noisy target, and weights."""
    chance = np.random.default_rng(seed)
    first = chance.standard_normal((rows, columns // 2))
    second = chance.standard_normal((rows, columns - columns // 2))
    target = first @ chance.standard_normal(first.shape[1]) + chance.normal(0, 0.3, rows)
    return [(first, 2.0), (second, 0.5)], target, chance.uniform(0.5, 2, rows)


def left_out(blocks, target, weight, strength: float) -> float:
    """Root mean square of errors, each row predicted by a regression without it."""
    root = np.sqrt(weight / weight.mean())
    rows = np.concatenate([c * s for c, s in blocks], axis=1) * root[:, None]
    aim = target * root
    missed = []
    for row in range(len(rows)):
        x, y = np.delete(rows, row, 0), np.delete(aim, row)
        # The dual, as exact where there are fewer rows than columns and the strength is tiny.
        dual = np.linalg.solve(x @ x.T + strength * np.eye(len(x)), y)
        missed.append(aim[row] - rows[row] @ (x.T @ dual))
    return float(np.sqrt(np.mean(np.square(missed))))


@pytest.mark.parametrize("shape", [(60, 10), (20, 20), (12, 30), (5, 80), (2, 40)])
@pytest.mark.parametrize("strength", [1e-4, 1e-2, 1.0, 100.0, 1e6])
def test_the_error_is_what_leaving_each_row_out_gives(shape, strength, monkeypatch):
    monkeypatch.setattr(ridge, "STRENGTHS", np.array([strength]))
    blocks, target, weight = problem(*shape)
    found = Ridge()
    found.fit(blocks, target, weight)
    assert found.error == pytest.approx(left_out(blocks, target, weight, strength), rel=1e-4)


def test_rows_that_are_alike_but_for_noise_are_not_taken_for_known(monkeypatch):
    """Columns without number can fit any row, so the row itself says nothing of the error."""
    monkeypatch.setattr(ridge, "STRENGTHS", np.array([1e-4]))
    blocks, _, weight = problem(8, 400)
    noise = np.random.default_rng(1).normal(0, 1, 8)
    found = Ridge()
    found.fit(blocks, noise, weight)
    assert found.error > 0.5


def test_the_strength_of_least_error_is_taken():
    blocks, target, weight = problem(30, 12)
    found = Ridge()
    found.fit(blocks, target, weight)
    each = [left_out(blocks, target, weight, strength) for strength in STRENGTHS]
    assert found.error == pytest.approx(min(each), rel=1e-4)


def test_repeated_columns_and_rows_change_nothing_of_what_is_predicted_by_much():
    blocks, target, weight = problem(40, 8)
    unseen, _, _ = problem(10, 8, seed=5)
    once, twice = Ridge(), Ridge()
    once.fit(blocks, target, weight)
    twice.fit([*blocks, blocks[0]], target, weight)
    np.testing.assert_allclose(once.predict(unseen), twice.predict([*unseen, unseen[0]]), atol=0.1)
    assert np.isfinite(twice.error)


def test_coefficients_are_in_the_columns_own_units():
    blocks, target, weight = problem(60, 6)
    found = Ridge()
    found.fit(blocks, target, weight)
    parts = found.coefficients(blocks)
    summed = sum(columns @ part for (columns, _), part in zip(blocks, parts, strict=True))
    np.testing.assert_allclose(summed, found.predict(blocks))


def test_what_is_forgotten_is_predicted_as_nothing():
    blocks, target, weight = problem(30, 6)
    found = Ridge()
    found.fit(blocks, target, weight)
    found.forget(0.25)
    assert (found.predict(blocks) == 0).all() and found.error == 0.25
