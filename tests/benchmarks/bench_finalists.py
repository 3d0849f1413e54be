"""What choosing the winner after a short fine-tuning is worth: delivered score, old way and new.

    python -m tests.benchmarks.bench_finalists DEPLOYMENT.toml [--seeds 3] [--finalists 6]
        [--set section.key=value]

Each seed is one search; its finalists are the same for both ways. The old way delivers the one
with the best score right after the cut (on the finalists' items), the new way the best after a few
steps of fine-tuning. Both are fine-tuned by the deployment's recipe and scored on the test part.
Scores are real; boards are simulated by multiply-accumulates.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwprune.deployment import Deployment, load_deployment
from hwprune.network.execution import EXACT
from hwprune.network.graph_module import to_module
from hwprune.pipeline.contest import Contest, hold
from hwprune.pipeline.cut_network import cut_network
from hwprune.pipeline.delivery import finetune_side_by_side
from hwprune.pipeline.prepare import Prepared, prepare
from hwprune.pipeline.searched import search
from hwprune.pipeline.supplies import Given, look_up
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Silent
from hwprune.run_folder import RunFolder
from hwprune.task.scoring import score_of
from tests.benchmarks.simulated_bench import Macs, simulated_bench


def one_seed(prepared: Prepared, deployment: Deployment, folder: Path) -> tuple[str, float]:
    """A row of the table, and the difference of the two delivered scores."""
    run = RunFolder.open(folder, {}, resume=folder.exists())
    here = replace(prepared, deployment=deployment)
    with simulated_bench(here, run, Macs(base=here.base)) as bench:
        began = time.monotonic()
        contest = hold(bench, search(bench, Silent()), Silent())
        seconds = time.monotonic() - began
        return _delivered(bench, contest, seconds)


def _delivered(bench: Workbench, contest: Contest, seconds: float) -> tuple[str, float]:
    able = [f for f in contest.finalists if f.passed]
    old = max(
        able, key=lambda f: bench.prepared.task.metric.quality(f.final or 0.0, bench.base_score)
    )
    new = contest.winner
    chosen = {"old": old, "new": new} if old.candidate != new.candidate else {"new": new}
    cuts = {name: cut_network(bench.prepared, f.candidate) for name, f in chosen.items()}
    models = finetune_side_by_side(bench, cuts, Silent())
    scores = {
        name: score_of(bench.prepared.task, EXACT.run(EXACT.place(to_module(m))), "test").value
        for name, m in models.items()
    }
    before = scores.get("old", scores["new"])
    text = bench.prepared.task.metric.text
    told = (
        f"| {bench.prepared.deployment.search.seed} | {len(able)} | {text(old.final)} | "
        f"{text(new.final)} | {text(before)} | {text(scores['new'])} | {seconds:.0f} |"
    )
    return told, scores["new"] - before


def main() -> None:
    """Print a row a seed, and the mean difference."""
    parser = argparse.ArgumentParser()
    parser.add_argument("deployment", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--finalists", type=int, default=6)
    parser.add_argument("--out", type=Path, help="where runs are kept, to go on with them")
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    deployment = load_deployment(asked.deployment, asked.set)
    with tempfile.TemporaryDirectory() as scratch:
        place = asked.out or Path(scratch)
        base = RunFolder.open(place / "base", {}, resume=(place / "base").exists())
        prepared = prepare(look_up(deployment, Given(), network=True), base, Silent())
        print("| seed | finalists | after the cut: old | new | delivered: old | new | s |")
        print("|---|---|---|---|---|---|---|", flush=True)
        differences = []
        for seed in range(asked.seeds):
            wanted = replace(
                deployment.search, methods=("model",), finalists=asked.finalists, seed=seed
            )
            variant = replace(deployment, search=wanted, certificate_readings=2)
            told, difference = one_seed(prepared, variant, place / str(seed))
            print(told, flush=True)
            differences.append(difference)
    found = np.array(differences)
    error = found.std(ddof=1) / np.sqrt(len(found))
    print(f"new less old: {found.mean():+.4f} ± {error:.4f} (n = {len(found)})")


if __name__ == "__main__":
    main()
