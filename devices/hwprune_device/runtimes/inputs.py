"""What networks are fed: values while they are timed, and whole batches where outputs count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def in_batches(
    infer: Callable[[np.ndarray], np.ndarray], inputs: np.ndarray, size: int
) -> np.ndarray:
    """Outputs (N ...) for inputs (N C H W) of a network whose batch is `size`.

    The last batch is filled up with zeros, whose outputs are left out again.
    """
    short = -len(inputs) % size
    whole = np.concatenate([inputs, np.zeros_like(inputs[:1]).repeat(short, 0)])
    parts = [infer(whole[at : at + size]) for at in range(0, len(whole), size)]
    return np.concatenate(parts)[: len(inputs)]
