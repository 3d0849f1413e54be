"""A graph in half precision, for runtimes that take a graph's types as they are.

TensorRT 11 has no builder flag for fp16 or bf16 any more: what a graph says is what is computed.
"""

from __future__ import annotations

from onnx import ModelProto, inliner, shape_inference

from hwprune_device.precision.half_rules import HALF, LEAST_OPSET, LEAST_OPSET_QUANTIZED, Kind
from hwprune_device.precision.half_scope import Conversion, Scope
from hwprune_device.precision.opset import opset, raised
from hwprune_device.precision.tensors import Names, names

_CLAMPED = "hwprune_clamped_values"


def to_half(model: ModelProto, kind: Kind) -> ModelProto:
    """The same network, computing in half precision between float32 inputs and outputs.

    Operators of `half_rules.KEPT` compute in float32 between Casts; bodies of If, Loop and Scan
    are converted like the graph itself. Weights beyond the range of fp16 become its largest value,
    see `clamped_values`. A BatchNormalization keeps its place and gets mean 0 and variance 1. A
    graph of an opset in which convolutions, or the scales of Q/DQ, cannot be half is raised to one
    in which they can. A graph that computes nothing in float32 is given back as it is.

    Raises:
        ValueError: an unknown kind; a tensor of unknown type; an opset that cannot be raised.
    """
    if kind not in HALF:
        raise ValueError(f"no half precision '{kind}'; possible: {', '.join(HALF)}")
    # Functions are graphs of their own, whose types inference does not reach from here.
    source = inliner.inline_local_functions(model) if model.functions else model
    source = raised(source, _least_opset(source, kind), f"computing in {kind}")
    # Strict: every tensor needs a type, and a wrong one would end up as a wrong Cast.
    made = shape_inference.infer_shapes(source, check_type=True, strict_mode=True)
    conversion = Conversion(kind, opset(source), Names(names(made.graph)))
    Scope(made.graph, conversion, {}).convert()
    if not conversion.changed:
        same = ModelProto()
        same.CopyFrom(model)
        return same
    if conversion.clamped:
        made.metadata_props.add(key=_CLAMPED, value=str(conversion.clamped))
    # Once more: value_info still has the types from before, and a wrong graph shows here.
    return shape_inference.infer_shapes(made, check_type=True, strict_mode=True)


def clamped_values(model: ModelProto) -> int:
    """How many weights `to_half` found beyond the range of half precision."""
    return max((int(p.value) for p in model.metadata_props if p.key == _CLAMPED), default=0)


def _least_opset(model: ModelProto, kind: Kind) -> int:
    quantized = any(n.op_type in ("QuantizeLinear", "DequantizeLinear") for n in model.graph.node)
    return max(LEAST_OPSET[kind], LEAST_OPSET_QUANTIZED if quantized else 0)
