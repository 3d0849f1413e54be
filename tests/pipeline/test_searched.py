"""The search: how many evaluations are chosen where none are given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwprune.deployment import load_deployment
from hwprune.pipeline.run import settings_of
from hwprune.pipeline.searched import BY_GROUP, LEAST, MOST_S, allowance
from hwprune.search_settings import BASELINES, SearchSettings
from tests.pipeline.deployments import QUICKSTART


@given(groups=st.integers(1, 300), candidate_s=st.floats(0, 1000))
def test_more_groups_get_more_evaluations_as_far_as_boards_have_time(groups, candidate_s):
    count = allowance(groups, candidate_s)
    assert LEAST <= count <= LEAST + BY_GROUP * groups
    assert count == LEAST or count * candidate_s <= MOST_S
    assert count <= allowance(groups + 1, candidate_s)


def test_comparing_adds_the_baselines_once():
    assert SearchSettings().searched == ("model", "uniform")
    assert SearchSettings(compare=True).searched == ("model", "uniform", *BASELINES[:-1])
    assert SearchSettings(methods=("random",), compare=True).searched[0] == "random"


def test_a_run_may_be_resumed_with_more_time_and_not_with_another_search():
    short, longer, other = (
        settings_of(load_deployment(QUICKSTART, [override]))
        for override in ("search.minutes=1", "search.minutes=9", "search.evaluations=9")
    )
    assert short == longer != other
