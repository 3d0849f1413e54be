"""A graph that was written for batch 1 alone, made to run at any batch, where that can be shown.

Scoring and training item by item takes many times as long.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from hwprune.channels.base import make_base
from hwprune.channels.canonical import canonical
from hwprune.network.calls import random_inputs
from hwprune.network.double import in_double
from hwprune.network.graph_module import to_module
from hwprune.network.input_shapes import BATCH
from hwprune_device.output_structure import leaves_of
from hwprune_device.values import Shape, value_shapes

_TOLERANCE = 1e-9
"""Relative, in float64; sums of another order differ by 1e-13."""


def with_free_batch(model: bytes) -> bytes:
    """The same network for any batch, where that can be shown; else the model as it is.

    The batch becomes a symbol, and reshapes infer their first axis. Then two items that are run
    together must come out as each does alone, by the torch twin of the graph as it was given.

    Args:
        model: ONNX bytes in canonical form.
    """
    proto = onnx.load_model_from_string(model)
    shapes = value_shapes(proto)
    values = [*proto.graph.input, *proto.graph.output]
    if not all(shapes.get(value.name, ())[:1] == (1,) for value in values):
        return model
    if any(value.type.tensor_type.shape.dim[0].dim_param for value in proto.graph.input):
        return model
    for value in values:
        kind = value.type.tensor_type
        sizes = (BATCH, *shapes[value.name][1:])
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind.elem_type, sizes))
    for value in proto.graph.value_info:
        for dim in value.type.tensor_type.shape.dim[:1]:
            if dim.dim_value == 1:
                dim.dim_param = BATCH
    _infer_batch(proto, shapes)
    try:
        freed = bytes(canonical(proto).SerializeToString())
        return freed if _computes_the_same(model, freed) else model
    except Exception:  # an operator that torch's side does not know, or a place for batch 1 alone
        return model


def _infer_batch(proto: onnx.ModelProto, alone: Mapping[str, Shape]) -> None:
    """Make the first axis of each reshape the one that is inferred, unless it is copied.

    Args:
        proto: targets of reshapes are changed in place.
        alone: shapes at batch 1.
    """
    literals = {tensor.name: tensor for tensor in proto.graph.initializer}
    constant = set(literals)
    for node in proto.graph.node:
        if constant.issuperset(filter(None, node.input)):
            constant.update(node.output)
            continue
        target = literals.get(node.input[1]) if node.op_type == "Reshape" else None
        after = alone.get(node.output[0], ())
        if target is None or not after or not all(isinstance(size, int) for size in after):
            continue
        if numpy_helper.to_array(target).tolist()[:1] not in ([], [0]):
            sizes = np.array([-1, *after[1:]], np.int64)
            target.CopyFrom(numpy_helper.from_array(sizes, target.name))


def _computes_the_same(fixed: bytes, freed: bytes) -> bool:
    """Whether two items together come out as each alone does, and differ from each other."""
    base = make_base(fixed)
    items = [random_inputs(base, seed=seed, dtype=torch.double) for seed in (0, 1)]
    pairs = [torch.cat(pair) for pair in zip(*items, strict=True)]
    alone, together = in_double(to_module(fixed)), in_double(to_module(freed))
    with torch.inference_mode():
        first, second = (leaves_of(alone(*item)) for item in items)
        both = leaves_of(together(*pairs))
    # An output that no input moves would agree however wrong the batch is.
    told_apart = all(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
    rows = zip(both, first, second, strict=True)
    return told_apart and all(_equal(given, torch.cat([a, b])) for given, a, b in rows)


def _equal(given: torch.Tensor, expected: torch.Tensor) -> bool:
    if given.shape != expected.shape:
        return False
    error = (given.double() - expected.double()).abs().max()
    return bool(error <= _TOLERANCE * expected.double().abs().max())
