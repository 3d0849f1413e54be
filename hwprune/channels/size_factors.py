"""The factors by which a map is resized to a size, as float32, so that all who read them agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def size_factors(
    before: Sequence[int], after: Sequence[int], *, nearest: bool
) -> np.ndarray | None:
    """By axis, a number that times the size gives the new size in any precision.

    33 / 17 as float32 is a little too small: 17 times it is 33 in float32 and 32.99… in float64,
    which shape inference rounds down. Then the next larger number is taken.

    Args:
        before, after: sizes of all axes.
        nearest: pixels are picked, so that the place of each must not change with the number.

    Returns:
        None where there is no such number.
    """
    factors = (np.array(after) / np.array(before)).astype(np.float32)
    # float64 as in shape inference; runtimes multiply in float32.
    short = np.floor(np.array(before) * factors.astype(np.float64)) < after
    larger = np.where(short, np.nextafter(factors, np.float32(np.inf)), factors)
    for precision in (np.float32, np.float64):
        if (np.floor(np.array(before, precision) * larger.astype(precision)) != after).any():
            return None
    changed = zip(factors[short], larger[short], np.array(after)[short], strict=True)
    if nearest and not all(_same_places(*entry) for entry in changed):
        return None
    return larger


def _same_places(first: np.float32, second: np.float32, size: int) -> bool:
    places = np.arange(size, dtype=np.float32)
    return bool((np.floor(places / first) == np.floor(places / second)).all())
