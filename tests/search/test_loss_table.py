"""The loss table: what is known of the channels that go helps where few candidates were scored."""

from __future__ import annotations

import numpy as np

from hwprune.search.loss_table import LossTable
from tests.doubles.synthetic_problem import SyntheticProblem


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    both = np.argsort(np.argsort([one, other], axis=1), axis=1)
    return float(np.corrcoef(both)[0, 1])


def learned(problem: SyntheticProblem, count: int, *, harm: bool) -> float:
    """Rank correlation with the truth of what `count` scored candidates teach."""
    given = problem.search_problem(10)
    chance = np.random.default_rng(0)
    widths = np.stack([chance.choice(g.choices, count + 200) for g in given.space.groups], axis=1)
    truth = np.array([problem.true_quality(w) for w in widths])
    told = given.harm if harm else tuple(np.zeros(len(row)) for row in given.harm)
    table = LossTable(given.space.groups, told, given.base_quality)
    table.fit(widths[:count], truth[:count])
    return rank_correlation(-table.predict(widths[count:]), truth[count:])


def test_few_scores_and_a_rough_ranking_tell_more_than_the_scores_alone():
    problem = SyntheticProblem(24, seed=5)
    assert learned(problem, 8, harm=True) > learned(problem, 8, harm=False)
    assert learned(problem, 30, harm=True) > 0.9


def test_a_network_that_never_was_right_breaks_nothing():
    problem = SyntheticProblem(4).search_problem(10)
    table = LossTable(problem.space.groups, problem.harm, 0.0)
    widths = np.array([g.choices[0] for g in problem.space.groups])[None]
    table.fit(widths, np.zeros(1))
    assert np.isfinite(table.predict(widths)).all()
