"""How well readings and scores of a run predict each other: tables against plain regressions.

    python -m tests.benchmarks.bench_table RUN_FOLDER

Takes every candidate that the run measured and scored, learns from some of them drawn at random,
and predicts the rest. Errors of cost are in percent of the limit; those of loss are in
-log(quality / best quality). Candidates that were scored on a share of the items are among them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hwprune.candidate import GroupChoice, SearchSpace
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.report.result import read_result
from hwprune.run_book import RunBook
from hwprune.saliency.ranking import Ranking
from hwprune.search.loss_table import LossTable
from hwprune.tables.cost_table import CostTable
from hwprune.tables.ridge import Ridge

SPLITS = 10
Predictor = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(places learned from, places predicted) -> predictions."""


def plain(rows: np.ndarray, target: np.ndarray) -> Predictor:
    """Ridge regression on rows [n, columns]."""

    def predict(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
        ridge = Ridge()
        ridge.fit([(rows[known], 1.0)], target[known], np.ones(len(known)))
        return ridge.predict([(rows[asked], 1.0)])

    return predict


def simple_rows(base: BaseNetwork, widths: np.ndarray) -> np.ndarray:
    """A constant, MACs as they are and in blocks of 8 and 16 channels, cuts and their squares."""
    full = np.array(base.widths)
    cut = 1 - widths / full
    macs = [
        [base.cost_model.macs(np.minimum(np.ceil(w / b) * b, full).astype(int)) for w in widths]
        for b in (1, 8, 16)
    ]
    share = np.array(macs, float).T / base.cost_model.macs(base.widths)
    return np.concatenate([np.ones((len(widths), 1)), share, cut, cut**2], axis=1)


def report(name: str, predictors: dict[str, Predictor], target: np.ndarray) -> None:
    """Root mean square error and rank correlation of each, by how many were learned from."""
    chance = np.random.default_rng(0)
    for count in (40, 100, 200):
        if count > len(target) * 3 // 4:
            break
        splits = [chance.permutation(len(target)) for _ in range(SPLITS)]
        for said, predict in predictors.items():
            errors, ranks = [], []
            for order in splits:
                known, asked = order[:count], order[count:]
                found = predict(known, asked)
                errors.append(np.sqrt(np.mean((found - target[asked]) ** 2)))
                both = np.argsort(np.argsort([found, target[asked]], axis=1), axis=1)
                ranks.append(np.corrcoef(both)[0, 1])
            error = 100 * np.mean(errors)
            print(f"| {name} | {count} | {said} | {error:.2f} | {np.mean(ranks):.3f} |")


def main(folder: Path) -> None:
    """Print one row a table and a number of candidates learned from."""
    result = read_result(folder / "result.json")
    traced = RunBook(folder).step("trace", dict[str, Any])
    base = make_base((folder / "base" / "model.onnx").read_bytes(), ignore=traced["ignore"])
    ranking = Ranking.from_json(json.loads(next(folder.glob("base/ranking-*.json")).read_text()))
    good = {e.candidate: e for e in result.evaluations if e.failure is None and e.costs}
    widths = np.array([c.widths for c in good])
    used = np.array([1 + e.worst_excess for e in good.values()])
    quality = np.array([e.quality or 0.0 for e in good.values()])
    estimates = sum(e.share < 1.0 for e in good.values())
    space = SearchSpace(
        groups=tuple(
            GroupChoice(
                name=g.name, width=g.width, choices=tuple(sorted({*column.tolist(), g.width}))
            )
            for g, column in zip(base.plan.groups, widths.T, strict=True)
        )
    )
    whole = float(quality.max())

    def costs(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
        table = CostTable(base.cost_model.layers(), base.widths)
        table.fit(widths[known], used[known], np.ones(len(known)))
        return table.predict(widths[asked])

    def losses(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
        table = LossTable(space.groups, ranking.harm(space.groups), whole)
        table.fit(widths[known], quality[known])
        return table.predict(widths[asked])

    loss = -np.log(np.clip(quality, 0.03, 1) / whole)
    rows = simple_rows(base, widths)
    print(f"{len(good)} candidates, {estimates} scored on a share of the items")
    print("| table | learned from | predictor | error | rank correlation |")
    print("|---|---|---|---|---|")
    report("cost", {"plain regression": plain(rows, used), "cost table": costs}, used)
    report("loss", {"plain regression": plain(rows, loss), "loss table": losses}, loss)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
