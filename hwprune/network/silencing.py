"""The unpruned network with some channels silenced: what a cut network has to compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import fx, nn

from hwprune.network.graph_module import to_module
from hwprune_device.cut import KeptIndices
from hwprune_device.plan import AxisCut, CutPlan
from hwprune_device.torch_graph.ops.layers import normalise_layer


def silenced_module(model: bytes, plan: CutPlan, keep: Sequence[np.ndarray]) -> fx.GraphModule:
    """The uncut network, in torch, with the removed channels as if they were not there.

    All that writes or reads them is zero. Layer norm takes its mean and variance over the channels
    that stay, because there a zero is a number like others.
    """
    module = to_module(silenced(model, plan, keep))
    for path, layer in list(module.named_modules()):
        if isinstance(layer, nn.LayerNorm):
            module.set_submodule(path, _NormOfKept(layer))
    for node in module.graph.nodes:
        if node.target is normalise_layer:
            node.target = _normalise_kept
    module.recompile()
    return module


class _NormOfKept(nn.Module):
    """Layer norm over the channels whose scale is not zero."""

    def __init__(self, layer: nn.LayerNorm) -> None:
        super().__init__()
        self.scale, self.shift, self.eps = layer.weight, layer.bias, layer.eps

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        return _normalise_kept(data, self.scale, self.shift, self.eps)


def _normalise_kept(
    data: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor | None, eps: float
) -> torch.Tensor:
    axes = tuple(range(-scale.dim(), 0))
    there = (scale != 0).to(data.dtype)
    count = there.sum().clamp_min(1)
    centred = (data - (data * there).sum(axes, keepdim=True) / count) * there
    variance = centred.square().sum(axes, keepdim=True) / count
    normal = centred * torch.rsqrt(variance + eps) * scale
    return normal if shift is None else normal + shift


def silenced(model: bytes, plan: CutPlan, keep: Sequence[np.ndarray]) -> bytes:
    """The uncut model where all that writes or reads the removed channels is zero."""
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
    return bytes(proto.SerializeToString())
