"""Puts BatchNorm back into a network whose exporter folded it into the convolutions.

A cut shifts what every later layer sees. With BatchNorm alive that is mended by a few hundred
inputs before a candidate is scored, and fine-tuning is steady; folded, neither is so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from hwprune.channels.nodes import replace_nodes
from hwprune.errors import DataError
from hwprune.network.graph_module import to_module
from hwprune.network.norm_places import norm_places
from hwprune_device.values import BUFFERS_KEY, metadata

EPSILON = 1e-5
_LEAVES = ("weight", "bias", "running_mean", "running_var")
Batch = tuple[np.ndarray, ...]
"""One array for each input of a network, in order; N first."""


def with_norms(model: bytes, batches: Iterable[Batch]) -> bytes:
    """The same network with BatchNorm behind its convolutions; outputs stay the same.

    Scale and shift of a new BatchNorm undo its own statistics, which are those of the inputs.
    Where one belongs: `norm_places`. A network with no such place is given back as it is.

    Args:
        model: ONNX with named weights, as `read_network` gives it.
        batches: as the network takes them, normalised. They are read once, one after another; a
            network of one fixed batch is fed that many items at a time.

    Raises:
        DataError: no batches, or not one whole batch for a network of a fixed one.
    """
    proto = onnx.load_model_from_string(model)
    places = {node.output[0] for node in norm_places(proto)}
    if not places:
        return model
    nodes, paths = [], []
    for node in proto.graph.node:
        nodes.append(node)
        if node.output[0] in places:
            paths.append(_free_path(proto, node))
            nodes.append(_neutral_norm(proto, node, paths[-1]))
    replace_nodes(proto.graph, nodes)
    known = metadata(proto)
    buffers = [f"{path}.{leaf}" for path in paths for leaf in _LEAVES[2:]]
    buffers = [*json.loads(known.get(BUFFERS_KEY, "[]")), *buffers]
    helper.set_model_props(proto, {**known, BUFFERS_KEY: json.dumps(buffers)})
    _fill(proto, paths, batches)
    return bytes(proto.SerializeToString())


def _free_path(proto: onnx.ModelProto, conv: onnx.NodeProto) -> str:
    """`layer1.conv_norm` behind `layer1.conv`; a convolution used twice has two norms."""
    taken = {tensor.name for tensor in proto.graph.initializer}
    stem = f"{conv.input[1].rpartition('.')[0]}_norm"
    path, number = stem, 1
    while f"{path}.weight" in taken:
        number += 1
        path = f"{stem}_{number}"
    return path


def _neutral_norm(proto: onnx.ModelProto, conv: onnx.NodeProto, path: str) -> onnx.NodeProto:
    """A BatchNorm that changes nothing, between a convolution and all that read it."""
    weight = next(t for t in proto.graph.initializer if t.name == conv.input[1])
    wide = weight.dims[0]
    if conv.op_type == "ConvTranspose":
        groups = next((a.i for a in conv.attribute if a.name == "group"), 1)
        # Its weight is C M/g ...: no axis has all output channels.
        wide = weight.dims[1] * groups
    kind = helper.tensor_dtype_to_np_dtype(weight.data_type)
    # The scale undoes the epsilon that is added to a variance of 1.
    for leaf, number in zip(_LEAVES, ((1 + EPSILON) ** 0.5, 0, 0, 1), strict=True):
        tensor = numpy_helper.from_array(np.full(wide, number, kind), f"{path}.{leaf}")
        proto.graph.initializer.append(tensor)
    result = conv.output[0]
    conv.output[0] = f"{result}/unnormalised"
    return helper.make_node(
        "BatchNormalization",
        [conv.output[0], *(f"{path}.{leaf}" for leaf in _LEAVES)],
        [result],
        name=f"{path}/BatchNormalization",
        epsilon=EPSILON,
    )


def _fill(proto: onnx.ModelProto, paths: Sequence[str], batches: Iterable[Batch]) -> None:
    """Give each BatchNorm the statistics of what it sees, and scale and shift that undo them."""
    found = _statistics(proto, paths, batches)
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    for path in paths:
        mean, var = found[path]
        for leaf, array in zip(_LEAVES, (np.sqrt(var + EPSILON), mean, mean, var), strict=True):
            tensor = tensors[f"{path}.{leaf}"]
            kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
            tensor.CopyFrom(numpy_helper.from_array(array.astype(kind), tensor.name))


def _statistics(
    proto: onnx.ModelProto, paths: Sequence[str], batches: Iterable[Batch]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and variance by channel of what comes to each of these layers."""
    module = to_module(bytes(proto.SerializeToString()))
    sums: dict[str, torch.Tensor] = {}
    counts = dict.fromkeys(paths, 0)

    def watch(path: str) -> None:
        """Add up the moments of what comes to a layer, at each run."""

        def add(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            # In float64: a variance is a small difference of two large sums. C, then all N H W.
            rows = given[0].double().transpose(0, 1).flatten(1)
            moments = torch.stack([rows.sum(1), rows.square().sum(1)])
            sums[path] = sums.get(path, torch.zeros(())) + moments
            counts[path] += rows.shape[1]

        module.get_submodule(path).register_forward_pre_hook(add)

    for path in paths:
        watch(path)
    with torch.inference_mode():
        for batch in _as_taken(proto, batches):
            module(*map(torch.from_numpy, batch))
    if not sums:
        raise DataError("no inputs to put BatchNorm back with", possible="one whole batch or more")
    found = {}
    for path, total in sums.items():
        mean, square = (total / counts[path]).numpy()
        found[path] = (mean, np.maximum(square - mean**2, 0.0))
    return found


def _as_taken(proto: onnx.ModelProto, batches: Iterable[Batch]) -> Iterator[Batch]:
    """The batches in the sizes that the network takes: any, or the one that it was written for."""
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    size = dims[0].dim_value if len(dims) else 0
    for batch in batches:
        if not size:
            yield batch
            continue
        # What is left over is no whole batch, and a network of a fixed one cannot take it.
        for start in range(0, len(batch[0]) - size + 1, size):
            yield tuple(array[start : start + size] for array in batch)
