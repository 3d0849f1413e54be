"""How far two computations of the same outputs are apart, by the type of their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def difference(given: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
    """The largest difference of an output; infinite where shapes differ.

    Of floats it is a share of the largest number of that output; of answers (bools, whole numbers)
    the share of those that differ. What is no number on both sides is equal.
    """
    if [tensor.shape for tensor in given] != [tensor.shape for tensor in expected]:
        return float("inf")
    pairs = zip(given, expected, strict=True)
    return max((_difference(a, b) for a, b in pairs if b.numel()), default=0.0)


def _difference(given: torch.Tensor, expected: torch.Tensor) -> float:
    if not (given.is_floating_point() and expected.is_floating_point()):
        return float((given != expected).double().mean())
    a, b = given.double(), expected.double()
    equal = (a == b) | (a.isnan() & b.isnan())
    apart = (a - b).abs().masked_fill(equal, 0.0).max()
    size = b.abs().masked_fill(~b.isfinite(), 0.0).max().clamp_min(1e-30)
    # No number on one side alone stays one here, and is as far apart as can be.
    share = float(apart / size)
    return share if share == share else float("inf")
