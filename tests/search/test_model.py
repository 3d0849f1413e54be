"""The model: how far below the limit it aims."""

from __future__ import annotations

from dataclasses import replace

from hwprune.search.evaluator import Evaluator
from hwprune.search.model import Model
from hwprune.search.model_search import first_candidates
from tests.doubles.synthetic_problem import SyntheticProblem


def test_only_what_was_measured_tells_how_far_costs_are_missed():
    problem = SyntheticProblem(6, seed=1).search_problem(40)
    evaluator = Evaluator(problem, "model")
    known = evaluator.ask(first_candidates(problem))
    model = Model(problem, problem.space.unpruned.widths)
    model.learn(known)
    over = {label: excess + 0.5 for label, excess in known[-1].excess.items()}
    predicted = replace(known[-1], number=len(known) + 1, excess=over, measured=False)
    aim = model.aim
    model.learn([*known, predicted])
    assert model.aim == aim
    model = Model(problem, problem.space.unpruned.widths)
    model.learn(known)
    model.learn([*known, replace(predicted, measured=True)])
    assert model.aim < aim
