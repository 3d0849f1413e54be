"""What is delivered: the better of the two networks that were fine-tuned."""

from __future__ import annotations

import pytest

from hwprune.candidate import Candidate
from hwprune.finetune.history import Epoch, write_history
from hwprune.pipeline.contest import Finalist
from hwprune.pipeline.delivery import best_tuned
from hwprune.report.rows import HWPRUNE, UNIFORM
from tests.pipeline.benches import make_bench


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
        folder = bench.folder.folder("finetune") / name
        folder.mkdir(parents=True)
        write_history(folder, [Epoch(epoch=1, loss=0.1, score=score, lr=0.1, seconds=1.0)])
    assert best_tuned(bench, rivals) == delivered


def test_what_was_not_fine_tuned_counts_as_it_was_cut(tmp_path):
    bench = make_bench(tmp_path)
    rivals = {HWPRUNE: finalist("model", 8, 0.6), UNIFORM: finalist("uniform", 4, 0.7)}
    assert best_tuned(bench, rivals) == UNIFORM
