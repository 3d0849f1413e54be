"""Scoring in shares: what it saves, and what it must not get wrong."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune.candidate import Candidate
from hwprune.futures import done
from hwprune.metric import Metric
from hwprune.pipeline.scoring import RISK, SHARES, Kept, Scoring, Z, paired
from hwprune.run_book import KnownScore, RunBook
from hwprune.workers.pool import WorkerPool
from hwprune.workers.worker import LocalWorker
from hwprune_device.reading import Failure
from tests.pipeline.benches import Scores

GOOD, POOR, LIKE = (Candidate(widths=(w,)) for w in (30, 10, 29))
SCORE = {(30,): 0.9, (10,): 0.4, (29,): 0.9, (32,): 0.95}


@pytest.fixture
def scores():
    return Scores(lambda widths: SCORE[widths])


def scoring_of(scores, folder, **keys) -> Scoring:
    pool = WorkerPool([LocalWorker(lambda: scores)])
    scoring = Scoring(pool, RunBook(folder), Metric(name="accuracy"), **{"shares": True, **keys})
    scoring.start_reference(scoring.whole(Candidate(widths=(32,)), "heldout").result(10))
    return scoring


KEPT, OVER = frozenset({""}), frozenset()
"""Of the only budget."""


def raced(scoring, candidate, kept):
    return scoring.raced(candidate, done(kept)).result(10)


def test_what_is_clearly_worse_than_the_best_is_given_up_early(scores, tmp_path):
    scoring = scoring_of(scores, tmp_path)
    best = raced(scoring, GOOD, KEPT)
    scoring.refer_to(GOOD, best, KEPT)
    poor = raced(scoring, POOR, KEPT)
    assert best.share == 1.0 and poor.share == SHARES[0]
    assert poor.value == pytest.approx(SCORE[POOR.widths], abs=0.1)


def test_what_is_as_good_as_the_best_is_scored_to_the_end(scores, tmp_path):
    scoring = scoring_of(scores, tmp_path)
    scoring.refer_to(GOOD, raced(scoring, GOOD, KEPT), KEPT)
    assert raced(scoring, LIKE, KEPT).share == 1.0


def test_before_anything_keeps_the_budget_nothing_is_given_up_for_being_worse(scores, tmp_path):
    assert raced(scoring_of(scores, tmp_path), POOR, KEPT).share == 1.0


def test_what_is_over_its_budget_is_scored_as_far_as_methods_need(scores, tmp_path):
    scoring = scoring_of(scores, tmp_path)
    far, near = raced(scoring, POOR, OVER), raced(scoring, LIKE, OVER)
    assert far.share == SHARES[0] < near.share <= 0.5


def test_what_could_not_be_measured_is_not_scored_to_the_end(scores, tmp_path):
    assert raced(scoring_of(scores, tmp_path), POOR, None).share < 1.0


def test_what_is_over_its_budget_is_not_scored_where_nobody_learns_from_it(scores, tmp_path):
    scoring = scoring_of(scores, tmp_path)
    before = len(scores.asked)
    assert scoring.raced(POOR, done(OVER), learning=False).result(10) is None
    assert scoring.raced(LIKE, done(None), learning=False).result(10) is None
    assert len(scores.asked) == before
    kept = scoring.raced(GOOD, done(KEPT), learning=False).result(10)
    assert isinstance(kept, KnownScore) and kept.share == 1.0


def test_while_the_cost_is_not_known_others_come_first(tmp_path):
    gate, asked = threading.Event(), []

    class Held(Scores):
        def __call__(self, request, progress):
            gate.wait(10)
            asked.append((request["widths"][0], request["share"]))
            if asked[-1] == (30, 1.0):
                unknown.set_result(OVER)
            return super().__call__(request, progress)

    unknown: Future[Kept] = Future()
    gate.set()
    scoring = scoring_of(Held(lambda widths: SCORE[widths]), tmp_path)
    gate.clear()
    asked.clear()
    first = scoring.raced(LIKE, unknown)
    second = scoring.raced(GOOD, done(KEPT))
    gate.set()
    assert second.result(10).share == 1.0
    assert first.result(10).share < 1.0
    before = asked[: asked.index((30, 1.0))]
    assert [share for width, share in before if width == 29] in ([SHARES[0]], [])


def test_what_was_begun_goes_on_before_another_is_begun(tmp_path):
    """A worker has few candidates ready, and making one ready may take longer than its score."""
    gate = threading.Event()

    class Held(Scores):
        def __call__(self, request, progress):
            gate.wait(10)
            return super().__call__(request, progress)

    gate.set()
    scores = Held(lambda widths: SCORE.get(widths, 0.9))
    scoring = scoring_of(scores, tmp_path)
    gate.clear()
    scores.asked.clear()
    costs: list[Future[Kept]] = [Future() for _ in range(8)]
    begun = [scoring.raced(Candidate(widths=(at,)), cost) for at, cost in enumerate(costs)]
    for cost in costs:
        cost.set_result(OVER)
    gate.set()
    assert all(one.result(10).share > SHARES[0] for one in begun)
    assert len([*groupby(widths for widths, _ in scores.asked)]) == 8


def test_a_method_that_finds_nothing_better_gets_the_rest_of_a_score(scores, tmp_path):
    scoring = scoring_of(scores, tmp_path)
    scoring.refer_to(GOOD, raced(scoring, GOOD, KEPT), KEPT)
    assert raced(scoring, POOR, KEPT).share < 1.0
    scoring.start_race()
    scores.asked.clear()
    assert raced(scoring, POOR, KEPT).share == 1.0
    assert [share for _, share in scores.asked] == list(SHARES[1:])


def test_what_was_scored_to_the_end_is_never_scored_again(scores, tmp_path):
    scoring = scoring_of(scores, tmp_path)
    raced(scoring, GOOD, KEPT)
    scores.asked.clear()
    again = scoring_of(scores, tmp_path)
    assert raced(again, GOOD, OVER).share == 1.0 and not scores.asked


def test_a_task_that_scores_all_or_nothing_is_asked_once(scores, tmp_path):
    scoring = scoring_of(scores, tmp_path, shares=False)
    assert raced(scoring, POOR, OVER).share == 1.0
    assert [share for _, share in scores.asked] == [1.0, 1.0]


@pytest.mark.parametrize("items", [None, "another number"])
def test_what_methods_learn_from_is_whole_where_a_score_is_no_mean_of_items(items, tmp_path):
    """As of a detector: nobody knows how far a share of a mean average precision is off."""

    class Detector(Scores):
        def __call__(self, request, progress):
            answer = super().__call__(request, progress)
            return answer | {"items": None if items is None else 0.9 * answer["items"]}

    scoring = scoring_of(Detector(lambda widths: SCORE[widths]), tmp_path)
    scoring.refer_to(GOOD, raced(scoring, GOOD, KEPT), KEPT)
    assert raced(scoring, LIKE, KEPT).share == 1.0
    assert raced(scoring, POOR, OVER).share == 1.0


def test_an_easy_share_is_taken_for_what_it_is(tmp_path):
    """The first items are easier than the rest, for every network."""

    class Easy(Scores):
        def __call__(self, request, progress):
            answer = super().__call__(request, progress)
            return answer | {"value": answer["value"] + 0.05 * (1 - request["share"])}

    scoring = scoring_of(Easy(lambda widths: SCORE[widths], items=80_000), tmp_path)
    scoring.refer_to(GOOD, raced(scoring, GOOD, KEPT), KEPT)
    poor = raced(scoring, POOR, KEPT)
    assert poor.share < 1.0 and poor.value == pytest.approx(SCORE[POOR.widths], abs=0.01)


def test_a_scorer_that_fails_is_a_failure(tmp_path):
    def broken(widths):
        if widths != (32,):
            raise ValueError("bad cut")
        return 0.9

    failure = raced(scoring_of(Scores(broken), tmp_path), GOOD, False)
    assert isinstance(failure, Failure) and "bad cut" in failure.message


@pytest.mark.parametrize("kind", ["hits", "scores"])
def test_what_is_as_good_is_given_up_no_more_often_than_stated(kind):
    """Candidates that score as much on all items, on other ones; looked at after each share."""
    chance, items, given_up, trials = np.random.default_rng(7), 1000, 0, 4000
    for _ in range(trials):
        if kind == "hits":
            best = (chance.random(items) < 0.9).astype(float)
            other = best.copy()
            count = int(chance.integers(10, 50))
            for value in (0.0, 1.0):
                changed = chance.choice(np.flatnonzero(best == value), count, replace=False)
                other[changed] = 1.0 - value
        else:
            best = chance.beta(8, 2, items)
            noise = chance.normal(0, 0.1, items)
            other = best + noise - noise.mean()
        for share in SHARES[:-1]:
            count = int(share * items)
            mean, error = paired(other[:count], best)
            if mean + Z * error < 0:
                given_up += 1
                break
    assert given_up / trials <= RISK * 1.3


@settings(max_examples=50)
@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 6)), min_size=1, max_size=60))
def test_a_paired_difference_never_claims_to_be_certain(items):
    mean, error = paired(items, np.zeros(100))
    assert mean == pytest.approx(np.mean(items), abs=1e-9) and error > 0


def test_of_several_budgets_a_candidate_has_to_beat_the_best_of_the_hardest_it_keeps(tmp_path):
    scoring = scoring_of(Scores(lambda widths: SCORE[widths]), tmp_path)
    scoring.start_race(("loose", "tight"))
    both, loose = frozenset({"loose", "tight"}), frozenset({"loose"})
    good = raced(scoring, GOOD, loose)
    scoring.refer_to(GOOD, good, loose)
    # Nothing keeps the tight budget yet, so what does is scored whole however poor it is.
    assert raced(scoring, POOR, both).share == 1.0
    scoring.refer_to(POOR, raced(scoring, POOR, both), both)
    (hard,), (easy,) = scoring.rivals(frozenset({"tight"})), scoring.rivals(loose)
    assert hard.quality < easy.quality == good.value
    assert {rival.quality for rival in scoring.rivals(both)} == {hard.quality, easy.quality}


def test_what_is_worse_but_has_more_left_is_scored_to_the_end(scores, tmp_path):
    left = {GOOD.widths: 0.5, POOR.widths: 0.6, LIKE.widths: 0.5, (32,): 1.0}
    scoring = scoring_of(scores, tmp_path, macs_left=lambda candidate: left[candidate.widths])
    scoring.refer_to(GOOD, raced(scoring, GOOD, KEPT), KEPT)
    assert raced(scoring, POOR, KEPT).share == 1.0


def test_where_fine_tuning_follows_more_left_makes_up_for_a_worse_score(scores, tmp_path):
    left = {GOOD.widths: 0.4, LIKE.widths: 0.5}
    tuned = scoring_of(scores, tmp_path, macs_left=lambda c: left.get(c.widths, 1.0))
    alone = scoring_of(scores, tmp_path)
    assert tuned.quality(LIKE, 0.40) > tuned.quality(GOOD, 0.41)
    assert alone.quality(LIKE, 0.40) < alone.quality(GOOD, 0.41)
