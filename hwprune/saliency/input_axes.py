"""The weights that read each channel group, by the cut plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from hwprune.saliency.output_axes import outputs_first
from hwprune_device.plan import STAYS, AxisCut, CutPlan, Span

_CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputAxis:
    """One weight with an axis that carries a layer's input channels."""

    name: str
    layer: str
    parameter: nn.Parameter
    axis: int
    spans: tuple[Span, ...]

    def columns(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of the weight's shape as (input channels, everything else)."""
        moved = tensor.movedim(self.axis, 0)
        return moved.reshape(len(moved), -1)


def input_axes(module: nn.Module, plan: CutPlan) -> Iterator[InputAxis]:
    """Every weight axis that reads a group, in the plan's order.

    A grouped convolution, where each output reads a part of the inputs, is left out: in a
    depthwise one a channel has a single reader, itself.
    """
    # A shared weight has several names; the plan knows one of them.
    parameters = dict(module.named_parameters(remove_duplicate=False))
    for cut in plan.axes:
        parameter = parameters.get(cut.initializer)
        # Buffers and exporter's constants are no parameters; biases and scales read nothing.
        if parameter is None or parameter.ndim < 2:
            continue
        name = cut.initializer.rpartition(".")[0]
        if cut.axis == _input_axis(module, name) and _reads(cut, plan):
            yield InputAxis(
                name=cut.initializer,
                layer=name,
                parameter=parameter,
                axis=cut.axis,
                spans=cut.spans,
            )


def _input_axis(module: nn.Module, name: str) -> int:
    """Where a layer's inputs are; -1 where each output has inputs of its own."""
    layer = module.get_submodule(name)
    if isinstance(layer, _CONVS) and layer.groups > 1:
        return -1
    return int(outputs_first(module, name))


def _reads(cut: AxisCut, plan: CutPlan) -> bool:
    """Whether this axis carries a group that the layer reads, not only writes."""
    layer = cut.initializer.rpartition(".")[0]
    groups = {span.group for span in cut.spans} - {STAYS}
    if any(layer in plan.groups[g].readers for g in groups):
        return True
    # A layer inside a residual stream reads and writes one group, along two axes.
    axes = {other.axis for other in plan.axes if other.initializer == cut.initializer}
    return len(axes) > 1
