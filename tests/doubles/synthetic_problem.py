"""A simulated pruning problem whose optimum is known exactly, to compare search methods on.

A chain of layers. Latency is a sum over neighbouring layers of a staircase in both widths, in
whole quanta; the loss of quality is a convex sum with interactions of neighbours, seen through an
exponential. Both are chains, so dynamic programming finds the true optimum. Readings carry noise
that is fixed for a candidate, as a stored reading's is.
"""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from hwprune.candidate import Candidate, GroupChoice, SearchSpace
from hwprune.evaluation import Evaluation, failed, label_under
from hwprune.futures import joined
from hwprune.layer import ChannelCount, Layer
from hwprune.search.problem import SearchProblem
from hwprune.width_limit import width_choices
from hwprune_device.reading import Failure

QUANTA = 4000
"""Latency of the unpruned network, about, in indivisible units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """How noisy and how tangled a synthetic problem is."""

    quality_noise: float = 0.007
    """Standard deviation of a measured quality, 0..1: about 1,000 held-out images."""
    latency_noise: float = 0.015
    """Relative standard deviation of a measured latency."""
    interaction: float = 0.3
    """Strength of neighbours' interaction, relative to their own losses."""
    failing: float = 0.0
    """Share of candidates whose measurement fails."""
    delay_s: float = 0.0
    """How long one measurement, and one scoring, takes; 0: answered at once."""


