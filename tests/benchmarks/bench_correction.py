"""What a search gains from a correction of its loss table that searches of other networks taught.

    HWPRUNE_DATA=… python -m tests.benchmarks.bench_correction FOLDER [--networks resnet20 …]
        [--held-out resnet20 resnet56] [--seeds 3] [--set section.key=value]

Recorded runs: each network, three limits, three seeds, 100 evaluations; scores are real, time
follows the multiply-accumulates. For each network held out, a correction is learned from the runs
of all others, and searches that no run was recorded of (other seeds) go with it and without. A
row: the best score that keeps the limit, on the held-out items and on the finalists', in points.
Rows and scores stay in FOLDER, so a killed run goes on.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwprune.budget_settings import parse_budgets
from hwprune.evaluation import best_of
from hwprune.pipeline.prepare import Prepared
from hwprune.pipeline.searched import problem_of
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Silent
from hwprune.run_book import RunBook
from hwprune.run_folder import RunFolder
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune_device.reading import Failure
from tests.benchmarks.bench_search import mean_and_error
from tests.benchmarks.corrected_losses import CorrectedLosses, Groups, RecordedRun, learned
from tests.benchmarks.networks import WEIGHTS, deployment_of, prepared_of
from tests.benchmarks.row_file import add_row, rows_in
from tests.benchmarks.simulated_bench import Macs, simulated_bench

LIMITS = (0.35, 0.5, 0.7)
RECORDED, ALLOWANCES = 100, (60, 100, 200)
PART = "heldout"


class Network:
    """One network, prepared once, whose scores no two searches take twice."""

    def __init__(self, name: str, folder: Path, changes: list[str]) -> None:
        own = [] if name == "digits" else changes
        deployment = deployment_of(name, own)
        self.prepared: Prepared = prepared_of(deployment, folder / name / "base", Silent())
        (folder / name / "scores").mkdir(exist_ok=True)
        self._known = RunBook(folder / name / "scores")

    @contextmanager
    def bench(self, limit: float, seed: int, evaluations: int) -> Iterator[Workbench]:
        """A bench for one search."""
        prepared = self.prepared
        search = replace(prepared.deployment.search, seed=seed, evaluations=evaluations)
        budgets = parse_budgets({"latency_ms": f"{100 * limit:.0f} %"}, where="")
        own = replace(prepared.deployment, search=search, budgets=budgets)
        macs = Macs(base=prepared.base)
        with tempfile.TemporaryDirectory() as scratch:
            run = RunFolder.open(Path(scratch) / "run", {}, resume=False)
            _copy_scores(self._known, run.book)
            with simulated_bench(replace(prepared, deployment=own), run, macs) as bench:
                yield bench
                _copy_scores(run.book, self._known)


def _copy_scores(source: RunBook, into: RunBook) -> None:
    for part in (PART, "final"):
        for widths, score in list(source.scores(part)):
            if into.score(part, widths) is None:
                into.keep_score(part, widths, score)


def searched(
    network: Network, limit: float, seed: int, evaluations: int, before: np.ndarray | None = None
) -> dict[str, Any]:
    """One search; with `before`, the coefficients of a correction."""
    with network.bench(limit, seed, evaluations) as bench, pytest.MonkeyPatch.context() as patch:
        problem = problem_of(bench, Silent())
        groups = Groups.of(problem)
        if before is not None:
            CorrectedLosses.before = groups.apart() @ before
            patch.setattr("hwprune.search.surrogate.LossTable", CorrectedLosses)
        evaluator = Evaluator(problem, "model")
        METHODS["model"](evaluator)
        scored = [e for e in evaluator.evaluations if e.quality is not None]
        best = best_of(evaluator.evaluations)
        assert best is not None
        final = bench.scoring.whole(best.candidate, "final").result()
        assert not isinstance(final, Failure)
    return {
        "best": best.quality,
        "final": final.value,
        "found_at": best.number,
        "widths": [list(e.candidate.widths) for e in scored],
        "quality": [(e.quality or 0.0) / problem.base_quality for e in scored],
        "groups": {k: getattr(groups, k).tolist() for k in ("full", "features", "harm")},
    }


def recorded(row: dict[str, Any]) -> RecordedRun:
    """A row as what a correction is learned from."""
    return RecordedRun(
        groups=Groups(**{key: np.array(value) for key, value in row["groups"].items()}),
        widths=np.array(row["widths"]),
        quality=np.array(row["quality"]),
    )


def main() -> None:
    """Record, then compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", nargs="+", default=["digits", *WEIGHTS])
    parser.add_argument("--held-out", nargs="*", default=["resnet20", "resnet56"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    runs, trials = asked.folder / "runs.jsonl", asked.folder / "trials.jsonl"
    made: dict[str, Network] = {}

    def network(name: str) -> Network:
        if name not in made:
            made[name] = Network(name, asked.folder, asked.set)
        return made[name]

    done = {(r["network"], r["limit"], r["seed"]) for r in rows_in(runs)}
    for name, limit, seed in product(asked.networks, LIMITS, range(100, 103)):
        if (name, limit, seed) not in done:
            found = searched(network(name), limit, seed, RECORDED)
            add_row(runs, {"network": name, "limit": limit, "seed": seed, **found})
            print(f"{name} {limit} {seed}: {found['best']:.3f}", flush=True)
    tried = {(r["network"], r["count"], r["limit"], r["seed"], r["way"]) for r in rows_in(trials)}
    for name in asked.held_out:
        known = learned([recorded(r) for r in rows_in(runs) if r["network"] != name])
        ways = (("none", None), ("correction", known))
        each = product(range(asked.seeds), LIMITS[:2], ALLOWANCES, ways)
        for seed, limit, count, (way, before) in each:
            key = {"network": name, "count": count, "limit": limit, "seed": seed}
            if (*key.values(), way) in tried:
                continue
            found = searched(network(name), limit, seed, count, before)
            row = {k: found[k] for k in ("best", "final", "found_at")}
            add_row(trials, {**key, "way": way, **row})
            print(*key.values(), way, row, flush=True)
    read(trials)


def read(trials: Path) -> None:
    """Print paired differences with standard errors."""
    pairs: dict[tuple[Any, ...], dict[Any, dict[str, Any]]] = defaultdict(dict)
    for row in rows_in(trials):
        pairs[row["network"], row["count"], row["limit"]][row["seed"], row["way"]] = row
    print("| network | limit | evaluations | none | correction, held out | final part |")
    print("|---|---|---|---|---|---|")
    for (name, count, limit), rows in pairs.items():
        seeds = sorted({seed for seed, way in rows if way == "correction"})
        none = [[rows[s, "none"][k] for s in seeds] for k in ("best", "final")]
        more = [[rows[s, "correction"][k] for s in seeds] for k in ("best", "final")]
        less = 100 * (np.array(more) - np.array(none))
        cells = [mean_and_error(100 * np.array(none[0])), *map(mean_and_error, less)]
        print(f"| {name} | {limit} | {count} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
