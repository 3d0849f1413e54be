"""The unpruned network with some channels silenced: what a cut network has to compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper
from torch import fx

from hwprune.channels.walk import attribute
from hwprune.network.graph_module import to_module
from hwprune.network.kept_statistics import leave_out
from hwprune_device.cut import KeptIndices
from hwprune_device.plan import AxisCut, CutPlan
from hwprune_device.values import QUANTIZES, is_weight


def silenced_module(model: bytes, plan: CutPlan, keep: Sequence[np.ndarray]) -> fx.GraphModule:
    """The uncut network, in torch, with the removed channels as if they were not there."""
    return to_module(silenced(model, plan, keep))


def silenced(model: bytes, plan: CutPlan, keep: Sequence[np.ndarray]) -> bytes:
    """The uncut model with the removed channels as if they were not there.

    All that writes or reads them is zero. Means, maxima and normalisations over channels are
    those of the channels that stay, because there a zero is a number like others.
    """
    proto = onnx.load_model_from_string(model)
    indices = KeptIndices(list(keep))
    by_name: dict[str, list[AxisCut]] = {}
    for cut in plan.axes:
        by_name.setdefault(cut.initializer, []).append(cut)
    zeros, scales = _zeros(proto.graph)
    for tensor in proto.graph.initializer:
        # A scale of zero would be divided by.
        if tensor.name not in by_name or tensor.name in scales:
            continue
        array = np.array(numpy_helper.to_array(tensor))
        nothing = np.broadcast_to(zeros.get(tensor.name, np.zeros(1, array.dtype)), array.shape)
        for cut in by_name[tensor.name]:
            gone = np.setdiff1d(np.arange(array.shape[cut.axis]), indices.of(cut.spans))
            silence = np.moveaxis(nothing, cut.axis, 0)[gone]
            np.moveaxis(array, cut.axis, 0)[gone] = silence
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    # A mean or maximum would count the zeros that silence has put there.
    leave_out(proto, plan, indices)
    return bytes(proto.SerializeToString())


def _zeros(graph: onnx.GraphProto) -> tuple[dict[str, np.ndarray], set[str]]:
    """What stands for zero in integers that stand for floats; and their scales and zero points."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    zeros: dict[str, np.ndarray] = {}
    parts: set[str] = set()
    for node in graph.node:
        if node.op_type not in QUANTIZES:
            continue
        parts.update(node.input[1:])
        data = tensors.get(node.input[0])
        point = tensors.get(node.input[2]) if len(node.input) > 2 else None
        if data is not None and point is not None and not is_weight(data):
            zero = numpy_helper.to_array(point)
            sizes = [1] * len(data.dims)
            if zero.size > 1:
                sizes[int(attribute(node, "axis", 1))] = -1
            zeros[data.name] = zero.reshape(sizes)
    return zeros, parts
