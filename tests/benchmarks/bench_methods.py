"""Methods against each other on a real network, each with all evaluations; the board is simulated.

    python -m tests.benchmarks.bench_methods DEPLOYMENT.toml RESULT.json [RESULT.json …]
        [--methods model sensitivity] [--seeds 3] [--evaluations 190] [--set section.key=value]

Scores are real. The board's latency is a cost table fitted to the readings of finished runs of the
same network (their result.json), with noise of 1 % a reading, so that no neighbour disturbs it and
every method meets the same board. A row a search: score of the best candidate that was measured to
keep the limit, its score on the finalists' items, and at which evaluation it was found. Nothing is
fine-tuned.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hwprune.deployment import load_deployment
from hwprune.evaluation import best_of
from hwprune.pipeline.prepare import Prepared, prepare
from hwprune.pipeline.searched import search
from hwprune.pipeline.supplies import Given, look_up
from hwprune.progress import Silent
from hwprune.run_folder import RunFolder
from hwprune.tables.cost_table import CostTable
from hwprune_device.reading import Failure
from tests.benchmarks.bench_search import mean_and_error
from tests.benchmarks.simulated_bench import simulated_bench


class FittedBoard:
    """Latency of widths, from the readings of finished runs."""

    def __init__(self, prepared: Prepared, results: Sequence[Path]) -> None:
        full = [group.width for group in prepared.space.groups]
        found: dict[tuple[int, ...], list[float]] = defaultdict(list)
        for path in results:
            for evaluation in json.loads(path.read_text())["evaluations"]:
                if "latency_ms" in evaluation["costs"]:
                    widths = tuple(evaluation["candidate"]["widths"])
                    found[widths].append(evaluation["costs"]["latency_ms"])
        self._table = CostTable(prepared.base.cost_model.layers(), full)
        cost_ms = np.array([np.mean(values) for values in found.values()])
        self._table.fit(np.array(list(found)), cost_ms, np.ones(len(found)))
        self.error = self._table.error / float(self._table.predict(np.array([full]))[0])
        self.networks = len(found)

    def latency_ms(self, widths: Sequence[int]) -> float:
        """Milliseconds, without noise."""
        return float(self._table.predict(np.array([widths]))[0])


def one_search(prepared: Prepared, board: FittedBoard, folder: Path) -> tuple[float, float, int]:
    """Score in the search and on the finalists' items of the best candidate, and its number."""
    with simulated_bench(prepared, RunFolder.open(folder, {}, resume=False), board) as bench:
        (searched,) = search(bench, Silent()).searches
        best = best_of(list(searched.evaluations))
        assert best is not None
        final = bench.scoring.whole(best.candidate, "final").result()
    assert not isinstance(final, Failure)
    return best.quality or 0.0, final.value, best.number


def main() -> None:
    """Print a row a search, then the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("deployment", type=Path)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--methods", nargs="+", default=["model", "sensitivity"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=190)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    deployment = load_deployment(asked.deployment, asked.set)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        base = RunFolder.open(place / "base", {}, resume=False)
        prepared = prepare(look_up(deployment, Given(), network=True), base, Silent())
        board = FittedBoard(prepared, asked.results)
        print(
            f"board: {board.networks} networks, {board.error:.1%} of the unpruned one's time off"
        )
        print("| seed | method | best, held out | on the finalists' items | found at |")
        print("|---|---|---|---|---|", flush=True)
        finals: dict[str, list[float]] = defaultdict(list)
        for seed in range(asked.seeds):
            for method in asked.methods:
                wanted = replace(
                    deployment.search, methods=(method,), seed=seed, evaluations=asked.evaluations
                )
                here = replace(prepared, deployment=replace(deployment, search=wanted))
                best, final, number = one_search(here, board, place / f"{seed} {method}")
                finals[method].append(final)
                print(f"| {seed} | {method} | {best:.3f} | {final:.4f} | {number} |", flush=True)
    for method, values in finals.items():
        print(f"{method}: {mean_and_error(100 * np.array(values))} on the finalists' items")


if __name__ == "__main__":
    main()
