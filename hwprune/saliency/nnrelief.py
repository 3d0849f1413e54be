"""Share of the signal that readers take from a channel (Dekhovich et al. 2021, NNrelief).

NNrelief keeps, for every unit, the smallest set of inputs whose shares add up to a threshold, and
drops channels that nobody reads any more, in several rounds of pruning and training.

Adapted: a channel's score is the sum of its shares over everything that reads it, in one round;
the width comes from elsewhere, so there is no threshold. The paper's rule for residual branches is
not needed: branches of one stream are one group here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from hwprune.saliency.input_axes import InputAxis, input_axes
from hwprune.saliency.observation import Observer
from hwprune.saliency.output_axes import GroupScores
from hwprune.saliency.places import behind_turns, graph_module
from hwprune.saliency.registry import Subject, criterion
from hwprune.saliency.sample import batches
from hwprune.saliency.weights import l1

IMAGES = 512
BATCH = 32
FLOATS = 1 << 24
"""Size of the flow maps that are held at once; a wide layer has gigabytes of them."""
_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@criterion("nnrelief")
def nnrelief(subject: Subject) -> list[np.ndarray]:
    """Σ over readers and their units k of the share of channel c in the flow into k.

    The flow from c to k is |w_kc| with mean |x_c| over images, in a convolution as a map over its
    positions of which the Frobenius norm is taken; the share is of all channels' flows and |bias|.
    Readers are convolutions that are not grouped, and linear layers; a group that none of them
    reads is ranked by l1.

    Raises:
        DataError: the subject has no task.
    """
    graph = graph_module(subject)
    axes = {axis.layer: axis for axis in input_axes(graph, subject.plan)}
    readers = list(_readers(graph, axes))
    # By node and not by reader: branches that read one value share its mean.
    means = _mean_inputs(subject, graph, {node for node, _ in readers})
    sums = GroupScores(subject.plan)
    for node, axis in readers:
        flows, bias = _flows(graph.get_submodule(axis.layer), axis, means[node])
        # [outputs]; a unit that nothing flows into has shares of zero, not of 0 / 0.
        total = (flows.sum(1) + bias).clamp_min(1e-12)
        sums.add(axis.spans, (flows / total[:, None]).sum(0).numpy(), relative=False)
    return sums.filled(lambda: l1(subject))


def _readers(
    graph: fx.GraphModule, axes: Mapping[str, InputAxis]
) -> Iterator[tuple[fx.Node, InputAxis]]:
    """What each reader reads; a linear layer over tokens is a function in the twin."""
    for node in graph.graph.nodes:
        if node.op == "call_module" and node.target in axes:
            yield node.all_input_nodes[0], axes[node.target]
        elif node.op == "get_attr" and node.target.removesuffix(".weight") in axes:
            for user in behind_turns(node):
                if user.target is torch.matmul:
                    yield user.all_input_nodes[0], axes[node.target.removesuffix(".weight")]


def _mean_inputs(
    subject: Subject, graph: fx.GraphModule, nodes: set[fx.Node]
) -> dict[fx.Node, torch.Tensor]:
    """Mean over images of |x|, by node, without the axis of images."""
    means = {node: torch.zeros(()) for node in nodes}

    def watch(node: fx.Node) -> Callable[[torch.Tensor], None]:
        def add(value: torch.Tensor) -> None:
            means[node] = means[node] + value.abs().sum(0)

        return add

    observer = Observer(graph, {node: watch(node) for node in nodes})
    seen = 0
    with torch.inference_mode():
        for inputs in batches(subject, IMAGES, BATCH):
            observer.run(*inputs)
            seen += len(inputs[0])
        return {node: mean / max(1, seen) for node, mean in means.items()}


@torch.inference_mode()
def _flows(
    layer: nn.Module, axis: InputAxis, mean: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What each input channel [outputs, inputs], and the bias [outputs], bring to each output."""
    if not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        # Tokens L C count alike.
        features = mean.reshape(-1, mean.shape[-1]).mean(0)
        weight = axis.columns(axis.parameter).T
        return weight.abs() * features, _bias(layer, len(weight))
    outputs, inputs = layer.weight.shape[:2]
    step = max(1, FLOATS // (outputs * mean[0].numel()))
    columns: list[torch.Tensor] = []
    positions = 1
    for start in range(0, inputs, step):
        # One group for each input channel keeps the channels' flows apart.
        kernels = layer.weight[:, start : start + step].abs().transpose(0, 1)
        # [inputs of this step, outputs, positions] once reshaped.
        maps = _CONVOLUTIONS[mean.ndim - 1](
            mean[None, start : start + step],
            kernels.reshape(-1, 1, *kernels.shape[2:]),
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=len(kernels),
        ).reshape(len(kernels), outputs, -1)
        columns.append(maps.norm(dim=2))
        positions = maps.shape[2]
    # A bias is the same at each position: its map's norm is |b| times the root of their number.
    return torch.cat(columns).T, _bias(layer, outputs) * positions**0.5


def _bias(layer: nn.Module, outputs: int) -> torch.Tensor:
    bias = getattr(layer, "bias", None)
    return torch.zeros(outputs) if bias is None else bias.detach().abs()
