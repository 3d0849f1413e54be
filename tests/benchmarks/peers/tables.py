"""What the rows of bench_peers say: methods side by side, and what tells of the final score."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from hwprune.promise import promise
from tests.benchmarks.bench_search import mean_and_error

OURS = "model"
"""That others are held against, seed by seed."""


def print_methods(rows: Sequence[dict[str, Any]]) -> None:
    """Means over seeds with standard errors, in points of the score."""
    found: dict[tuple[Any, ...], dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        found[row["network"], row["budget"], row["method"]][row["seed"]] = row
    print(
        "| network | budget | method | n | latency, of the limit | MACs | before | after "
        f"| {OURS} less it | tried |"
    )
    print("|---" * 10 + "|")
    for (network, budget, method), seeds in sorted(found.items()):
        ours = found.get((network, budget, OURS), {})
        timed = [r["latency_ms"] / r["limit_ms"] for r in seeds.values() if r["latency_ms"]]
        scores = [
            mean_and_error(100 * np.array([r[key] for r in seeds.values()]))
            for key in ("before", "test")
        ]
        pairs = [100 * (ours[s]["test"] - row["test"]) for s, row in seeds.items() if s in ours]
        less = mean_and_error(np.array(pairs)) if pairs and method != OURS else ""
        macs, tried = (np.mean([r[k] for r in seeds.values()]) for k in ("macs", "evaluations"))
        print(
            f"| {network} | {budget:.0%} | {method} | {len(seeds)} | {np.median(timed):.3f} "
            f"| {macs:.1%} | {' | '.join(scores)} | {less} | {tried:.0f} |"
        )


def print_rewards(rows: Sequence[dict[str, Any]]) -> None:
    """Rank correlation of what is known right after the cut with the score after fine-tuning.

    A network that several rows have counts once, by the mean of its scores.
    """
    found: dict[tuple[Any, ...], dict[str, list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        found[row["network"], row["budget"]][str(row["keep"])].append(row)
    print("| network | budget | networks | score after the cut | MACs | promise |")
    print("|---|---|---|---|---|---|")
    for (network, budget), alike in sorted(found.items()):
        firsts = [same[0] for same in alike.values()]
        after = [np.mean([row["test"] for row in same]) for same in alike.values()]
        known = (
            [r["before"] for r in firsts],
            [r["macs"] for r in firsts],
            [promise(r["before"], r["unpruned"], r["macs"]) for r in firsts],
        )
        cells = " | ".join(f"{spearmanr(values, after).statistic:.2f}" for values in known)
        print(f"| {network} | {budget:.0%} | {len(firsts)} | {cells} |")
