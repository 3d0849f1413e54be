"""Numbers of a graph in half precision: what is beyond its range becomes its largest value."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto, numpy_helper

_LARGEST: Mapping[int, float] = {
    TensorProto.FLOAT16: 65504.0,
    TensorProto.BFLOAT16: float.fromhex("0x1.fep127"),
}


def half_tensor(values: np.ndarray, name: str, half: int) -> tuple[TensorProto, int]:
    """Values in half precision, and how many finite ones were beyond its range.

    Infinities stay what they are; what is too small for a half becomes 0 and keeps its sign.
    """
    largest = _LARGEST[half]
    beyond = int(np.count_nonzero((np.abs(values) > largest) & np.isfinite(values)))
    if beyond:
        kept = np.clip(values, -largest, largest)
        # np.clip would make largest numbers of infinities, which masks rely on.
        values = np.where(np.isfinite(values), kept, values).astype(np.float32)
    if half == TensorProto.FLOAT16:
        return numpy_helper.from_array(values.astype(np.float16), name), beyond
    bits = _bfloat16_bits(np.ascontiguousarray(values, np.float32))
    made = TensorProto(name=name, data_type=half, dims=values.shape)
    made.raw_data = bits.astype("<u2").tobytes()
    return made, beyond


def _bfloat16_bits(values: np.ndarray) -> np.ndarray:
    """The upper half of each float32, rounded to the nearest, ties to even.

    By hand, because the onnx of a board need not bring a bfloat16 for numpy.
    """
    bits = values.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> 16
    # Rounding must not carry a NaN over into another number.
    return np.where(np.isnan(values), np.uint32(0x7FC0), rounded).astype(np.uint16)


def fold_norm(parts: list[np.ndarray], epsilon: float) -> list[np.ndarray]:
    """Scale and shift of a BatchNormalization that has mean 0 and variance 1.

    `parts` are scale, bias, mean and variance (C). A variance of 1e-8 or a mean of 1e5 has no
    half, while what they do to a channel mostly has one.
    """
    # In double: bias - mean * factor cancels where a mean is large.
    scale, bias, mean, variance = (part.astype(np.float64) for part in parts)
    factor = scale / np.sqrt(variance + epsilon)
    made = [factor, bias - mean * factor, np.zeros_like(mean), np.ones_like(mean)]
    return [part.astype(np.float32) for part in made]
