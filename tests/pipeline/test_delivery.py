"""What is delivered: the better of the two networks that were fine-tuned."""

from __future__ import annotations

import pytest

from hwprune.candidate import Candidate
from hwprune.finetune.history import Epoch, write_history
from hwprune.pipeline.contest import Finalist
from hwprune.pipeline.delivery import best_of, tuned_of
from hwprune.pipeline.workbench import Workbench
from hwprune.report.rows import HWPRUNE, UNIFORM
from tests.pipeline.benches import Scores, make_bench


def finalist(method: str, width: int, heldout: float) -> Finalist:
    return Finalist(
        method=method,
        proposed_by=method,
        candidate=Candidate(widths=(width, width, width)),
        heldout=heldout,
        final=heldout,
        passed=True,
        latency_ms=1.0,
    )


def fine_tuned(bench: Workbench, name: str, score: float) -> None:
    folder = bench.folder.folder("finetune") / name
    folder.mkdir(parents=True)
    write_history(folder, [Epoch(epoch=1, loss=0.1, score=score, lr=0.1, seconds=1.0)])


@pytest.mark.parametrize(
    ("ours", "uniform", "delivered"),
    [(0.97, 0.98, UNIFORM), (0.98, 0.97, HWPRUNE), (0.98, 0.98, HWPRUNE)],
)
def test_of_two_fine_tuned_networks_the_better_one_on_held_out_items_is_delivered(
    tmp_path, ours, uniform, delivered
):
    bench = make_bench(tmp_path)
    rivals = {HWPRUNE: finalist("model", 8, 0.6), UNIFORM: finalist("uniform", 4, 0.3)}
    for name, score in ((HWPRUNE, ours), (UNIFORM, uniform)):
        fine_tuned(bench, name, score)
    assert best_of(bench, tuned_of(bench, rivals)) == delivered


def test_what_was_not_fine_tuned_counts_as_it_was_cut(tmp_path):
    bench = make_bench(tmp_path, scores=Scores(lambda widths: 0.7 if widths[0] == 4 else 0.6))
    rivals = {HWPRUNE: finalist("model", 8, 0.6), UNIFORM: finalist("uniform", 4, 0.7)}
    assert best_of(bench, tuned_of(bench, rivals)) == UNIFORM


def test_what_fine_tuning_made_worse_counts_as_it_was_cut(tmp_path):
    bench = make_bench(tmp_path, scores=Scores(lambda widths: 0.7 if widths[0] == 4 else 0.6))
    rivals = {HWPRUNE: finalist("model", 8, 0.6), UNIFORM: finalist("uniform", 4, 0.99)}
    for name, score in ((HWPRUNE, 0.8), (UNIFORM, 0.1)):
        fine_tuned(bench, name, score)
    tuned = tuned_of(bench, rivals)
    assert [tuned[name].is_worse for name in rivals] == [False, True]
    # Its score on all held-out items, not what a search saw of them.
    assert tuned[UNIFORM].score == pytest.approx(0.7, abs=0.05)
    assert best_of(bench, tuned) == HWPRUNE
