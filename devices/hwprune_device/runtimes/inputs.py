"""What networks are fed while they are timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwprune_device.job import Target


def input_values(
    name: str,
    shape: Sequence[Any],
    dtype: object,
    target: Target,
    random: np.random.Generator,
) -> np.ndarray:
    """Zero-mean unit values: speed does not depend on them as long as they are ordinary.

    `dtype` is written as numpy writes it.

    Raises:
        ValueError: the shape is not fixed, not of the target's batch, or the type is another.
    """
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"input '{name}' has no fixed shape: {list(shape)}")
    if shape and shape[0] != target.batch:
        raise ValueError(
            f"input '{name}' has a fixed batch of {shape[0]}, the target asks for {target.batch}"
        )
    kind = str(dtype)
    if kind in ("float32", "float16"):
        return random.standard_normal(shape).astype(kind)
    if kind in ("int64", "int32"):
        return np.zeros(shape, kind)
    raise ValueError(f"input '{name}' is {kind}; float32, float16, int32 and int64 can be filled")
