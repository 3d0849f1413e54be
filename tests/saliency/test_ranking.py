from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune.candidate import GroupChoice
from hwprune.errors import InputError
from hwprune.network.scorer import Scorer
from hwprune.saliency.criteria import CRITERIA
from hwprune.saliency.ranking import Ranking, rank
from hwprune.saliency.registry import Criterion
from tests.damaged import EXAMPLES, check_on, damaged_data
from tests.digits import digits


def ranking_of(rows):
    scores = tuple(np.array(row) for row in rows)
    order = tuple(np.argsort(-s, kind="stable") for s in scores)
    return Ranking(criterion="l1", order=order, scores=scores)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 9), min_size=1, max_size=12), min_size=1, max_size=4), st.data()
)
def test_what_stays_is_ascending_and_the_most_important(rows, data):
    ranking = ranking_of(rows)
    widths = [data.draw(st.integers(1, len(row))) for row in rows]
    for row, width, kept in zip(rows, widths, ranking.keep(widths), strict=True):
        assert kept.tolist() == sorted(set(kept.tolist())) and len(kept) == width
        gone = [row[i] for i in range(len(row)) if i not in kept.tolist()]
        assert not gone or max(gone) <= min(row[i] for i in kept)


def test_a_smaller_cut_keeps_a_part_of_what_a_larger_one_keeps(trained_digits):
    ranking = rank(trained_digits, None, "l2")
    whole = trained_digits.plan.widths
    for small, large in zip(
        ranking.keep([1] * len(whole)), ranking.keep([w // 2 for w in whole]), strict=True
    ):
        assert set(small.tolist()) <= set(large.tolist())


def test_harm_is_what_the_channels_that_go_were_worth():
    ranking = ranking_of([[3.0, 1.0, 2.0, 5.0], [4.0, 4.0]])
    groups = (
        GroupChoice(name="a", width=4, choices=(1, 2, 4)),
        GroupChoice(name="b", width=2, choices=(1, 2)),
    )
    first, second = ranking.harm(groups)
    assert first.tolist() == [6.0, 3.0, 0.0]
    assert second.tolist() == [4.0, 0.0]


def test_json_gives_the_same_ranking_back(trained_digits):
    ranking = rank(trained_digits, None, "l1")
    again = Ranking.from_json(json.loads(json.dumps(ranking.to_json())))
    assert again.criterion == "l1"
    for one, two in zip(ranking.order, again.order, strict=True):
        assert np.array_equal(one, two)


def test_a_ranking_is_worked_out_once(trained_digits, tmp_path, monkeypatch):
    first = rank(trained_digits, digits(), "taylor", cache=tmp_path)
    never = Criterion(name="taylor", score=lambda subject: pytest.fail("worked out again"))
    monkeypatch.setitem(CRITERIA, "taylor", never)
    second = rank(trained_digits, digits(), "taylor", cache=tmp_path)
    assert np.array_equal(first.order[0], second.order[0])


def test_a_damaged_cache_is_worked_out_again(trained_digits, tmp_path):
    first = rank(trained_digits, None, "l1", cache=tmp_path)
    (file,) = tmp_path.glob("ranking-*.json")
    file.write_text(file.read_text()[:50])
    assert np.array_equal(
        rank(trained_digits, None, "l1", cache=tmp_path).order[0], first.order[0]
    )


def test_other_data_or_seed_has_its_own_cache(trained_digits, tmp_path):
    rank(trained_digits, digits(), "taylor", cache=tmp_path)
    rank(trained_digits, digits(), "taylor", cache=tmp_path, seed=1)
    rank(trained_digits, digits(), "l1", cache=tmp_path)
    rank(trained_digits, None, "l1", cache=tmp_path)
    assert len(list(tmp_path.glob("ranking-*.json"))) == 3


def test_an_unknown_criterion_says_which_there_are(trained_digits):
    with pytest.raises(InputError, match="taylor"):
        rank(trained_digits, None, "magic")


def test_informed_rankings_beat_their_own_reverse(trained_digits):
    widths = [max(1, round(0.7 * w)) for w in trained_digits.plan.widths]
    base, plan = trained_digits.onnx, trained_digits.plan
    for name in ("l1", "taylor"):
        order = rank(trained_digits, digits(), name).order
        scores = [
            Scorer(base, plan, [units[::step] for units in order], task=digits())(
                {"widths": widths}
            )["value"]
            for step in (1, -1)
        ]
        assert scores[0] > scores[1] + 0.1, name


class Listener:
    def __init__(self):
        self.stages, self.done, self.ended = [], 0, 0

    def begin(self, stage, total):
        self.stages.append((stage, total))

    def advance(self, count=1, note=""):
        self.done += count

    def end(self, note=""):
        self.ended += 1


def test_progress_counts_the_images_that_are_looked_at(trained_digits):
    listener = Listener()
    rank(trained_digits, digits(), "hrank", progress=listener)
    ((stage, total),) = listener.stages
    assert "hrank" in stage and listener.done == total > 0 and listener.ended == 1


def test_scores_of_another_criterion_take_over_the_groups_they_are_given_for():
    ranking = ranking_of([[3.0, 1.0, 2.0], [1.0, 2.0]])
    mixed = ranking.with_scores("hrank", {1: np.array([0.9, 0.2])})
    assert mixed.criterion == "l1, hrank"
    assert [order.tolist() for order in mixed.order] == [[0, 2, 1], [0, 1]]
    assert ranking.with_scores("hrank", {}) is ranking


@EXAMPLES
def test_a_cache_of_anything_is_read_or_passed_over(examples):
    whole = ranking_of([[3.0, 1.0, 2.0], [4.0, 5.0]]).to_json()

    def check(data):
        with suppress(ValueError):
            known = Ranking.from_json(data)
            for units, scores in zip(known.order, known.scores, strict=True):
                assert sorted(units) == list(range(len(scores)))

    check_on(damaged_data(whole), check, examples=examples)
