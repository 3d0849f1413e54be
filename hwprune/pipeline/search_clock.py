"""The search clock: where the methods' seconds went, on the head and on the boards."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce

from hwprune.pipeline.workbench import Workbench
from hwprune.search.evaluator import Evaluator

STEP = "search seconds"
ON_BOARD = ("send", "cut", "build", "warm", "time")
"""Stages of a candidate that boards report."""

Sums = Mapping[str, float]


class SearchClock:
    """Adds up seconds and candidates by method, over all the sessions of a run."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._spent: dict[str, Sums] = dict(
            bench.folder.step(STEP, dict[str, dict[str, float]]) or {}
        )

    @contextmanager
    def around(self, method: str, evaluator: Evaluator) -> Iterator[None]:
        """Count what one method spends, also where it is interrupted."""
        before, began = self._bench.spent(), time.monotonic()
        try:
            yield
        finally:
            after, wall = self._bench.spent(), time.monotonic() - began
            spent = {name: after[name] - before.get(name, 0.0) for name in after}
            spent |= {"wall": wall, "propose": wall - evaluator.waited_s}
            spent["proposed"] = len(evaluator.asked_widths)
            self._spent[method] = _plus(self._spent.get(method, {}), spent)
            self._bench.folder.finish(STEP, self._spent)

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time by method."""
        return {method: spent["wall"] for method, spent in self._spent.items()}

    def candidate_s(self) -> dict[str, float]:
        """Mean seconds a candidate: propose, then each stage on the board, then its score."""
        total = self._total()
        counts = {"propose": "proposed", "score": "scored"}
        return {
            stage: total[stage] / total[counts.get(stage, "candidates")]
            for stage in ("propose", *ON_BOARD, "score")
            if total.get(counts.get(stage, "candidates"))
        }

    def board_busy_share(self) -> float | None:
        """Share of the search's wall time during which the boards were at work, 0..1."""
        total = self._total()
        return total["busy"] / total["wall"] if total.get("wall") else None

    def _total(self) -> Sums:
        return reduce(_plus, self._spent.values(), {})


def _plus(one: Sums, other: Sums) -> Sums:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}
