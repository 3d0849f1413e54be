"""Arrays in a frame: what each is stands in the header, their bytes one after another in the body.

Inputs go to a board like this, and outputs come back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TYPES = frozenset(
    np.dtype(name).newbyteorder("<").str
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    )
)
"""Element types as numpy writes them, little-endian; nothing that holds objects."""


def pack(arrays: Sequence[np.ndarray]) -> tuple[list[dict[str, Any]], bytes]:
    """What arrays are (shape and dtype of each), and their bytes.

    Raises:
        ValueError: an array of something else than numbers and truth values.
    """
    told, parts = [], []
    for position, array in enumerate(map(np.asarray, arrays)):
        dtype = array.dtype.newbyteorder("<")
        if dtype.str not in TYPES:
            raise ValueError(
                f"array {position} holds {array.dtype}, which cannot be sent; possible: "
                f"{', '.join(sorted(TYPES))}"
            )
        told.append({"shape": list(array.shape), "dtype": dtype.str})
        # Row-major whatever it was: strides are not sent.
        parts.append(np.asarray(array, dtype, order="C").data)
    return told, b"".join(parts)


def unpack(told: Sequence[Mapping[str, Any]], body: bytes | memoryview) -> list[np.ndarray]:
    """The arrays that `pack` was given, in memory of their own.

    Raises:
        KeyError, TypeError: something of an array is missing.
        ValueError: an unknown type, a size below zero, or another number of bytes than announced.
    """
    shapes = [[int(size) for size in one["shape"]] for one in told]
    dtypes = [_dtype(str(one["dtype"])) for one in told]
    if any(size < 0 for shape in shapes for size in shape):
        raise ValueError(f"no array has a shape of {shapes}")
    sizes = [math.prod(s) * d.itemsize for s, d in zip(shapes, dtypes, strict=True)]
    if sum(sizes) != len(body):
        raise ValueError(
            f"arrays of {sum(sizes)} bytes were told and {len(body)} came: shapes {shapes}"
        )
    found, at = [], 0
    for shape, dtype, size in zip(shapes, dtypes, sizes, strict=True):
        # A copy that can be written to, as torch wants its arrays.
        found.append(np.ndarray(shape, dtype, bytearray(body[at : at + size])))
        at += size
    return found


def _dtype(name: str) -> np.dtype:
    if name not in TYPES:
        raise ValueError(f"no array holds '{name}'; possible: {', '.join(sorted(TYPES))}")
    return np.dtype(name)
