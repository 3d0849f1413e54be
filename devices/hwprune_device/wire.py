"""The few bytes of protobuf that a cut writes itself: building messages costs more than slicing.

Field numbers are those of onnx.proto and can never change (onnx.ai/onnx/repo-docs/IR.html).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Tags: field number times 8, plus the wire type (0 a varint, 2 a length and bytes).
_TENSOR_DIMS = b"\x08"
_TENSOR_DATA_TYPE = b"\x10"
_TENSOR_NAME = b"\x42"
_TENSOR_RAW_DATA = b"\x4a"
GRAPH_NODE = b"\x0a"
GRAPH_INITIALIZER = b"\x2a"
MODEL_GRAPH = b"\x3a"


def varint(number: int) -> bytes:
    """A non-negative integer in protobuf's base-128 form."""
    out = bytearray()
    while number > 0x7F:
        # Seven bits a byte, lowest first; the top bit says that more follow.
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(tag: bytes, payload: bytes) -> bytes:
    """A length-delimited field: tag, length, payload."""
    return tag + varint(len(payload)) + payload


def tensor_head(name: str, data_type: int) -> bytes:
    """The part of a TensorProto that no cut changes: data type and name."""
    return _TENSOR_DATA_TYPE + varint(data_type) + field(_TENSOR_NAME, name.encode())


Piece = bytes | memoryview


def initializer_field(head: bytes, shape: Sequence[int], raw: memoryview) -> list[Piece]:
    """A graph's initializer field as pieces to join; `raw` is little-endian and not copied."""
    start = b"".join(_TENSOR_DIMS + varint(size) for size in shape) + head
    start += _TENSOR_RAW_DATA + varint(len(raw))
    return [GRAPH_INITIALIZER + varint(len(start) + len(raw)) + start, raw]


def raw_bytes(array: np.ndarray) -> memoryview:
    """The array's elements as ONNX stores them: row-major, little-endian; not copied."""
    # Native order is little-endian on every board that is supported.
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
