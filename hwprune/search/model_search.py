"""Method "model": a planner over what is believed, and candidates that belief has no say in.

1. The smallest network and a spread over the space are evaluated.
2. A table of losses and costs is fitted to everything evaluated so far.
3. Of each batch, one is the planner's own plan, one is drawn at random near the budget without the
   table, and the others are the best of many variations of the plan, by the table.

What the table cannot express (a maximum over a network, coupled stages) it is wrong about however
often it plans: the random ones find the way there, and the next fit starts from them. As long as
nothing but the smallest network keeps the budget, candidates between it and the plan are tried.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwprune.progress import Progress
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem
from hwprune.search.proposer import Proposer
from hwprune.search.spread import spread_candidates
from hwprune.search.turn import Turn

METHOD = "model"
BATCH = 5
START_SHARE = 0.15
"""Of the allowance, spread over the space before anything is planned."""
STALE = 6
"""Batches in a row without a new candidate after which the space counts as exhausted."""


def search(
    problem: SearchProblem,
    evaluator: Evaluator,
    *,
    progress: Progress,
    checkpoint: Path | None = None,
) -> list[dict[str, Any]]:
    """Search until the allowance or the space is exhausted."""
    turn = Turn(METHOD, evaluator, progress)
    count = max(1, int(problem.evaluations * START_SHARE))
    turn.ask([problem.space.smallest, *spread_candidates(problem, count)][:count])
    proposer = Proposer(problem)
    stale = 0
    while turn.left > 0 and stale < STALE:
        proposer.learn(turn.evaluations)
        batch = proposer.propose(
            problem.at_once(BATCH), turn.asked, left=turn.left / problem.evaluations
        )
        stale = 0 if batch else stale + 1
        turn.hand_in(batch)
    turn.take_in()
    return []
