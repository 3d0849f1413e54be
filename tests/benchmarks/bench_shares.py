"""What scoring in shares saves, and whether the network that a search finds is as good.

    python -m tests.benchmarks.bench_shares DEPLOYMENT.toml [--seeds 5] [--evaluations 60]
        [--methods sensitivity policy] [--set section.key=value]

Every seed is searched twice, with shares and without, by the same methods and allowance. Scores
are real; boards are simulated by multiply-accumulates, so that nothing else takes time. A row a
seed: seconds of scoring, their ratio, candidates by the share they were scored on, and the score
of the network found on the finalists' items, before fine-tuning.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from hwprune.candidate import Candidate
from hwprune.deployment import Deployment, load_deployment
from hwprune.pipeline.contest import hold
from hwprune.pipeline.prepare import Prepared, prepare
from hwprune.pipeline.scoring import Kept, Scoring
from hwprune.pipeline.searched import search as find
from hwprune.pipeline.supplies import Given, look_up
from hwprune.progress import Silent
from hwprune.run_book import KnownScore
from hwprune.run_folder import RunFolder
from hwprune.workers.pool import WorkerPool
from hwprune_device.reading import Failure
from tests.benchmarks.simulated_bench import Macs, simulated_bench


class Whole(Scoring):
    """Every candidate is scored to the end."""

    def raced(
        self, candidate: Candidate, kept: Future[Kept], *, learning: bool = True
    ) -> Future[KnownScore | Failure | None]:
        """The score on all held-out items."""
        return cast("Future[KnownScore | Failure | None]", self.whole(candidate, "heldout"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one search took and found."""

    seconds: float
    shares: Counter[float]
    score: float


def search(prepared: Prepared, deployment: Deployment, folder: Path, *, shares: bool) -> Found:
    """One search, by all methods of the deployment."""
    run = RunFolder.open(folder, {}, resume=False)
    here = replace(prepared, deployment=deployment, task=replace(prepared.task, remake=None))
    kind = Scoring if shares else Whole

    def scored(prepared: Prepared, run: RunFolder, pool: WorkerPool) -> Scoring:
        return kind(pool, run.book, prepared.task.metric, shares=shares)

    with simulated_bench(here, run, Macs(base=here.base), scored) as bench:
        contest = hold(bench, find(bench, Silent()), Silent())
        seconds = bench.scoring.seconds
    counts = Counter(e.share for e in contest.evaluations if e.failure is None)
    return Found(seconds=seconds, shares=counts, score=contest.winner.final or 0.0)


def main() -> None:
    """Print one row a seed, and the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("deployment", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--methods", nargs="+", default=["sensitivity", "policy"])
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    deployment = load_deployment(asked.deployment, asked.set)
    ratios, differences = [], []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        base = RunFolder.open(place / "base", {}, resume=False)
        prepared = prepare(look_up(deployment, Given(), network=True), base, Silent())
        text = prepared.task.metric.text
        print("| seed | whole s | shares s | saved | scored on | found, whole | found, shares |")
        print("|---|---|---|---|---|---|---|")
        for seed in range(asked.seeds):
            wanted = replace(
                deployment.search,
                evaluations=asked.evaluations,
                methods=tuple(asked.methods),
                seed=seed,
            )
            variant = replace(deployment, search=wanted, certificate_readings=2)
            whole, part = (
                search(prepared, variant, place / f"{seed} {shares}", shares=shares)
                for shares in (False, True)
            )
            ratios.append(whole.seconds / part.seconds)
            differences.append(part.score - whole.score)
            counts = ", ".join(f"{share:g}: {n}" for share, n in sorted(part.shares.items()))
            print(
                f"| {seed} | {whole.seconds:.1f} | {part.seconds:.1f} | {ratios[-1]:.2f}x "
                f"| {counts} | {text(whole.score)} | {text(part.score)} |",
                flush=True,
            )
    spread = statistics.stdev(differences) / len(differences) ** 0.5 if asked.seeds > 1 else 0.0
    print(
        f"median {statistics.median(ratios):.2f}x saved; found with shares less found whole: "
        f"{statistics.mean(differences):+.4f} ± {spread:.4f} (standard error, n = {asked.seeds})"
    )


if __name__ == "__main__":
    main()
