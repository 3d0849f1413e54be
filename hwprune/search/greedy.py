"""A greedy cut in the manner of NetAdapt (Yang et al., 2018), round by round as measured.

In each round every group is tried one step narrower, and the cuts with the least quality lost for
the cost they save are taken until the round's share of the way is gone. NetAdapt takes one cut a
round; with few evaluations for many groups a round must take several.
"""

from __future__ import annotations

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem

SWAPS = 8
"""Exchanges tried together around the best so far."""
RESERVE = 8
"""Evaluations kept back from the rounds."""


def search(evaluator: Evaluator) -> None:
    """Cut greedily down to the budget, then use the rest of the allowance around the result."""
    problem = evaluator.problem
    groups = len(problem.space.groups)
    state = _first_that_runs(problem, evaluator)
    while state is not None and state.worst_excess > 0 and evaluator.left > 1:
        # Some evaluations are kept back: the last cuts often miss the budget by a little.
        rounds = max(1, (evaluator.left - RESERVE) // (groups + 1))
        way = state.worst_excess / rounds
        found = _try_all(problem, evaluator, state, way=way, limit=evaluator.left - RESERVE)
        # Each round takes its share of the way, and the last one all that is left.
        goal = state.worst_excess - way
        following = _take(problem, evaluator, state, found, goal=goal)
        # Where no trial was measured to save anything, the estimate is all there is to go by.
        state = following or (_take(problem, evaluator, state, {}, goal=goal) if found else None)
    _around(problem, evaluator)


def _first_that_runs(problem: SearchProblem, evaluator: Evaluator) -> Evaluation | None:
    """The unpruned network, or the widest uniform cut where that one cannot be measured."""
    for share in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5):
        found = evaluator.ask([problem.space.uniform(share)])
        if found and found[0].failure is None:
            return found[0]
    return None


def _narrower(
    problem: SearchProblem, candidate: Candidate, group: int, saving: float = 0.0
) -> Candidate | None:
    """One group narrower: by the least step believed to save this share of the cost, or by half.

    On a staircase a single step often saves nothing, so a trial goes far enough to be seen.
    """
    width = candidate.widths[group]
    whole = problem.estimate(candidate.widths)
    best = None
    for choice in reversed([c for c in problem.space.groups[group].choices if c < width]):
        if best is not None and choice < width / 2:
            break
        widths = [*candidate.widths[:group], choice, *candidate.widths[group + 1 :]]
        best = Candidate(widths=tuple(widths))
        if problem.estimate(best.widths) <= whole * (1 - saving):
            break
    return best


def _try_all(
    problem: SearchProblem, evaluator: Evaluator, state: Evaluation, *, way: float, limit: int
) -> dict[int, Evaluation]:
    """Every group narrower, evaluated alone; too few evaluations left give no trials."""
    saving = min(0.5, way / (1 + state.worst_excess) / 4)
    trials = {
        group: narrower
        for group in range(len(problem.space.groups))
        if (narrower := _narrower(problem, state.candidate, group, saving)) is not None
    }
    new = [c for c in trials.values() if not evaluator.asked(c)]
    if len(new) > limit:
        return {}
    found = zip(trials, evaluator.ask(list(trials.values())), strict=True)
    return {group: trial for group, trial in found if trial.failure is None}


def _take(
    problem: SearchProblem,
    evaluator: Evaluator,
    state: Evaluation,
    found: dict[int, Evaluation],
    *,
    goal: float,
) -> Evaluation | None:
    """Take the cuts that lose least for what they save, down to the goal, and evaluate the sum.

    Without trials every group that can be cut counts alike, by the cost that is estimated.
    """
    widths = list(state.candidate.widths)
    excess = state.worst_excess
    for _, group, saved, width in sorted(_worth(problem, state, found)):
        if excess <= goal - 0.005:
            break
        widths[group] = width
        excess -= saved
    if tuple(widths) == state.candidate.widths:
        return None
    together = evaluator.ask([Candidate(widths=tuple(widths))])
    return together[0] if together and together[0].failure is None else None


def _worth(
    problem: SearchProblem, state: Evaluation, found: dict[int, Evaluation]
) -> list[tuple[float, int, float, int]]:
    """By group that can be cut: quality lost per cost saved, the group, the saving, the width."""
    worth = []
    whole = problem.estimate(state.candidate.widths)
    for group in range(len(problem.space.groups)):
        narrower = _narrower(problem, state.candidate, group)
        if narrower is None or (found and group not in found):
            continue
        if found:
            narrower = found[group].candidate
        saved = (1 - problem.estimate(narrower.widths) / whole) * (1 + state.worst_excess)
        lost = 0.01
        if found:
            saved = state.worst_excess - found[group].worst_excess
            lost = max(0.0, (state.quality or 0.0) - (found[group].quality or 0.0))
        if saved > 1e-3:
            worth.append((lost / saved, group, saved, narrower.widths[group]))
    return worth


def _around(problem: SearchProblem, evaluator: Evaluator) -> None:
    """Trade one step of one group for one step of another, around the best so far."""
    tried: set[Candidate] = set()
    count = problem.at_once(SWAPS)
    while (
        evaluator.left > 0 and evaluator.best is not None and evaluator.best.candidate not in tried
    ):
        centre = evaluator.best.candidate
        tried.add(centre)
        swaps = [s for s in _swaps(problem, centre) if not evaluator.asked(s)]
        for start in range(0, len(swaps), count):
            evaluator.ask(swaps[start : start + count], learning=False)
            if evaluator.left == 0 or evaluator.best.candidate != centre:
                break


def _swaps(problem: SearchProblem, centre: Candidate) -> list[Candidate]:
    """One group a step wider and another a step narrower, at about the same estimated cost."""
    whole = problem.estimate(centre.widths)
    swaps = []
    for wide, group in enumerate(problem.space.groups):
        place = group.choices.index(centre.widths[wide])
        if place + 1 == len(group.choices):
            continue
        for narrow in range(len(problem.space.groups)):
            cut = _narrower(problem, centre, narrow)
            if cut is None or narrow == wide:
                continue
            widths = list(cut.widths)
            widths[wide] = group.choices[place + 1]
            change = problem.estimate(tuple(widths)) / whole - 1
            if change <= 0.005:
                swaps.append((abs(change), Candidate(widths=tuple(widths))))
    return [candidate for _, candidate in sorted(swaps)]
