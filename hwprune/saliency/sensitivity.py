"""Sensitive layers: those with many feature maps of low rank (Yang et al. 2023).

The paper (Artif. Intell. Rev. 56 Suppl 2) calls a layer sensitive if it has more low-rank feature
maps than others, and has reinforcement learning prune the insensitive ones. Its text is closed,
and its abstract leaves open the thresholds and what becomes of the sensitive layers, so both
readings are here: "rank" prunes them by the rank rule, "protect" leaves them whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hwprune.candidate import GroupChoice
from hwprune.progress import Progress, Silent
from hwprune.saliency.cache import cache_file, read_cache, write_cache
from hwprune.saliency.feature_rank import LayerRanks, feature_ranks
from hwprune.saliency.output_axes import GroupScores
from hwprune.saliency.registry import Subject
from hwprune.stored import as_noun

if TYPE_CHECKING:
    from torch import nn

    from hwprune.channels.base import BaseNetwork
    from hwprune.task.task import Task
    from hwprune_device.plan import CutPlan

Reading = Literal["rank", "protect"]
LOW_RANK = 0.5
THRESHOLD = 0.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sensitivity:
    """Which layers of a network, and which of its groups, have many maps of low rank."""

    plan: CutPlan
    layers: tuple[LayerRanks, ...]
    """In the network's order."""
    low_rank: float = LOW_RANK
    """A map is of low rank if its mean rank is below this share of min(H, W)."""
    threshold: float = THRESHOLD
    """A layer is sensitive if more than this share of its maps are of low rank."""

    def low_share(self, layer: LayerRanks) -> float:
        """Share of a layer's maps that are of low rank, 0..1."""
        return float((layer.shares < self.low_rank).mean())

    def is_sensitive(self, layer: LayerRanks) -> bool:
        """Whether the layer has more maps of low rank than the threshold."""
        return self.low_share(layer) > self.threshold

    def group_shares(self) -> list[np.ndarray | None]:
        """By group and unit, rank / min(H, W), the mean over layers; None for groups without maps.

        Layers that residual connections tie have one width, so they are judged together.
        """
        ranks, count = GroupScores(self.plan), GroupScores(self.plan)
        for layer in self.layers:
            ranks.add(layer.spans, layer.shares, relative=False)
            count.add(layer.spans, np.ones(len(layer.ranks)), relative=False)
        return [
            total / np.maximum(times, 1) if known else None
            for total, times, known in zip(ranks.scores, count.scores, ranks.known, strict=True)
        ]

    def sensitive_groups(self) -> dict[int, float]:
        """The groups that are sensitive, with their share of units of high rank, 0..1."""
        high = {
            group: float((shares >= self.low_rank).mean())
            for group, shares in enumerate(self.group_shares())
            if shares is not None
        }
        return {group: share for group, share in high.items() if 1 - share > self.threshold}

    def sensitive_scores(self) -> dict[int, np.ndarray]:
        """By sensitive group, its units' scores; in the order of the hrank criterion."""
        shares = self.group_shares()
        return {g: found for g in self.sensitive_groups() if (found := shares[g]) is not None}

    def fixed(self, groups: Sequence[GroupChoice], reading: Reading) -> tuple[GroupChoice, ...]:
        """The groups of a search space with the sensitive ones taken out of the search's hands.

        "rank" leaves such a group the choice nearest to its share of high-rank units, "protect"
        its full width.
        """
        found = list(groups)
        for index, share in self.sensitive_groups().items():
            group = groups[index]
            wanted = group.width * share if reading == "rank" else group.width
            # Of two choices as near the narrower.
            width = min(group.choices, key=lambda w, wanted=wanted: (abs(w - wanted), w))  # type: ignore[misc]
            found[index] = replace(group, choices=(width,))
        return tuple(found)


def sense(
    base: BaseNetwork,
    task: Task,
    *,
    low_rank: float = LOW_RANK,
    threshold: float = THRESHOLD,
    module: nn.Module | None = None,
    cache: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Sensitivity:
    """Find the sensitive layers of a base network.

    Args:
        base: the unpruned network.
        task: gives the inputs that are looked at.
        low_rank: see `Sensitivity`; `threshold` alike. Neither is part of what is cached.
        module: the base's torch twin where the caller has it already; its mode changes.
        cache: a folder; the ranks are read from there, or kept there.
        seed: of the images.
        progress: receives each batch of images.
    """
    file = cache_file(cache, "feature-ranks", "layers", base, task, seed) if cache else None
    layers = _read(file) if file is not None else None
    if layers is None:
        if module is None:
            from hwprune.network.graph_module import to_module

            module = to_module(base.onnx)
        progress = progress or Silent()
        layers = feature_ranks(
            Subject(
                module=module,
                plan=base.plan,
                task=task,
                seed=seed,
                progress=progress,
                stage="rank of feature maps",
            )
        )
        progress.end(f"{len(layers)} layers")
        if file is not None:
            write_cache(file, [layer.to_json() for layer in layers])
    return Sensitivity(
        plan=base.plan, layers=tuple(layers), low_rank=low_rank, threshold=threshold
    )


def _read(file: Path) -> list[LayerRanks] | None:
    try:
        return [LayerRanks.from_json(row) for row in as_noun(list[Any], read_cache(file))]
    except ValueError:
        return None
