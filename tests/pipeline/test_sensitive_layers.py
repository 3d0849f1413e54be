"""Sensitive groups are set apart as the settings say, and the rest is left to the search."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwprune.candidate import GroupChoice, SearchSpace
from hwprune.errors import NetworkError
from hwprune.pipeline.sensitive_layers import set_apart
from hwprune.progress import Silent
from hwprune.saliency.ranking import rank
from hwprune.search.sensitivity import scan_candidates
from hwprune.search_settings import SearchSettings
from tests.digits import digits
from tests.saliency.subjects import plain_cnn, traced

SPACE = SearchSpace(
    groups=(
        GroupChoice(name="first", width=8, choices=(2, 4, 8)),
        GroupChoice(name="second", width=12, choices=(4, 8, 12)),
    )
)


@pytest.fixture(scope="module")
def base():
    """A network of which half of the first layer's maps are constant."""
    net = plain_cnn()
    with torch.no_grad():
        net[1].weight[:4] = 0.0
        net[1].bias[:4] = 1.0
        # The constant ones have the largest weights, so that l1 would keep them.
        net[0].weight[:4] *= 10
    return traced(net)


def apart(base, tmp_path, **settings):
    return set_apart(
        SearchSettings(**settings),
        base,
        digits(),
        SPACE,
        rank(base, None, "l1"),
        cache=tmp_path,
        progress=Silent(),
    )


def test_by_default_nothing_is_set_apart(base, tmp_path):
    space, ranking = apart(base, tmp_path)
    assert space is SPACE and ranking.criterion == "l1"
    assert not list(tmp_path.iterdir())


def test_by_rank_the_constant_maps_go_and_no_method_may_choose_otherwise(base, tmp_path):
    space, ranking = apart(base, tmp_path, sensitive="rank")
    assert [g.choices for g in space.groups] == [(4,), (4, 8, 12)]
    assert ranking.keep([4, 12])[0].tolist() == [4, 5, 6, 7]
    by_weight = rank(base, None, "l1")
    assert np.array_equal(ranking.order[1], by_weight.order[1])
    assert {c.widths[0] for c in scan_candidates(space, 3, 20)} == {4}


def test_protected_groups_stay_whole_in_the_order_of_the_settings_saliency(base, tmp_path):
    space, ranking = apart(base, tmp_path, sensitive="protect")
    assert [g.choices for g in space.groups] == [(8,), (4, 8, 12)]
    assert ranking.criterion == "l1"


def test_a_threshold_that_leaves_nothing_to_search_is_refused(base, tmp_path):
    with pytest.raises(NetworkError, match="nothing is left to search"):
        apart(base, tmp_path, sensitive="protect", sensitive_threshold=0.0, low_rank=1.0)
