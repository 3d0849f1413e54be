"""A workbench with real scores and a simulated board, for benchmarks of searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from hwprune.channels.base import BaseNetwork
from hwprune.farm.fleet import Fleet
from hwprune.pipeline.head import Head, scorer_pool
from hwprune.pipeline.open_bench import scoring_of
from hwprune.pipeline.prepare import Prepared
from hwprune.pipeline.scoring import Scoring
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Silent
from hwprune.run_folder import RunFolder
from hwprune.workers.pool import WorkerPool
from tests.doubles.simulated_farm import SimulatedFarm


class Latency(Protocol):
    """What a board's time follows."""

    def latency_ms(self, widths: Sequence[int]) -> float:
        """Milliseconds, without noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Macs:
    """A latency that follows the multiply-accumulates."""

    base: BaseNetwork

    def latency_ms(self, widths: Sequence[int]) -> float:
        """Milliseconds, without noise."""
        return 0.05 + self.base.cost_model.macs(widths) / 1e7


@contextmanager
def simulated_bench(
    prepared: Prepared,
    run: RunFolder,
    latency: Latency,
    scored: Callable[[Prepared, RunFolder, WorkerPool], Scoring] = scoring_of,
) -> Iterator[Workbench]:
    """The bench of a run, its limits in milliseconds; workers and run are ended with it."""
    boards = SimulatedFarm(model=latency, seed=prepared.deployment.search.seed)  # type: ignore[arg-type]
    boards.place(prepared.base)
    (kind,) = prepared.kinds
    with Head(prepared.boards) as head:
        pool = scorer_pool(prepared, head)
        bench = Workbench(
            prepared,
            run,
            fleet=Fleet({kind: boards}),  # type: ignore[dict-item]
            scoring=scored(prepared, run, pool),
            head=head,
        )
        try:
            bench.bound(Silent())
            yield bench
        finally:
            pool.stop()
            run.close()
