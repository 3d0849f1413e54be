"""Elementwise ops as torch functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import onnx
import torch
import torch.nn.functional as F
from torch import fx

from hwprune_device.torch_graph.ops.registry import twin_of
from hwprune_device.torch_graph.twin import Twin, attributes


def divide(first: torch.Tensor, second: Any) -> torch.Tensor:
    """A quotient; that of whole numbers is one, towards zero."""
    if first.is_floating_point():
        return torch.div(first, second)
    return torch.div(first, second, rounding_mode="trunc")


_SIMPLE: dict[str, Callable[..., Any]] = {
    "Abs": torch.abs,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "HardSwish": F.hardswish,
    "IsInf": torch.isinf,
    "IsNaN": torch.isnan,
    "Log": torch.log,
    "Mish": F.mish,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Relu": F.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Sqrt": torch.sqrt,
    "Tanh": torch.tanh,
}
_PAIRS: dict[str, Callable[..., Any]] = {
    "Add": torch.add,
    "And": torch.logical_and,
    "Div": divide,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Mul": torch.mul,
    "Or": torch.logical_or,
    "Pow": torch.pow,
    "Sub": torch.sub,
    "Xor": torch.logical_xor,
}
_MANY: dict[str, Callable[..., Any]] = {
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Sum": torch.add,
}


@twin_of(*_SIMPLE)
def simple(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """One tensor in, one out, no attributes."""
    return twin.call(_SIMPLE[node.op_type], twin.get(node.input[0]))


@twin_of(*_PAIRS)
def pair(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Two tensors with broadcasting; a constant scalar is a number, on no device."""
    first, second = (_operand(twin, node, position) for position in (0, 1))
    if not isinstance(first, fx.Node):
        first = twin.get(node.input[0])
    return twin.call(_PAIRS[node.op_type], first, second)


def _operand(twin: Twin, node: onnx.NodeProto, position: int) -> Any:
    name = node.input[position]
    # A dotted name is a key of the state dict: a parameter, which training has to reach.
    number = twin.scalar(node, position) if "." not in name else None
    if number is not None and twin.rank(name) > twin.rank(node.input[1 - position]):
        number = None  # it gives the result more axes
    return twin.get(name) if number is None else number


@twin_of(*_MANY)
def many(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Any number of tensors, folded from the left."""
    function = _MANY[node.op_type]
    nodes = [twin.get(name) for name in node.input]
    return functools.reduce(lambda a, b: twin.call(function, a, b), nodes)


@twin_of("Where")
def where(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Condition, then, else."""
    return twin.call(torch.where, *(twin.get(name) for name in node.input))


@twin_of("Identity", "Dropout")
def identity(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Nothing."""
    return twin.get(node.input[0])


@twin_of("Clip")
def clip(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """torch.clamp, or relu6 where it is one: that has the faster backward."""
    low, high = twin.scalar(node, 1), twin.scalar(node, 2)
    for position, limit in ((1, low), (2, high)):
        if limit is None and any(node.input[position : position + 1]):
            raise NotImplementedError(f"{node.name} computes its limits")
    if low is None and high is None:
        return twin.get(node.input[0])
    if (low, high) == (0.0, 6.0):
        return twin.call(F.relu6, twin.get(node.input[0]))
    return twin.call(torch.clamp, twin.get(node.input[0]), low, high)


@twin_of(
    "LeakyRelu", "Elu", "Celu", "Selu", "Gelu", "HardSigmoid", "PRelu", "Swish", "ThresholdedRelu"
)
def activation(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Activations with attributes."""
    data, values = twin.get(node.input[0]), attributes(node)
    match node.op_type:
        case "LeakyRelu":
            return twin.call(F.leaky_relu, data, values.get("alpha", 0.01))
        case "Elu" | "Celu":
            function = F.elu if node.op_type == "Elu" else F.celu
            return twin.call(function, data, values.get("alpha", 1.0))
        case "Gelu":
            return twin.call(F.gelu, data, approximate=values.get("approximate", "none"))
        case "HardSigmoid":
            # F.hardsigmoid has a slope of 1/6, which is another function.
            slope, shift = values.get("alpha", 0.2), values.get("beta", 0.5)
            line = twin.call(torch.add, twin.call(torch.mul, data, slope), shift)
            return twin.call(torch.clamp, line, 0.0, 1.0)
        # By its formula: F.prelu wants one slope a channel, ONNX broadcasts any shape.
        case "PRelu":
            slope = twin.call(
                torch.mul, twin.call(torch.clamp, data, max=0.0), twin.get(node.input[1])
            )
            return twin.call(torch.add, twin.call(F.relu, data), slope)
        case "Swish" if values.get("alpha", 1.0) != 1.0:
            raise NotImplementedError(f"{node.name} bends by {values['alpha']}")
        case "Swish":
            return twin.call(F.silu, data)
        case "ThresholdedRelu":
            return twin.call(F.threshold, data, values.get("alpha", 1.0), 0.0)
        case _:
            return twin.call(F.selu, data)


@twin_of("Softmax", "LogSoftmax")
def softmax(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Along one axis."""
    function = F.softmax if node.op_type == "Softmax" else F.log_softmax
    return twin.call(function, twin.get(node.input[0]), dim=int(attributes(node).get("axis", -1)))


_TYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.BFLOAT16: torch.bfloat16,
    onnx.TensorProto.DOUBLE: torch.float64,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.INT32: torch.int32,
    onnx.TensorProto.INT16: torch.int16,
    onnx.TensorProto.INT8: torch.int8,
    onnx.TensorProto.UINT8: torch.uint8,
    onnx.TensorProto.BOOL: torch.bool,
}


@twin_of("Cast")
def cast(twin: Twin, node: onnx.NodeProto) -> fx.Node:
    """Tensor.to of a type."""
    kind = attributes(node)["to"]
    if kind not in _TYPES:
        raise NotImplementedError(f"{node.name} casts to {onnx.TensorProto.DataType.Name(kind)}")
    return twin.call(torch.Tensor.to, twin.get(node.input[0]), _TYPES[kind])
