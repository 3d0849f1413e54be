"""Torch-Pruning's importances on this project's channel groups."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from torch import nn

from hwprune.saliency.input_axes import input_axes
from hwprune.saliency.output_axes import output_axes
from hwprune_device.plan import STAYS, CutPlan, Span


class Item(tuple):
    """(dependency, indices of the layer), and the units of the group these are."""

    root_idxs: list[int]


def importance(scorer: Any, module: nn.Module, plan: CutPlan) -> list[np.ndarray]:
    """By group, what a Torch-Pruning importance makes of the layers that write and read it."""
    groups: list[list[Item]] = [[] for _ in plan.groups]
    for written in output_axes(module, plan):
        if written.is_weight:
            _add(groups, module.get_submodule(written.layer), "out", written.spans)
    for read in input_axes(module, plan):
        _add(groups, module.get_submodule(read.layer), "in", read.spans)
    return [scorer(group).double().numpy() for group in groups]


def _add(groups: list[list[Item]], layer: nn.Module, side: str, spans: tuple[Span, ...]) -> None:
    start = 0
    for span in spans:
        if span.group != STAYS:
            handler = _handler(layer, side)
            dependency = SimpleNamespace(
                layer=layer,
                target=SimpleNamespace(module=layer),
                pruning_fn=handler,
                handler=handler,
            )
            item = Item((dependency, list(range(start, start + span.size))))
            units = np.arange(span.start, span.start + span.count)
            item.root_idxs = np.repeat(units, span.repeat).tolist()
            groups[span.group].append(item)
        start += span.size


def _handler(layer: nn.Module, side: str) -> Any:
    from torch_pruning.pruner import function

    kind = {nn.Conv2d: "conv", nn.Linear: "linear", nn.BatchNorm2d: "batchnorm"}[type(layer)]
    return getattr(function, f"prune_{kind}_{side}_channels")
