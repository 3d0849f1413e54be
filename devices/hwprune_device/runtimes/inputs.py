"""What networks are fed while they are timed."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwprune_device.job import Target


def input_values(entry: Any, target: Target, random: np.random.Generator) -> np.ndarray:
    """Zero-mean unit values: speed does not depend on them as long as they are ordinary.

    `entry` has ONNX Runtime's name, type and shape of an input.

    Raises:
        ValueError: its shape is not fixed, not of the target's batch, or of another type.
    """
    if not all(isinstance(size, int) and size > 0 for size in entry.shape):
        raise ValueError(f"input '{entry.name}' has no fixed shape: {entry.shape}")
    if entry.shape and entry.shape[0] != target.batch:
        raise ValueError(
            f"input '{entry.name}' has a fixed batch of {entry.shape[0]}, the target asks for "
            f"{target.batch}"
        )
    if entry.type == "tensor(float)":
        return random.standard_normal(entry.shape).astype(np.float32)
    if entry.type in ("tensor(int64)", "tensor(int32)"):
        return np.zeros(entry.shape, entry.type[7:-1])
    raise ValueError(f"input '{entry.name}' is {entry.type}; float, int32 and int64 can be filled")
