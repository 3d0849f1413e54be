"""Factors give the size that was meant, in float32 and float64, and pick the same pixels."""

from __future__ import annotations

import numpy as np
import pytest

from hwprune.channels.size_factors import size_factors


@pytest.mark.parametrize("before, after", [(17, 33), (63, 126), (7, 5), (3, 10), (41, 47)])
def test_size_is_reached_in_both_precisions(before: int, after: int) -> None:
    factors = size_factors([1, before], [1, after], nearest=False)
    assert factors is not None and factors.dtype == np.float32
    assert np.floor(np.float32(before) * factors[1]) == after
    assert np.floor(before * float(factors[1])) == after


def test_factor_that_would_pick_other_pixels_is_none() -> None:
    """14 / 6 is rounded down; with the next number, pixel 7 would be pixel 2 instead of 3."""
    assert size_factors([6], [14], nearest=True) is None
    assert size_factors([6], [14], nearest=False) is not None
