"""The weights that write each channel group, by the cut plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx, nn

from hwprune_device.plan import STAYS, AxisCut, CutPlan, Span

TURNS = {torch.permute, torch.t}
"""How the twin turns a weight before its use."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutputAxis:
    """One parameter with an axis that carries a layer's output channels."""

    layer: str
    parameter: nn.Parameter
    axis: int
    spans: tuple[Span, ...]
    is_norm: bool
    """Of a normalisation: a scale or shift for each channel."""
    is_weight: bool
    """A weight, or a normalisation's scale; not a bias."""

    def rows(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of the parameter's shape as (output channels, everything else)."""
        moved = tensor.transpose(0, self.axis)
        return moved.reshape(len(moved), -1)


def output_axes(module: nn.Module, plan: CutPlan) -> Iterator[OutputAxis]:
    """Every parameter axis that writes a group, in the plan's order; reading axes are left out."""
    parameters = dict(module.named_parameters(remove_duplicate=False))
    by_name: dict[str, list[AxisCut]] = {}
    for cut in plan.axes:
        layer = cut.initializer.rpartition(".")[0]
        groups = {span.group for span in cut.spans} - {STAYS}
        writes = any(layer in plan.groups[group].members for group in groups)
        if cut.initializer in parameters and writes:
            by_name.setdefault(cut.initializer, []).append(cut)
    for name, cuts in by_name.items():
        layer, _, leaf = name.rpartition(".")
        # A layer inside a residual stream has both axes in the plan: outputs are on this one.
        cut = (min if outputs_first(module, layer) else max)(cuts, key=lambda cut: cut.axis)
        scale = parameters.get(f"{layer}.weight")
        yield OutputAxis(
            layer=layer,
            parameter=parameters[name],
            axis=cut.axis,
            spans=cut.spans,
            # A weight of one axis scales channels one by one; it mixes none.
            is_norm=scale is not None and scale.ndim == 1,
            is_weight=leaf == "weight" or parameters[name].ndim > 1,
        )


def outputs_first(module: nn.Module, layer: str) -> bool:
    """Whether a layer's weight has its outputs on the first axis and its inputs on the next.

    Convolutions and linear layers have; a transposed convolution and a plain matrix product, which
    the twin keeps as functions, have the inputs first, unless the weight is turned before its use.
    """
    if isinstance(module.get_submodule(layer), nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
        return True
    if not isinstance(module, fx.GraphModule):
        return False
    weights = module.graph.find_nodes(op="get_attr", target=f"{layer}.weight")
    return any(user.target in TURNS for node in weights for user in node.users)


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
                # Units x channels of one: a unit's score is the sum over its channels.
                piece = values[start : start + span.size].reshape(span.count, span.repeat)
                self.scores[span.group][span.start : span.start + span.count] += piece.sum(1)
                self.known[span.group] = True
            start += span.size

    def filled(self, spare: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
        """The scores, with those of `spare` for groups that no layer was added for."""
        if all(self.known):
            return self.scores
        return [
            own if known else other
            for own, known, other in zip(self.scores, self.known, spare(), strict=True)
        ]


def by_weight(
    module: nn.Module,
    plan: CutPlan,
    score: Callable[[torch.Tensor], torch.Tensor],
    *,
    norms: bool,
) -> GroupScores:
    """Scores from weights alone: `score` maps (channels, everything else) to one number a channel.

    `norms` selects the scales of normalisations, else the weights of all other layers.
    """
    sums = GroupScores(plan)
    with torch.no_grad():
        for axis in output_axes(module, plan):
            if axis.is_weight and axis.is_norm == norms:
                sums.add(axis.spans, score(axis.rows(axis.parameter)).float().cpu().numpy())
    return sums
