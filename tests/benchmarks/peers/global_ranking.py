"""Torch-Pruning's global ranking, on this project's channel groups.

Its own code scores units; its own groups are wrong on padded shortcuts (see bench_saliency). What
its `BasePruner` does with scores is done here: one threshold over all units of a scope, widths
rounded, something left of every group. Isomorphic pruning (Fang et al. 2024) has a scope for each
set of groups that are written and read by the same kinds of layers, in the same order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

import numpy as np
from torch import nn

from hwprune.candidate import Candidate
from hwprune.network.graph_module import to_module
from hwprune.pipeline.prepare import Prepared
from hwprune.saliency.registry import Subject
from hwprune_device.plan import ChannelGroup
from tests.benchmarks.bench_saliency import gradients
from tests.benchmarks.torch_pruning_groups import importance

Keep = list[np.ndarray]
"""By group, the units that stay, ascending."""
IMPORTANCES = ("l2", "taylor")


class GlobalRanking:
    """A network's units in one order, and what a pruning ratio makes of it."""

    def __init__(self, prepared: Prepared, name: str, *, isomorphic: bool, seed: int) -> None:
        """`name`: one of IMPORTANCES."""
        import torch_pruning as tp

        self._space = prepared.space
        base = prepared.base
        subject = Subject(
            module=to_module(base.onnx), plan=base.plan, task=prepared.task, seed=seed
        )
        if name == "taylor":
            scorer = tp.importance.GroupTaylorImportance()
            gradients(subject, scorer, name)
        else:
            scorer = tp.importance.GroupMagnitudeImportance(p=2)
        self._scores = importance(scorer, subject.module, base.plan)
        self._scopes: dict[Hashable, list[int]] = defaultdict(list)
        for number, group in enumerate(base.plan.groups):
            scope = pattern(group, subject.module) if isomorphic else ""
            self._scopes[scope].append(number)

    @property
    def scopes(self) -> int:
        """How many thresholds there are."""
        return len(self._scopes)

    def candidate(self, ratio: float) -> Candidate:
        """The widths at a pruning ratio, 0..1; rounded to widths that the space has."""
        keep = [1.0] * len(self._scores)
        for groups in self._scopes.values():
            scores = np.sort(np.concatenate([self._scores[group] for group in groups]))
            gone = len(scores) - int(len(scores) * (1 - ratio))
            if gone == 0:
                continue
            threshold = scores[min(gone, len(scores)) - 1]
            for group in groups:
                keep[group] = float((self._scores[group] > threshold).mean())
        return self._space.nearest(keep)

    def keep(self, candidate: Candidate) -> Keep:
        """The units of the highest scores."""
        return [
            np.sort(np.argsort(-scores, kind="stable")[:width])
            for scores, width in zip(self._scores, candidate.widths, strict=True)
        ]


def pattern(group: ChannelGroup, module: nn.Module) -> Hashable:
    """What writes and what reads a group, by kinds of layers in order."""
    written = tuple(type(module.get_submodule(name)).__name__ for name in group.members)
    read = tuple(type(module.get_submodule(name)).__name__ for name in group.readers)
    return written, read