class SyntheticProblem:
    """A problem of `groups` layers; `search_problem()` is what methods get."""

    def __init__(
        self,
        groups: int,
        *,
        seed: int = 0,
        budget: float = 0.5,
        difficulty: Difficulty | None = None,
        constraints: tuple[str, ...] = ("latency_ms",),
    ) -> None:
        """`budget`: limit of each constraint, as a share of the unpruned network's value."""
        self.seed = seed
        self.budget = budget
        self.difficulty = difficulty or Difficulty()
        self.constraints = constraints
        self.asked = 0
        self._lock = threading.Lock()
        self._workers = ThreadPoolExecutor(2) if self.difficulty.delay_s else None
        rng = np.random.default_rng([seed, groups])
        self._draw_layers(rng, groups)
        self._draw_losses(rng, groups)
        self._whole = {c: self.true_cost(c, self.space.unpruned.widths) for c in constraints}
        self._calibrate_losses()

    def _draw_layers(self, rng: np.random.Generator, groups: int) -> None:
        stage = [16, 32, 64]
        widths = [stage[min(2, 3 * g // groups)] for g in range(groups)]
        self.space = SearchSpace(
            groups=tuple(
                GroupChoice(
                    name=f"g{g}",
                    width=w,
                    choices=width_choices(w, multiple_of=4, min_keep=0.125),
                )
                for g, w in enumerate(widths)
            )
        )
        self._widest = np.array(widths, float)
        self._area = np.array([(64 // w) ** 2 for w in widths], float)
        self._draw_board(rng)
        self._fixed = 0.1 * QUANTA / groups

    def _draw_board(self, rng: np.random.Generator) -> None:
        # How well a layer suits the board: why MACs are a poor guess of latency.
        efficiency = np.exp(rng.normal(0, 0.4, len(self._widest)))
        self._step = rng.choice([4, 8], len(self._widest))
        before = np.concatenate([self._widest[:1], self._widest[:-1]])
        work = self._area * before * self._widest * efficiency
        self._unit = 0.9 * QUANTA * work / work.sum()

    def on_other_board(self, *, budget: float) -> SyntheticProblem:
        """The same network, losses and all, on a board whose layers take other times."""
        other = copy.copy(self)
        other._draw_board(np.random.default_rng([self.seed, 77]))
        other.budget = budget
        unpruned = self.space.unpruned.widths
        other._whole = {c: other.true_cost(c, unpruned) for c in self.constraints}
        return other

    def _draw_losses(self, rng: np.random.Generator, groups: int) -> None:
        self._slope = np.exp(rng.normal(0, 1.0, groups))
        self._power = rng.uniform(1.2, 2.6, groups)
        self._tangle = rng.uniform(-0.4, 1.0, groups) * self.difficulty.interaction
        self.base_quality, self._chance = 0.94, 0.10

    def _calibrate_losses(self) -> None:
        """Scale losses so that the uniform cut that keeps the budget scores about 60 %."""
        grid = [self.space.uniform(k) for k in np.linspace(1, 0, 101)]
        fit = next((c for c in grid if self.true_excess(c.widths) <= 0), grid[-1])
        self._slope *= math.log(0.84 / 0.5) / max(1e-9, self._loss(fit.widths))

    def layer_quanta(self, group: int, before: int, width: int) -> int:
        """Latency of one layer given its input's width and its own, in quanta."""
        step = int(self._step[group])
        full = self.space.groups[group].width
        before_full = self.space.groups[max(0, group - 1)].width
        out = math.ceil(width / step) * step / (math.ceil(full / step) * step)
        into = math.ceil(before / 4) * 4 / before_full
        return round(self._fixed + float(self._unit[group]) * out * into)

    def layer_loss(self, group: int, before: int, width: int) -> float:
        """Loss of one layer, interaction with its input included, before the exponential."""
        cut = 1 - width / self.space.groups[group].width
        cut_before = 1 - before / self.space.groups[max(0, group - 1)].width
        own = cut ** float(self._power[group])
        tangled = float(self._tangle[group]) * cut * cut_before if group else 0.0
        return float(self._slope[group]) * (own + tangled)

    def _loss(self, widths: Sequence[int]) -> float:
        return sum(self.layer_loss(g, b, w) for g, b, w in self._chain(widths))

    def _chain(self, widths: Sequence[int]) -> list[tuple[int, int, int]]:
        first = self.space.groups[0].width
        return list(zip(range(len(widths)), (first, *widths[:-1]), widths, strict=True))

    def true_quality(self, widths: Sequence[int]) -> float:
        """Without noise, 0..1."""
        return self._chance + (self.base_quality - self._chance) * math.exp(-self._loss(widths))

    def true_cost(self, label: str, widths: Sequence[int]) -> float:
        """Without noise: quanta for a latency, a count for params."""
        if label == "params":
            return float(sum(9 * b * w for _, b, w in self._chain(widths)))
        return float(sum(self.layer_quanta(g, b, w) for g, b, w in self._chain(widths)))

    def true_excess(self, widths: Sequence[int]) -> float:
        """The worst excess without noise, with the margin that intervals take."""
        return max(self._excess(c, widths, 0.0) for c in self.constraints)

    def _excess(self, label: str, widths: Sequence[int], noise: float) -> float:
        # Excess is taken at the upper end of a reading's interval, as hwprune.budget does.
        margin = 1 + self.difficulty.latency_noise if label.startswith("latency") else 1.0
        value = self.true_cost(label, widths) * (1 + noise) * margin
        return value / (self.budget * self._whole[label]) - 1

    def estimate(self, widths: tuple[int, ...]) -> float:
        """MACs as a share of the unpruned network's."""
        own = np.array(widths, float)
        before = np.concatenate([self._widest[:1], own[:-1]])
        whole = self._area @ (np.concatenate([self._widest[:1], self._widest[:-1]]) * self._widest)
        return float(self._area @ (before * own) / whole)

    def evaluate(
        self, candidates: Sequence[Candidate], *, learning: bool = True
    ) -> list[Future[Evaluation]]:
        """Measured qualities and costs, each with its candidate's own noise."""
        with self._lock:
            self.asked += len(candidates)
        return [self._later(candidate, learning) for candidate in candidates]

    def _later(self, candidate: Candidate, learning: bool) -> Future[Evaluation]:
        if self._workers is not None:
            return self._workers.submit(self._slowly, candidate, learning)
        done: Future[Evaluation] = Future()
        done.set_result(self._answer(candidate, learning))
        return done

    def _slowly(self, candidate: Candidate, learning: bool) -> Evaluation:
        time.sleep(self.difficulty.delay_s)
        return self._answer(candidate, learning)

    def _answer(self, candidate: Candidate, learning: bool) -> Evaluation:
        found = self._evaluation(candidate)
        if learning or found.feasible or found.failure is not None:
            return found
        return replace(found, score=None, quality=None, share=0.0)

    def _noise(self, candidate: Candidate) -> np.random.Generator:
        return np.random.default_rng([self.seed, 1, *candidate.widths])

    def _evaluation(self, candidate: Candidate) -> Evaluation:
        chance = self._noise(candidate)
        of_quality, of_latency, luck = chance.normal(), chance.normal(), chance.random()
        if luck < self.difficulty.failing:
            return failed(candidate, Failure(stage="build", message="simulated"))
        quality = self.true_quality(candidate.widths) + of_quality * self.difficulty.quality_noise
        noise = of_latency * self.difficulty.latency_noise
        noises = {c: noise if c.startswith("latency") else 0.0 for c in self.constraints}
        quality = float(np.clip(quality, 0, 1))
        return Evaluation(
            candidate=candidate,
            score=quality,
            quality=quality,
            excess={c: self._excess(c, candidate.widths, n) for c, n in noises.items()},
            costs={c: self.true_cost(c, candidate.widths) * (1 + n) for c, n in noises.items()},
        )

    def for_budgets(self, budgets: Sequence[float], evaluations: int) -> SearchProblem:
        """One search for several limits on latency, as shares of the unpruned network's."""
        problem = self.search_problem(evaluations)
        names = [f"{budget:.0%}" for budget in budgets]

        def several(found: Evaluation) -> Evaluation:
            if found.failure is not None:
                return found
            used = (1 + found.excess["latency_ms"]) * self.budget
            pairs = zip(names, budgets, strict=True)
            excess = {label_under(n, "latency_ms"): used / b - 1 for n, b in pairs}
            return replace(found, excess=excess)

        def evaluate(
            candidates: Sequence[Candidate], *, learning: bool = True
        ) -> list[Future[Evaluation]]:
            return [joined([future], several) for future in self.evaluate(candidates)]

        return replace(
            problem,
            budgets=tuple(names),
            constraints=tuple(label_under(name, "latency_ms") for name in names),
            evaluate=evaluate,
        )

    def search_problem(self, evaluations: int, *, boards: int = 1) -> SearchProblem:
        """The face that search methods see."""
        groups = self.space.groups
        depth = np.linspace(-1, 1, len(groups))
        width = np.log2([g.width for g in groups]) / 3 - 5 / 3
        share = np.log(self._area / self._area.max() + 1e-3) / 4 + 0.5
        return SearchProblem(
            space=self.space,
            features=np.stack([depth, width, share], axis=1),
            constraints=self.constraints,
            evaluate=self.evaluate,
            layers=self._layers(),
            harm=self._harm(),
            estimate=self.estimate,
            evaluations=evaluations,
            seed=self.seed,
            base_quality=self.base_quality,
            boards=boards,
        )

    def _layers(self) -> tuple[Layer, ...]:
        """The chain as it would be seen in a graph; how well it suits the board is not in it."""
        groups = self.space.groups
        return tuple(
            Layer(
                name=group.name,
                positions=int(16 * area),
                kernel=9,
                grouped=False,
                outputs=ChannelCount(fixed=0, per_unit=((g, 1),)),
                inputs=ChannelCount(fixed=0, per_unit=((g - 1, 1),))
                if g
                else ChannelCount(fixed=groups[0].width),
            )
            for g, (group, area) in enumerate(zip(groups, self._area, strict=True))
        )

    def _harm(self) -> tuple[np.ndarray, ...]:
        """A ranking's guess of losses: quadratic in the cut, wrong by a factor for each group."""
        guess = np.random.default_rng([self.seed, 9]).normal(0, 0.5, len(self._slope))
        return tuple(
            slope * (1 - np.array(group.choices) / group.width) ** 2
            for slope, group in zip(self._slope * np.exp(guess), self.space.groups, strict=True)
        )

    def optimum(self, budget: float | None = None) -> Candidate:
        """The most accurate candidate whose noise-free latency keeps the budget (latency only).

        Args:
            budget: another one than the problem's.
        """
        limit = (
            (budget or self.budget)
            * self._whole["latency_ms"]
            / (1 + self.difficulty.latency_noise)
        )
        room = int(limit)
        groups = self.space.groups
        # best[c][b]: least loss so far when this group has choice c and b quanta are spent.
        best = np.full((1, room + 1), np.inf)
        best[0, 0] = 0.0
        before: tuple[int, ...] = (groups[0].width,)
        trail: list[np.ndarray] = []
        for g, group in enumerate(groups):
            now = np.full((len(group.choices), room + 1), np.inf)
            source = np.zeros((len(group.choices), room + 1), int)
            for c, width in enumerate(group.choices):
                for p, prior in enumerate(before):
                    quanta = self.layer_quanta(g, prior, width)
                    if quanta > room:
                        continue
                    loss = best[p, : room + 1 - quanta] + self.layer_loss(g, prior, width)
                    better = loss < now[c, quanta:]
                    now[c, quanta:][better] = loss[better]
                    source[c, quanta:][better] = p
            trail.append(source)
            best, before = now, group.choices
        return self._walk_back(best, trail)

    def _walk_back(self, best: np.ndarray, trail: list[np.ndarray]) -> Candidate:
        choice, spent = (int(i) for i in np.unravel_index(np.argmin(best), best.shape))
        widths: list[int] = []
        for g in reversed(range(len(trail))):
            group = self.space.groups[g]
            widths.append(group.choices[choice])
            prior = int(trail[g][choice, spent])
            above = self.space.groups[g - 1].choices[prior] if g else self.space.groups[0].width
            spent -= self.layer_quanta(g, above, group.choices[choice])
            choice = prior
        return Candidate(widths=tuple(reversed(widths)))
