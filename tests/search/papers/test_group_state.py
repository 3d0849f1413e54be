"""What the papers' agents are told of a group is what writes it."""

from __future__ import annotations

import pytest

from hwprune.search.papers.group_state import group_states
from tests.doubles.synthetic_problem import SyntheticProblem


def test_a_row_tells_place_channels_positions_and_kernel():
    problem = SyntheticProblem(6, seed=0).search_problem(10)
    found = group_states(problem)
    widths = [group.width for group in problem.space.groups]
    assert found[:, 0].tolist() == list(range(6))
    assert found[:, 1].tolist() == widths
    assert found[1:, 2].tolist() == widths[:-1]
    assert found[:, 3].tolist() == [layer.positions for layer in problem.layers]
    assert (found[:, 4] == 9).all()


def test_channels_in_are_those_of_the_unpruned_network():
    problem = SyntheticProblem(6, seed=0).search_problem(10)
    assert group_states(problem)[0, 2] == pytest.approx(problem.space.groups[0].width)
