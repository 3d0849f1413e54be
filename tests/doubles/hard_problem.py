"""A hard simulated pruning problem: two boards, coupled stages, and memory as a maximum.

Three stages of residual blocks share a stream each, so widths inside blocks and of the stream
decide together. Board `a` computes in steps of 4 channels, board `b` in steps of 16. Memory is the
most that any layer holds, and its limit is such that the stem has to be cut to its least width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwprune.candidate import Candidate, GroupChoice, SearchSpace
from hwprune.changes import Changes
from hwprune.layer import ChannelCount, Layer
from hwprune.peak import Peak
from hwprune.search.planner import Planner
from hwprune.search.problem import SearchProblem
from hwprune.width_limit import width_choices
from tests.doubles.synthetic_problem import QUANTA, Difficulty, SyntheticProblem

STEPS = {"latency_ms on a": 4, "latency_ms on b": 16}
MEMORY = "memory_mb"
PLANS = 24
"""Plans that the reference is the best of."""
IMAGE = 3
"""Channels that the stem reads."""
MEMORY_SHARE = 0.6
"""The memory limit, in what a block takes; alike in all stages, so many layers are the maximum."""
ROOM = 1.02
"""The memory limit, in what the stem takes at its least width."""


class HardProblem(SyntheticProblem):
    """A problem of `groups` groups: a stem, three streams, and the insides of blocks."""

    def __init__(
        self,
        groups: int,
        *,
        seed: int = 0,
        budget: float = 0.5,
        difficulty: Difficulty | None = None,
        form_known: bool = True,
    ) -> None:
        """`form_known`: whether a search is told the form of memory, as it is of real graphs."""
        self._form_known = form_known
        super().__init__(
            groups,
            seed=seed,
            budget=budget,
            difficulty=difficulty,
            constraints=(*STEPS, MEMORY),
        )

    def _draw_layers(self, rng: np.random.Generator, groups: int) -> None:
        """Group 0 is the stem, 1 to 3 are streams, the others lie inside blocks."""
        inner = list(range(4, groups))
        stage = [min(2, 3 * i // max(1, len(inner))) for i in range(len(inner))]
        widths = np.array([32, 16, 32, 64, *(16 * 2**s for s in stage)])
        self._edges = [(-1, 0), (0, 1), (1, 2), (2, 3)]
        self._edges += [(1 + s, g) for g, s in zip(inner, stage, strict=True)]
        self._edges += [(g, 1 + s) for g, s in zip(inner, stage, strict=True)]
        self.space = SearchSpace(
            groups=tuple(
                GroupChoice(
                    name=f"g{g}",
                    width=int(w),
                    choices=width_choices(int(w), multiple_of=4, min_keep=0.125),
                )
                for g, w in enumerate(widths)
            )
        )
        self._places = np.array([{16: 16, 32: 4, 64: 1}[int(widths[g])] for _, g in self._edges])
        self._places[0] = 64
        self._area = np.array([64, *({16: 16, 32: 4, 64: 1}[int(w)] for w in widths[1:])], float)
        self._holds = np.array([256 / int(widths[g]) for _, g in self._edges])
        self._memory_limit = MEMORY_SHARE * 512.0
        least = self.space.groups[0].choices[0]
        self._holds[0] = self._memory_limit / ROOM / (IMAGE + least)
        self._into = np.array([before for before, _ in self._edges])
        self._out = np.array([after for _, after in self._edges])
        full = self._counts(widths[None])
        work = self._places * full[0][0] * full[1][0]
        self._efficiency = {label: work * np.exp(rng.normal(0, 0.4, len(work))) for label in STEPS}

    def _draw_losses(self, rng: np.random.Generator, groups: int) -> None:
        super()._draw_losses(rng, groups)
        # Every group is tangled with another one: a block with its stream, a stream with the stem.
        first = {after: before for before, after in reversed(self._edges) if before >= 0}
        self._partner = np.array([first.get(g, g) for g in range(groups)])

    def _calibrate_losses(self) -> None:
        self._limits = {label: self.budget * self._whole[label] for label in STEPS}
        self._limits[MEMORY] = self._memory_limit
        feasible = self.space.groups[0].choices[0], *self.space.uniform(0.5).widths[1:]
        self._slope *= math.log(0.84 / 0.5) / max(1e-9, self._loss(feasible))

    def _loss(self, widths: Sequence[int]) -> float:
        return float(self._losses(np.array([widths]))[0])

    def _losses(self, widths: np.ndarray) -> np.ndarray:
        cut = 1 - widths / np.array(self.space.unpruned.widths)
        own = cut**self._power
        tangled = self._tangle * cut * cut[:, self._partner]
        return np.asarray((self._slope * (own + tangled)).sum(axis=1))

    def _counts(self, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Channels that layers read and write at widths [n, groups]; [n, layers] each."""
        padded = np.concatenate([widths, np.full((len(widths), 1), IMAGE)], axis=1)
        return padded[:, self._into], padded[:, self._out]

    def true_costs(self, label: str, widths: np.ndarray) -> np.ndarray:
        """Without noise, of widths [n, groups]; [n]."""
        into, out = self._counts(widths)
        if label == MEMORY:
            return np.asarray((self._holds * (into + out)).max(axis=1))
        full = self._counts(np.array([self.space.unpruned.widths]))
        step = STEPS[label]
        share = np.ceil(into / 4) * np.ceil(out / step) / np.ceil(full[0] / 4)
        work = self._efficiency[label]
        quanta = share / np.ceil(full[1] / step) @ (0.9 * QUANTA * work / work.sum())
        return np.asarray(quanta + 0.1 * QUANTA)

    def true_cost(self, label: str, widths: Sequence[int]) -> float:
        """Without noise."""
        return float(self.true_costs(label, np.array([widths]))[0])

    def _excess(self, label: str, widths: Sequence[int], noise: float) -> float:
        margin = 1 + self.difficulty.latency_noise if label in STEPS else 1.0
        return self.true_cost(label, widths) * (1 + noise) * margin / self._limits[label] - 1

    def estimate(self, widths: tuple[int, ...]) -> float:
        """MACs as a share of the unpruned network's."""
        rows = np.array([widths, self.space.unpruned.widths])
        into, out = self._counts(rows)
        macs = (self._places * into * out).sum(axis=1)
        return float(macs[0] / macs[1])

    def search_problem(self, evaluations: int, *, boards: int = 1) -> SearchProblem:
        """The face that search methods see."""
        problem = super().search_problem(evaluations, boards=boards)
        return replace(problem, forms={MEMORY: self.peak()} if self._form_known else {})

    def peak(self) -> Peak:
        """The form of memory."""
        per_unit = np.zeros((len(self._edges), len(self.space.groups) + 1))
        moments = np.arange(len(self._edges))
        for ends in (self._into, self._out):
            np.add.at(per_unit, (moments, ends), self._holds)
        return Peak(fixed=per_unit[:, -1] * IMAGE, per_unit=per_unit[:, :-1])

    def _layers(self) -> tuple[Layer, ...]:
        return tuple(
            Layer(
                name=f"{before}-{after}",
                positions=int(16 * area),
                kernel=9,
                grouped=False,
                outputs=ChannelCount(fixed=0, per_unit=((after, 1),)),
                inputs=ChannelCount(fixed=0, per_unit=((before, 1),))
                if before >= 0
                else ChannelCount(fixed=IMAGE),
            )
            for (before, after), area in zip(self._edges, self._places, strict=True)
        )

    def optimum(self, budget: float | None = None) -> Candidate:
        """The best that planning on the truth finds: a reference, not shown to be the optimum."""
        assert budget is None, "limits are fixed when the problem is drawn"
        truth = _Truth(self)
        planner, chance = Planner(truth), np.random.default_rng(0)  # type: ignore[arg-type]
        best = self.space.smallest.widths
        for number in range(PLANS):
            starts = [best, self._shaken(best, chance), self.space.uniform(chance.random()).widths]
            plan = planner.best(starts, aim=1.0, number=number)
            if self.true_excess(plan) <= 0:
                best = max(best, plan, key=self.true_quality)
        return Candidate(widths=best)

    def _shaken(self, widths: Sequence[int], chance: np.random.Generator) -> tuple[int, ...]:
        """A fifth of the groups at random widths."""
        pairs = zip(self.space.groups, widths, strict=True)
        return tuple(
            int(chance.choice(g.choices)) if chance.random() < 0.2 else w for g, w in pairs
        )


class _Truth:
    """What a planner sees of a problem whose truth is told."""

    def __init__(self, hard: HardProblem) -> None:
        self.hard = hard
        self.problem = hard.search_problem(1)

    def loss(self, widths: np.ndarray) -> np.ndarray:
        return self.hard._losses(np.asarray(widths))

    def used(self, widths: np.ndarray) -> np.ndarray:
        hard, rows = self.hard, np.asarray(widths)
        margin = 1 + hard.difficulty.latency_noise
        columns = [
            hard.true_costs(c, rows) / hard._limits[c] * (margin if c in STEPS else 1.0)
            for c in hard.constraints
        ]
        return np.stack(columns, axis=1)

    def changed(self, widths: np.ndarray, changes: Changes) -> tuple[np.ndarray, np.ndarray]:
        rows = changes.apply(np.asarray(widths))
        return self.loss(rows), self.used(rows)
