"""A search whose board is spared what a latency table knows, against one that measures everything.

    python -m tests.benchmarks.bench_hybrid DEPLOYMENT.toml [--seeds 3] [--set section.key=value]

For each seed four runs on the real board, each with an empty store of readings: without a table;
starting from the table on the shelf (`hwprune table build DEPLOYMENT.toml` made it); the same with
search.cost = "hybrid", and with search.offer = "paying". A row: candidates measured in the search,
board time that they took, the best held-out score of a candidate that keeps the budget, at which
evaluation it came.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from hwprune.evaluation import best_of
from hwprune.report.result import read_result

WAYS = {
    "no table": ("search.tables=[]",),
    "table": (),
    "hybrid": ("search.cost=hybrid",),
    "paying widths": ("search.offer=paying",),
}


def one(
    deployment: Path, way: str, seed: int, given: list[str], folder: Path
) -> tuple[float, ...]:
    """Candidates measured, board seconds, best score, its number."""
    out = folder / f"{way}-{seed}"
    settings = [*WAYS[way], f"search.seed={seed}", "search.methods=['model']", *given]
    words = [word for setting in settings for word in ("--set", setting)]
    store = {"HWPRUNE_STORE": str(folder / f"{way}-{seed}.sqlite")}
    done = subprocess.run(
        [sys.executable, "-m", "hwprune", "prune", str(deployment), "--out", str(out), *words],
        env={**os.environ, **store},
        capture_output=True,
        text=True,
    )
    if not (out / "result.json").exists():
        raise SystemExit(done.stderr)
    result = read_result(out / "result.json")
    measured = [e for e in result.evaluations if e.measured]
    each_s = sum(result.timings.candidate_s.get(k, 0.0) for k in ("cut", "send", "build", "time"))
    best = best_of(list(result.evaluations))
    assert best is not None and best.score is not None
    return len(measured), len(measured) * each_s, best.score, best.number


def main() -> None:
    """Print a row a run, and ratios to the runs without a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("deployment", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    asked = parser.parse_args()
    rows: dict[str, list[tuple[float, ...]]] = {way: [] for way in WAYS}
    print("| seed | way | measured | board s | best | found at |\n" + "|---" * 6 + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.seeds):
            for way in WAYS:
                row = one(asked.deployment, way, seed, asked.set, Path(folder))
                rows[way].append(row)
                count, board_s, score, number = row
                print(
                    f"| {seed} | {way} | {count:.0f} | {board_s:.1f} | {score:.4f} | {number} |",
                    flush=True,
                )
    plain = np.array(rows["no table"])
    for way in [way for way in WAYS if way != "no table"]:
        found = np.array(rows[way])
        ratio, more = found[:, 1] / plain[:, 1], found[:, 2] - plain[:, 2]
        error = more.std(ddof=1) / np.sqrt(len(more))
        print(
            f"{way}: board time {ratio.mean():.2f} of that without, score {more.mean():+.4f} "
            f"± {error:.4f} (n = {len(more)})"
        )


if __name__ == "__main__":
    main()
