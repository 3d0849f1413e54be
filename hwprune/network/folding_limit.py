"""How much of a graph is worked out before any input comes: what would grow stays computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import onnx
import onnx_ir as ir
from onnx import helper

EACH, ALL = 64 * 2**20, 128 * 2**20
"""Bytes of one constant that is worked out, and of all in a model. Real ones need less: Swin V2-T
11 MB in all, MaxViT-T 2 MB (n = 4)."""
_READ = 64
"""Elements of what may be a list of sizes."""
_SHRINK = ("Compress", "NonZero", "TopK", "Unique")
"""Ops that give no more elements than an axis of their input has, however many that are."""


class FoldingLimit:
    """Lets nodes of constants be worked out until what they give is too much."""

    def __init__(self) -> None:
        self._left = float(ALL)

    def allows(self, node: ir.Node, opset: int) -> bool:
        """Whether this node may be worked out, by sizes alone; nothing is computed."""
        size = _bytes(node, opset)
        if size > min(EACH, self._left):
            return False
        # Counted even where the pass then folds nothing: the limit errs on the small side.
        self._left -= size
        return True


def _bytes(node: ir.Node, opset: int) -> float:
    """What a node gives; endless where that is not known."""
    inputs: dict[Any, Any] = {v.name: v.const_value for v in node.inputs if v is not None}
    if node.op_type in _SHRINK:
        # 8 bytes for each value and for each of its places, int64 at most.
        return sum(8.0 * value.size * (1 + len(value.shape)) for value in inputs.values())
    try:
        found = _inferred(node, opset, inputs)
        return float(sum(map(_bytes_of, found.values()))) if found else math.inf
    except Exception:  # shape inference raises whatever it meets in a wrong node
        return math.inf


def _inferred(node: ir.Node, opset: int, inputs: Mapping[Any, Any]) -> dict[str, onnx.TypeProto]:
    """Types of the outputs by what goes in, whatever the file says of them."""
    schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    types = {
        name: helper.make_tensor_type_proto(int(value.dtype), [int(d) for d in value.shape])
        for name, value in inputs.items()
    }
    lists = {
        name: ir.serde.serialize_tensor(value)
        for name, value in inputs.items()
        if value.size <= _READ
    }
    proto = ir.serde.serialize_node(node)
    return onnx.shape_inference.infer_node_outputs(schema, proto, types, lists)


def _bytes_of(kind: onnx.TypeProto) -> float:
    tensor = kind.tensor_type
    sizes = [dim.dim_value for dim in tensor.shape.dim if dim.HasField("dim_value")]
    if not tensor.HasField("shape") or len(sizes) < len(tensor.shape.dim):
        return math.inf
    return math.prod(sizes) * int(helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize)
