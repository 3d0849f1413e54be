"""What the pipeline decides by itself, over simulated farms."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from hwprune.candidate import Candidate
from hwprune.errors import BoardError, BudgetError, InputError
from hwprune.futures import joined
from hwprune.pipeline import contest, open_bench, proof
from hwprune.pipeline.contest import Contest
from hwprune.pipeline.searched import search
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Silent
from hwprune_device.reading import Failure
from tests.doubles.simulated_farm import SimulatedFarm, Staircase
from tests.pipeline.benches import Scores, farm, make_bench, wider_is_better

HALF = Candidate(widths=(16, 16, 16))
WHOLE = Candidate(widths=(32, 32, 32))


def bounded(tmp_path, **keys):
    bench = make_bench(tmp_path, **keys)
    bench.bound(Silent())
    return bench


def hold(bench: Workbench, progress: Silent) -> Contest:
    """Search, then choose for the only budget."""
    return contest.hold(bench, search(bench, progress), progress)


def test_a_budget_below_the_smallest_network_ends_the_run_with_the_reading(tmp_path):
    with pytest.raises(BudgetError, match="even the smallest") as raised:
        bounded(tmp_path, budget={"latency_ms": "0.01 ms"})
    assert "the limit is 0.01" in raised.value.given


def test_one_restless_reading_of_the_smallest_network_does_not_end_the_run(tmp_path):
    class Restless(SimulatedFarm):
        """Every candidate's first reading is three times what it takes."""

        def measure(self, candidates):
            return [joined([one], slower) for one in super().measure(candidates)]

    def slower(reading):
        return reading.at_nominal(3 * reading.base_nominal_ms)

    given = Restless(model=Staircase(block=4, overhead_ms=0.02, block_ms=0.005))
    bench = bounded(tmp_path, farms={"here": given}, budget={"latency_ms": "0.1 ms"})
    assert not bench.unmet


def test_readings_that_are_all_doubted_prove_nothing_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(proof, "PAUSE_S", 0.001)

    class Disturbed(SimulatedFarm):
        """Whatever it reads is too slow and doubted, a dozen times."""

        left = 12

        def measure(self, candidates):
            return [joined([one], self.disturbed) for one in super().measure(candidates)]

        def remeasure(self, candidate, batches):
            return [self.disturbed(one) for one in super().remeasure(candidate, batches)]

        def disturbed(self, reading):
            self.left -= 1
            if self.left < 0:
                return reading
            slower = reading.at_nominal(3 * reading.base_nominal_ms)
            return replace(slower, doubts=("other work",))

    given = Disturbed(model=Staircase(block=4, overhead_ms=0.02, block_ms=0.005))
    bench = bounded(tmp_path, farms={"here": given}, budget={"latency_ms": "0.1 ms"})
    assert not bench.unmet and given.left < 0
    monkeypatch.setattr(proof, "CALM_WITHIN_S", 0.0)
    given.left = 99
    with pytest.raises(BudgetError, match="even the smallest"):
        bench.bound(Silent())


def test_a_limit_on_what_the_board_does_not_tell_ends_the_run(tmp_path):
    with pytest.raises(BoardError, match="energy"):
        bounded(tmp_path, budget={"energy_mj": "5 mJ"})


def test_an_unpruned_network_that_cannot_be_measured_ends_the_run(tmp_path):
    given = farm(fails=lambda widths: True)
    with pytest.raises(BoardError, match="unpruned network could not be measured"):
        bounded(tmp_path, farms={"here": given})


def test_boards_that_are_gone_end_a_search_and_not_a_candidate(tmp_path):
    given = farm(lost=lambda widths: widths == HALF.widths)
    bench = bounded(tmp_path, farms={"here": given})
    bench.refer_to_unpruned()
    with pytest.raises(BoardError, match="boards are gone"):
        bench.evaluate([HALF])[0].result(10)


def test_a_candidate_that_fails_on_the_board_is_an_evaluation(tmp_path):
    given = farm(fails=lambda widths: widths == HALF.widths)
    bench = bounded(tmp_path, farms={"here": given})
    bench.refer_to_unpruned()
    evaluation = bench.evaluate([HALF])[0].result(10)
    assert evaluation.failure.message == "simulated failure" and not evaluation.feasible


