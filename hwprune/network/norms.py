"""Puts BatchNorm back into a network whose exporter folded it into the convolutions.

A cut shifts what every later layer sees. With BatchNorm alive that is mended by a few hundred
images before a candidate is scored, and fine-tuning is steady; folded, neither is so.
"""

from __future__ import annotations

import json

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn.modules.conv import _ConvNd

from hwprune.network.graph_module import to_module
from hwprune_device.values import BUFFERS_KEY, metadata

EPSILON = 1e-5
_BATCH = 64


def with_norms(model: bytes, images: np.ndarray) -> bytes:
    """The same network with a BatchNorm behind every convolution; outputs stay the same.

    Scale and shift of a new BatchNorm undo its own statistics, which are those of the images.
    A network that has a BatchNorm already, or no convolution, is given back as it is.

    Args:
        model: ONNX with named weights, as `read_network` gives it.
        images: N C H W float32, normalised.
    """
    proto = onnx.load_model_from_string(model)
    kinds = {node.op_type for node in proto.graph.node}
    if "BatchNormalization" in kinds or "Conv" not in kinds:
        return model
    found = _statistics(model, images)
    outputs = {value.name for value in proto.graph.output}
    nodes, buffers = [], []
    for node in proto.graph.node:
        path = node.input[1].rpartition(".")[0] if node.op_type == "Conv" else ""
        nodes.append(node)
        if path in found and node.output[0] not in outputs:
            nodes.append(_norm(proto, node, path, *found[path]))
            buffers += [f"{path}_norm.running_mean", f"{path}_norm.running_var"]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(copies)
    known = metadata(proto)
    buffers = [*json.loads(known.get(BUFFERS_KEY, "[]")), *buffers]
    helper.set_model_props(proto, {**known, BUFFERS_KEY: json.dumps(buffers)})
    return bytes(proto.SerializeToString())


def _norm(
    proto: onnx.ModelProto, conv: onnx.NodeProto, path: str, mean: np.ndarray, var: np.ndarray
) -> onnx.NodeProto:
    """A BatchNorm between a convolution and all that read it; its weights join the graph."""
    name = f"{path}_norm"
    values = {
        "weight": np.sqrt(var + EPSILON),
        "bias": mean,
        "running_mean": mean,
        "running_var": var,
    }
    for leaf, array in values.items():
        tensor = numpy_helper.from_array(array.astype(np.float32), f"{name}.{leaf}")
        proto.graph.initializer.append(tensor)
    result = conv.output[0]
    conv.output[0] = f"{result}/unnormalised"
    return helper.make_node(
        "BatchNormalization",
        [conv.output[0], *(f"{name}.{leaf}" for leaf in values)],
        [result],
        name=f"{name}/BatchNormalization",
        epsilon=EPSILON,
    )


def _statistics(model: bytes, images: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and variance by channel of what each convolution puts out, by its path."""
    module = to_module(model)
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}

    def watch(path: str, layer: nn.Module) -> None:
        def add(_: nn.Module, __: object, value: torch.Tensor) -> None:
            rows = value.double().transpose(0, 1).flatten(1)
            moments = torch.stack([rows.sum(1), rows.square().sum(1)])
            sums[path] = sums.get(path, torch.zeros(())) + moments
            counts[path] = counts.get(path, 0) + rows.shape[1]

        layer.register_forward_hook(add)

    for path, layer in module.named_modules():
        if isinstance(layer, _ConvNd):
            watch(path, layer)
    with torch.inference_mode():
        for part in torch.from_numpy(images).split(_BATCH):
            module(part)
    found = {}
    for path, total in sums.items():
        mean, square = (total / counts[path]).numpy()
        found[path] = (mean, np.maximum(square - mean**2, 0.0))
    return found
