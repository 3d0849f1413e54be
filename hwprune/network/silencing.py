"""The unpruned network with some channels silenced: what a cut network has to compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper
from torch import fx

from hwprune.network.graph_module import to_module
from hwprune.network.kept_statistics import leave_out
from hwprune_device.cut import KeptIndices
from hwprune_device.plan import AxisCut, CutPlan


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
    for tensor in proto.graph.initializer:
        if tensor.name not in by_name:
            continue
        array = np.array(numpy_helper.to_array(tensor))
        for cut in by_name[tensor.name]:
            gone = np.setdiff1d(np.arange(array.shape[cut.axis]), indices.of(cut.spans))
            np.moveaxis(array, cut.axis, 0)[gone] = 0
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    leave_out(proto, plan, indices)
    return bytes(proto.SerializeToString())