def test_a_score_that_fails_is_an_evaluation_and_for_the_unpruned_network_an_error(tmp_path):
    def broken(widths):
        raise RuntimeError("no such metric")

    bench = bounded(tmp_path, scores=Scores(broken))
    with pytest.raises(InputError, match="unpruned network could not be scored") as raised:
        bench.refer_to_unpruned()
    assert "no such metric" in raised.value.given
    bench = bounded(
        tmp_path / "other",
        scores=Scores(lambda w: wider_is_better(w) if w == WHOLE.widths else broken(w)),
    )
    bench.refer_to_unpruned()
    assert isinstance(bench.evaluate([HALF])[0].result(10).failure, Failure)


def test_every_kind_of_board_has_the_budget_to_keep(tmp_path):
    farms = {"slow": SimulatedFarm(model=Staircase(block=2, block_ms=0.002)), "fast": farm()}
    bench = bounded(tmp_path, farms=farms)
    bench.refer_to_unpruned()
    evaluation = bench.evaluate([HALF])[0].result(10)
    assert set(evaluation.excess) == {"latency_ms on slow", "latency_ms on fast"}


def test_the_winner_is_the_best_whose_fresh_readings_keep_the_budget(tmp_path):
    found = hold(bounded(tmp_path), Silent())
    able = [f for f in found.finalists if f.passed]
    assert found.winner.final == max(f.final for f in able)
    assert found.uniform is not None and found.uniform.passed
    feasible = [e for e in found.evaluations if e.method == "uniform" and e.feasible]
    assert sum(found.uniform.candidate.widths) == max(sum(e.candidate.widths) for e in feasible)


def test_a_method_s_list_is_gone_down_until_enough_keep_the_budget(tmp_path):
    """What was lucky in the search is not delivered."""
    bench = bounded(tmp_path, methods=("random",))
    bench.refer_to_unpruned()
    boards = bench.fleet.farms["here"]
    honest = boards.remeasure
    seen = []

    def unlucky(candidate, batches):
        if not seen or candidate == seen[0]:
            seen[:] = [candidate]
            return [Failure(stage="run", message="it broke")]
        return honest(candidate, batches)

    boards.remeasure = unlucky
    found = hold(bench, Silent())
    assert len(found.finalists) == 3
    assert [f.passed for f in found.finalists].count(True) == 2
    assert found.winner.candidate != seen[0]


def test_a_search_in_which_nothing_keeps_the_budget_says_how_near_it_came(tmp_path):
    bench = bounded(tmp_path, methods=("random",), evaluations=4)
    bench.fleet.farms["here"]._model = Staircase(overhead_ms=9.0)
    with pytest.raises(BudgetError, match="none of 4 candidates") as raised:
        hold(bench, Silent())
    assert "over its limit" in raised.value.given


def test_a_resumed_contest_scores_and_measures_nothing_again(tmp_path):
    scores = Scores(wider_is_better)
    bench = bounded(tmp_path, scores=scores)
    first = hold(bench, Silent())
    bench.folder.close()
    asked = len(scores.asked)
    again = bounded(tmp_path, scores=scores)
    second = hold(again, Silent())
    assert second.winner == first.winner and len(scores.asked) == asked


def test_what_was_started_is_ended_where_the_boards_do_not_start(tmp_path, monkeypatch):
    import ray

    bench = make_bench(tmp_path)
    before, running = os.sched_getaffinity(0), ray.is_initialized()

    class Refusing:
        def __getattr__(self, name):
            return lambda *args, **keys: None

        def start(self):
            raise BoardError("the board is off")

    closed = []
    monkeypatch.setattr(open_bench.Fleet, "of_boards", lambda *a, **k: Refusing())
    monkeypatch.setattr(open_bench.ReadingStore, "close", lambda self: closed.append(True))
    monkeypatch.setenv("HWPRUNE_STORE", str(tmp_path / "readings.sqlite"))
    with (
        pytest.raises(BoardError, match="off"),
        open_bench.open_bench(bench.prepared, bench.folder),
    ):
        pass
    assert os.sched_getaffinity(0) == before and closed and ray.is_initialized() == running


def test_a_score_in_percent_is_refused_where_a_share_of_1_is_meant(tmp_path):
    class Percent(Scores):
        def __call__(self, request, progress):
            found = super().__call__(request, progress)
            return found | {"value": 100 * found["value"]}

    bench = bounded(tmp_path, scores=Percent(wider_is_better))
    with pytest.raises(InputError, match="no share of 1") as raised:
        bench.refer_to_unpruned()
    assert "any_number" in raised.value.next_step
