"""The target of a reshape: the shape that it stands for, and one that holds no batch size."""

from __future__ import annotations

import math

ODD_BATCH = 7919
"""A batch no network has as a size of its own, so that it can be told apart in shapes."""


def filled_in(before: list[int], wished: list[int]) -> list[int] | None:
    """The shape that a reshape's target stands for."""
    sizes = [
        before[axis] if size == 0 and axis < len(before) else size
        for axis, size in enumerate(wished)
    ]
    if -1 in sizes:
        rest = math.prod(size for size in sizes if size != -1)
        sizes[sizes.index(-1)] = math.prod(before) // max(1, rest)
    return sizes if math.prod(sizes) == math.prod(before) else None


def batch_free_target(before: list[int], after: list[int]) -> list[int] | None:
    """The target with the batch copied (0) or inferred (-1); None where that cannot be said."""
    target = []
    for axis, size in enumerate(after):
        kept = axis < len(before) and before[axis] == size
        if kept and (axis == 0 or size % ODD_BATCH == 0):
            target.append(0)
        else:
            target.append(-1 if size % ODD_BATCH == 0 else size)
    # A row of features for each item: -1 is right for any width.
    if len(target) == 2 and target[0] == 0:
        return [0, -1]
    wide = [axis for axis, size in enumerate(target) if size > 1]
    if len(wide) == 1 and all(size >= 1 for size in target):
        # A row of numbers turned to stand along one axis is right at any length.
        target[wide[0]] = -1
    return target if target.count(-1) <= 1 else None
