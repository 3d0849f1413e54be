"""What of a graph may compute in half precision, and what stays in float32 and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import onnx
from onnx import NodeProto, TensorProto

Kind = Literal["fp16", "bf16"]

HALF: Mapping[str, int] = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
"""ONNX's element type of each kind."""
LEAST_OPSET: Mapping[str, int] = {"fp16": 7, "bf16": 22}
"""From this opset on convolutions, pools and all that is usual beside them take the kind."""
LEAST_OPSET_QUANTIZED = 19
"""Before it QuantizeLinear and DequantizeLinear have float32 scales and results alone."""

_REASONS: Mapping[str, tuple[str, ...]] = {
    # 2048 + 1 is 2048 in fp16 and 256 + 1 is 256 in bf16: a long sum stops growing, and the square
    # of anything above 255 is beyond fp16.
    "sums over many values, or their squares": (
        "CumSum",
        "GlobalLpPool",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "LogSoftmax",
        "LpNormalization",
        "LpPool",
        "LRN",
        "MeanVarianceNormalization",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMean",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "RMSNormalization",
        "Softmax",
        "SoftmaxCrossEntropyLoss",
        "NegativeLogLikelihoodLoss",
    ),
    # exp(11.1) is beyond fp16, and so is the square of 256.
    "steep functions": ("Cosh", "Exp", "Log", "Pow", "Sinh", "Softplus", "Tan"),
    # Above 2048 (256) not every whole number is there; a box needs fractions of a pixel besides.
    "positions, and what is decided by an order": (
        "AffineGrid",
        "ArgMax",
        "ArgMin",
        "GridSample",
        "MaxRoiPool",
        "NonMaxSuppression",
        "Range",
        "RoiAlign",
        "TopK",
        "Unique",
    ),
    "their bodies have borders of their own": ("If", "Loop", "Scan", "SequenceMap"),
}
KEPT: Mapping[str, str] = {op: reason for reason, ops in _REASONS.items() for op in ops}
"""Operators that stay in float32 whatever their types allow, with the reason."""
FOLLOWERS = frozenset(
    {
        "Abs",
        "Add",
        "Ceil",
        "Div",
        "Floor",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Reciprocal",
        "Reshape",
        "Round",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Unsqueeze",
    }
)
"""Cheap arithmetic that stays in float32 where everything it reads comes from there: the halves of
a softmax or a norm that was exported in pieces, and the arithmetic of shapes."""
_SMALL = (TensorProto.BOOL, TensorProto.INT8, TensorProto.UINT8)
"""Types whose every value both kinds of half can hold."""
_TYPE_ATTRIBUTES = ("dtype", "output_dtype")
_NAMES: Mapping[int, str] = {
    TensorProto.FLOAT16: "tensor(float16)",
    TensorProto.BFLOAT16: "tensor(bfloat16)",
}


def is_standard(node: NodeProto) -> bool:
    """Whether an operator is ONNX's own."""
    return node.domain in ("", "ai.onnx")


def stays_float(node: NodeProto) -> bool:
    """Whether an operator must not compute in half precision, whatever it is fed."""
    if not is_standard(node) or node.op_type in KEPT:
        return True
    # It says by itself that its result is float32.
    return any(a.name in _TYPE_ATTRIBUTES and a.i == TensorProto.FLOAT for a in node.attribute)


def exact_in_half(source: int) -> bool:
    """Whether a Cast to float32 of this element type may be one to half precision."""
    return source in _SMALL or source in HALF.values()


def takes_half(node: NodeProto, opset: int, half: int) -> tuple[list[bool], list[bool]]:
    """For each input and each output, whether the operator's own types allow half there.

    So the scales of Resize stay in float32, as those of QuantizeLinear before opset 19.

    Raises:
        ValueError: ONNX knows no such operator at this opset.
    """
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError as error:
        raise ValueError(
            f"node '{node.name}': ONNX has no operator {node.op_type} at opset {opset}"
        ) from error
    # Not `types` of an argument: onnx 1.20 cannot give them to Python 3.12 and later.
    by_name = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    wanted = _NAMES[half]

    def flags(formals: Sequence[Any], count: int) -> list[bool]:
        # A variadic operator has its last formal argument as often as needed.
        told = (formals[min(at, len(formals) - 1)].type_str for at in range(count))
        return [wanted in by_name.get(name, [name]) for name in told]

    return flags(schema.inputs, len(node.input)), flags(schema.outputs, len(node.output))
