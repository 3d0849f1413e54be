"""How many items re-calibrate BatchNorm well enough, and how many a pass are fast.

    python -m tests.benchmarks.bench_calibration DEPLOYMENT.toml [--candidates 10]
        [--set section.key=value]

Random candidates of a deployment's network, each re-calibrated in several ways and scored on the
held-out part. A row a way: seconds of re-calibration a candidate and, against the first row, how
much faster, the largest difference of a score, and the correlation of ranks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from hwprune.deployment import load_deployment
from hwprune.network.execution import best_execution
from hwprune.network.graph_module import to_module
from hwprune.network.recalibration import batches_of, recalibrate
from hwprune.pipeline.prepare import Prepared, prepare
from hwprune.pipeline.supplies import Given, look_up
from hwprune.progress import Silent
from hwprune.run_folder import RunFolder
from hwprune.task.items import first_items, inputs_of
from hwprune.task.scoring import score_of
from hwprune_device.cut import Cutter

WAYS = ((250, 125), (250, 8), (128, 8), (64, 8), (32, 8), (16, 8))
"""Items, and items a pass."""


def widths_of(wholes: list[int], rng: np.random.Generator) -> list[int]:
    """A candidate whose groups keep about the same share, 50 to 95 %."""
    shares = np.clip(rng.normal(rng.uniform(0.5, 0.95), 0.15, len(wholes)), 0.2, 1.0)
    return [max(1, round(whole * share)) for whole, share in zip(wholes, shares, strict=True)]


def table(prepared: Prepared, candidates: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (candidate, way) and seconds alike."""
    base, task = prepared.base, prepared.task
    execution = best_execution(None if task.bf16 else False)
    cutter, rng = Cutter(base.onnx, base.plan), np.random.default_rng(0)
    most = max(items for items, _ in WAYS)
    known = [execution.inputs(inputs) for inputs in inputs_of(task, "calibration", most)]
    scores = np.zeros((candidates, len(WAYS)))
    seconds = np.zeros_like(scores)
    for row in range(candidates):
        model = cutter.cut_to(widths_of(list(base.plan.widths), rng))
        for column, (items, size) in enumerate(WAYS):
            module = execution.place(to_module(model))
            batches = batches_of(first_items(known, items), size)
            began = time.process_time()
            recalibrate(module, batches)
            seconds[row, column] = time.process_time() - began
            scores[row, column] = score_of(task, execution.run(module), "heldout").value
    return scores, seconds


def main() -> None:
    """Print one row a way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("deployment", type=Path)
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    deployment = load_deployment(asked.deployment, asked.set)
    with tempfile.TemporaryDirectory() as scratch:
        folder = RunFolder.open(Path(scratch) / "base", {}, resume=False)
        prepared = prepare(look_up(deployment, Given(), network=True), folder, Silent())
        scores, seconds = table(prepared, asked.candidates)
    print(f"n = {asked.candidates} candidates, scores {scores.min():.3f} to {scores.max():.3f}")
    print("| items | a pass | s (CPU) | ratio | largest difference | ranks |")
    print("|---|---|---|---|---|---|")
    ranks = scores.argsort(axis=0).argsort(axis=0)
    for column, (items, size) in enumerate(WAYS):
        ratio = seconds[:, 0].sum() / seconds[:, column].sum()
        off = np.abs(scores[:, column] - scores[:, 0]).max()
        same = np.corrcoef(ranks[:, 0], ranks[:, column])[0, 1]
        spent = seconds[:, column].mean()
        print(f"| {items} | {size} | {spent:.2f} | {ratio:.1f}x | {off:.4f} | {same:.3f} |")


if __name__ == "__main__":
    main()
