"""Method "greedy": from the unpruned network down, in rounds, as NetAdapt does.

Each round tries every group one step smaller and takes the cuts that lose least accuracy for what
they save, as many as the round must save. NetAdapt takes one cut a round; with few evaluations
there are few rounds, so a round takes several, and its steps are as large as they must be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwprune.candidate import Candidate, SearchSpace
from hwprune.evaluation import Evaluation
from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem
from hwprune.search.turn import Turn

METHOD = "greedy"
LAST = 6
"""Evaluations kept back to reach the budget once rounds of proposals are no longer affordable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One group made smaller, as measured."""

    group: int
    width: int
    saved: float
    """Excess it takes away, as a fraction of the limit."""
    lost: float
    """Accuracy it takes away, 0..1."""

    @property
    def price(self) -> float:
        """Accuracy lost for what is saved; a cut that saves nothing comes last."""
        return self.lost / self.saved if self.saved > 1e-6 else float("inf")


def search(
    problem: SearchProblem,
    evaluator: Evaluator,
    *,
    progress: Progress,
    checkpoint: Path | None = None,
) -> list[dict[str, Any]]:
    """Cut in rounds until the budget is kept, or nothing can be cut any more."""
    turn = Turn(METHOD, evaluator, progress)
    space = problem.space
    now = next(iter(turn.ask([space.unpruned])), None)
    excess, accuracy = _reading(now, problem)
    widths, step = space.unpruned.widths, 1
    cuts: list[Cut] = []
    while excess > 0 and turn.left > 0 and widths != space.smallest.widths:
        rounds = max(1, (turn.left - LAST) // (len(space.groups) + 1))
        goal = excess / rounds
        if turn.left > LAST:
            cuts = _propose(turn, widths, step, excess, accuracy)
            # A round must be able to save its share: where steps are too small, they grow.
            step += sum(c.saved for c in cuts if c.saved > 0) < goal
        else:
            goal = excess + 0.02
        before = widths
        widths = take(space, widths, cuts, goal)
        if widths == before:
            widths, step = _shrink(space, widths), step + 1
        found = turn.ask([Candidate(widths=widths)])
        if found and found[0].failure is None:
            excess, accuracy = _reading(found[0], problem)
    return []


def _reading(evaluation: Evaluation | None, problem: SearchProblem) -> tuple[float, float]:
    """Excess and accuracy; a guess where the unpruned network itself failed."""
    if evaluation is None or evaluation.failure is not None:
        return 1.0, problem.base_accuracy
    return evaluation.worst_excess, evaluation.accuracy or 0.0


def _propose(
    turn: Turn, widths: tuple[int, ...], step: int, excess: float, accuracy: float
) -> list[Cut]:
    """Measure each group `step` choices smaller; as many groups as the allowance permits."""
    proposals: dict[Candidate, int] = {}
    for g, group in enumerate(turn.problem.space.groups):
        place = group.choices.index(widths[g])
        if place > 0:
            smaller = group.choices[max(0, place - step)]
            proposals[Candidate(widths=(*widths[:g], smaller, *widths[g + 1 :]))] = g
    affordable = list(proposals)[: max(0, turn.left - LAST)]
    return [
        Cut(
            group=proposals[e.candidate],
            width=e.candidate.widths[proposals[e.candidate]],
            saved=excess - e.worst_excess,
            lost=accuracy - (e.accuracy or 0.0),
        )
        for e in turn.ask(affordable)
        if e.failure is None
    ]


def take(
    space: SearchSpace, widths: tuple[int, ...], cuts: Sequence[Cut], goal: float
) -> tuple[int, ...]:
    """Take the cheapest cuts until together they save the goal; groups already smaller stay."""
    taken = list(widths)
    saved = 0.0
    for cut in sorted(cuts, key=lambda c: (c.price, c.group)):
        if saved >= goal or cut.saved <= 0:
            break
        if cut.width < taken[cut.group]:
            taken[cut.group] = cut.width
            saved += cut.saved
    return tuple(taken)


def _shrink(space: SearchSpace, widths: Sequence[int]) -> tuple[int, ...]:
    """Every group one choice smaller: the way out when no single cut is seen to save anything."""
    return tuple(
        g.choices[max(0, g.choices.index(w) - 1)]
        for g, w in zip(space.groups, widths, strict=True)
    )
