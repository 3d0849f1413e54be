"""The environments of arXiv 2110.08558: LayerWise ("cg") and FilterPruning ("fg").

An episode walks over the masked convolutions; reward and cost come with the last. The reward is
the accuracy in percent on training images after a few iterations of fine-tuning, the cost of a
step, on the mean, the percentage of weights that are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwprune.progress import Progress
from tests.benchmarks.papers.masked import MaskedNetwork

STEPS = {"cg": 40_000, "fg": 124_000}
"""Of all episodes together, in the paper's commands."""
CURRICULUM = {"cg": (0, 32, 128), "fg": (0, 256, 512)}
"""Iterations before a reward, by equal parts of the search."""
IMAGES = 20_000
"""That a reward is taken on."""
SIDE_BY_SIDE = 3
MOST = {20: 0.8}
"""The largest share that "cg" may take from a layer at the start, by budget; else MOST_ELSE."""
MOST_ELSE, RISE = 0.9, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much of the paper's work is done, as shares of it."""

    episodes: float
    each: float
    """Of iterations and images before each reward."""
    tuning: float
    """Of iterations of the last fine-tuning."""


class MaskEpisodes:
    """Episodes side by side over one masked network."""

    count = SIDE_BY_SIDE

    def __init__(
        self,
        network: MaskedNetwork,
        kind: str,
        budget: int,
        *,
        effort: Effort,
        until_s: float,
        progress: Progress,
    ) -> None:
        """`kind`: "cg" or "fg". `until_s`: on `time.monotonic`, when no further episode ends."""
        self._network, self._kind = network, kind
        self._most = MOST.get(budget, MOST_ELSE)
        self._effort, self._until_s, self._progress = effort, until_s, progress
        convs = network.convs
        self._widest = max(conv.out_channels for conv in convs)
        self.action_size = 1 if kind == "cg" else self._widest
        self._layers = np.array(
            [
                (i, c.in_channels, c.out_channels, *c.kernel_size, *c.stride, *c.padding)
                for i, c in enumerate(convs)
            ],
            float,
        )
        self.observation_size = self._layers.shape[1] + (kind == "cg")
        self.wanted = max(SIDE_BY_SIDE, round(STEPS[kind] * effort.episodes / len(convs)))
        self.played, self._began_s = 0, time.monotonic()
        self.last: list[tuple[float, float]] = []
        """Reward and percentage kept, of every episode."""
        self._taken = np.zeros((self.count, 0, self.action_size))

    def observe(self) -> np.ndarray:
        """The layer at hand; for "cg" also the sum of the actions so far."""
        layer = np.tile(self._layers[self._taken.shape[1]], (self.count, 1))
        if self._kind == "fg":
            return layer
        return np.concatenate([layer, self._taken.sum(axis=1)], axis=1)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool] | None:
        """See `Episodes.step`."""
        late = time.monotonic() >= self._until_s and self.played > 0
        if late or self.played >= self.wanted:
            return None
        taken = np.clip(actions, 0.0, self.most(self.way))[:, None, :]
        self._taken = np.concatenate([self._taken, taken], axis=1)
        layers = len(self._layers)
        if self._taken.shape[1] < layers:
            return np.zeros(self.count), np.zeros(self.count), False
        found = [self._outcome(taken) for taken in self._taken]
        self._taken = np.zeros((self.count, 0, self.action_size))
        rewards, kept = (np.array(column) for column in zip(*found, strict=True))
        return rewards, layers * kept, True

    @property
    def way(self) -> float:
        """How far the search is, 0..1: in episodes, or in time where that is what ends it."""
        spent_s, allowed_s = time.monotonic() - self._began_s, self._until_s - self._began_s
        return min(1.0, max(self.played / self.wanted, spent_s / max(allowed_s, 1e-9)))

    def most(self, way: float) -> float:
        """The largest action at this point of the search."""
        return min(1.0, self._most + RISE * way) if self._kind == "cg" else 1.0

    def sampled(self, act: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The actions of one episode by the policy as it is at the end, [layers, actions]."""
        taken = np.zeros((0, self.action_size))
        for layer in self._layers:
            seen = layer if self._kind == "fg" else np.append(layer, taken.sum())
            taken = np.concatenate([taken, np.clip(act(seen[None]), 0.0, self.most(1.0))])
        return taken

    def prune(self, taken: np.ndarray) -> None:
        """Mask the trained network by the actions of an episode, [layers, actions]."""
        self._network.reset()
        if self._kind == "cg":
            self._network.prune_weights(taken[:, 0])
        else:
            self._network.mask_filters(taken)

    def _outcome(self, taken: np.ndarray) -> tuple[float, float]:
        """Reward and percentage of weights kept."""
        self.prune(taken)
        kept = 100 * (1 - self._network.sparsity)
        stages = CURRICULUM[self._kind]
        steps = stages[min(len(stages) - 1, int(self.way * len(stages)))]
        self._network.tune_in_episode(round(steps * self._effort.each))
        reward = self._network.reward(max(100, round(IMAGES * self._effort.each)))
        self.played += 1
        self.last.append((reward, kept))
        self._progress.advance(note=f"{kept:.0f} % kept, reward {reward:.1f}")
        return reward, kept
