"""Method "model": a planner over what is believed, and candidates that belief has no say in.

1. The smallest network and a spread over the space are evaluated.
2. A surrogate of losses and costs is fitted to everything evaluated so far.
3. Of each batch, one is the planner's own plan, one is drawn at random near the budget without the
   surrogate, and the others are the best of many variations of the plan, by the surrogate.

What the surrogate cannot express it is wrong about however often it plans: the random ones find
the way there, and the next fit starts from them. As long as nothing but the smallest network keeps
the budget, candidates between it and the plan are tried. Several budgets have their batches by
turns; each learns from all that was evaluated.
"""

from __future__ import annotations

import itertools
from concurrent.futures import Future

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation
from hwprune.search.evaluator import Evaluator
from hwprune.search.problem import SearchProblem
from hwprune.search.proposer import Proposer
from hwprune.search.spread import spread_candidates

BATCH = 5
"""Candidates of a batch, for one board."""
START_SHARE = 0.15
"""Of the allowance, spread over the space before anything is planned."""
STALE = 6
"""Batches in a row without a new candidate after which the space counts as exhausted."""


def search(evaluator: Evaluator) -> None:
    """Search until the allowance or the space is exhausted."""
    problem = evaluator.problem
    evaluator.ask(first_candidates(problem), by="start")
    proposers = {budget: Proposer(problem.under(budget)) for budget in problem.budgets}
    stale = 0
    for budget in itertools.cycle(problem.budgets):
        if evaluator.left == 0 or stale == STALE * len(proposers):
            break
        proposers[budget].learn(evaluator.under(budget))
        batch = start_batch(evaluator, proposers[budget])
        stale = 0 if batch else stale + 1
        evaluator.hand_in(batch)
        evaluator.end_if_idle()
    evaluator.take_in()


def first_candidates(problem: SearchProblem) -> list[Candidate]:
    """The smallest network, which is known to keep the budget, and a spread."""
    count = max(1, int(problem.evaluations * START_SHARE))
    return [problem.space.smallest, *spread_candidates(problem, count)][:count]


def start_batch(evaluator: Evaluator, proposer: Proposer) -> list[Future[Evaluation]]:
    """Start evaluating what the proposer holds worth it; empty where it knows nothing new."""
    problem = evaluator.problem
    left = evaluator.left / problem.evaluations
    batch = proposer.propose(problem.at_once(BATCH), evaluator.asked, left=left)
    futures = []
    # One call for each proposer: `by` holds for all candidates of a call.
    for by in dict.fromkeys(batch.values()):
        futures += evaluator.start([c for c, who in batch.items() if who == by], by=by)
    return futures
