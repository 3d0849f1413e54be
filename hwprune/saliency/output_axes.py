"""The weights that write each channel group, told by the cut plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hwprune_device.plan import STAYS, CutPlan, Span

WRITERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputAxis:
    """One parameter with an axis that carries a layer's output channels."""

    layer: str
    name: str
    """State-dict key."""
    parameter: nn.Parameter
    transposed: bool
    spans: tuple[Span, ...]
    is_norm: bool
    is_weight: bool
    """A convolution's or linear layer's weight, or BatchNorm's scale; not a bias."""

    def rows(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of the parameter's shape as (output channels, everything else)."""
        moved = tensor.transpose(0, 1) if self.transposed else tensor
        return moved.reshape(len(moved), -1)


def output_axes(module: nn.Module, plan: CutPlan) -> Iterator[OutputAxis]:
    """Every parameter axis that writes a group, in the plan's order; reading axes are left out.

    A weight used as a plain tensor, outside a layer, writes nothing: no criterion can tell what
    its axes mean.
    """
    parameters = dict(module.named_parameters())
    for cut in plan.axes:
        path, _, leaf = cut.initializer.rpartition(".")
        parameter = parameters.get(cut.initializer)
        if parameter is None or not path:
            continue
        layer = module.get_submodule(path)
        transposed = isinstance(layer, TRANSPOSED) and leaf == "weight"
        norm = isinstance(layer, _BatchNorm)
        if not norm and not isinstance(layer, WRITERS + TRANSPOSED):
            continue
        if cut.axis == (1 if transposed else 0):
            yield OutputAxis(
                layer=path,
                name=cut.initializer,
                parameter=parameter,
                transposed=transposed,
                spans=cut.spans,
                is_norm=norm,
                is_weight=leaf == "weight",
            )


class GroupScores:
    """Adds up scores of channels over the layers that write a group."""

    def __init__(self, plan: CutPlan) -> None:
        self.scores = [np.zeros(group.width) for group in plan.groups]
        self.known = [False] * len(plan.groups)

    def add(self, spans: Sequence[Span], values: np.ndarray, *, relative: bool = True) -> None:
        """Add one layer's channel scores; `relative` divides by their mean: layers weigh alike."""
        values = values.astype(np.float64)
        mean = float(values.mean())
        if relative and mean > 0:
            values = values / mean
        start = 0
        for span in spans:
            if span.group != STAYS:
                piece = values[start : start + span.size].reshape(span.count, span.repeat)
                self.scores[span.group][span.start : span.start + span.count] += piece.sum(1)
                self.known[span.group] = True
            start += span.size


def by_weight(
    module: nn.Module,
    plan: CutPlan,
    score: Callable[[torch.Tensor], torch.Tensor],
    *,
    norms: bool,
) -> GroupScores:
    """Scores from weights alone: `score` maps (channels, everything else) to one number a channel.

    `norms` selects BatchNorm scales, else the weights of convolutions and linear layers.
    """
    sums = GroupScores(plan)
    with torch.no_grad():
        for axis in output_axes(module, plan):
            if axis.is_weight and axis.is_norm == norms:
                sums.add(axis.spans, score(axis.rows(axis.parameter)).float().cpu().numpy())
    return sums
