"""How busy a farm keeps its boards, and how its wall time falls with their number.

Simulated boards of 0.3 s a candidate, each a real supervisor; only the timing itself is slept.
Candidates are asked for as a search with enough in flight would, or by search methods themselves,
whose qualities are then there at once:

    python -m tests.benchmarks.bench_farm [--boards 1 2 4 8] [--candidates 256]
    python -m tests.benchmarks.bench_farm --search random,policy [--candidates 128]
    HWPRUNE_SIMULATED_S=0.02 python -m tests.benchmarks.bench_farm --boards 8 --kept 100000

Every row begins with an empty store, or one that holds so many readings of other networks. "head
s" is how long a method was not waiting for an answer: what it needs for itself, and what no number
of boards makes shorter. "head MB" is what this process holds after the row, beyond what it held
before the first.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from hwprune.board import this_machine
from hwprune.candidate import Candidate
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.evaluation import Evaluation, failed
from hwprune.farm.answers import Outcome
from hwprune.farm.farm import Farm
from hwprune.farm.reading_key import ReadingKey
from hwprune.farm.store import ReadingStore
from hwprune.futures import joined
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune_device.reading import Failure, Reading
from tests.doubles.simulated_run import JOB_S
from tests.doubles.synthetic_problem import SyntheticProblem
from tests.farm.base import base_network
from tests.farm.board_python import board_python
from tests.hwprune_device.chain import chain

GROUPS = 20
LIMIT = 0.5
"""Of a search's only constraint, as a share of the unpruned network's latency."""
LABEL = "latency_ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    wall_s: float
    busy_share: float
    head_s: float = 0.0
    best: float | None = None
    head_mb: float = 0.0


@contextmanager
def simulated_farm(boards: int, folder: Path, base: BaseNetwork, kept: int = 0) -> Iterator[Farm]:
    """A calibrated farm of so many boards, with a store of its own."""
    folder.mkdir()
    python = board_python(folder, "simulated", start=f"HWPRUNE_SIMULATED_S={JOB_S} exec")
    kind = [replace(this_machine(), name=f"b{n}", kind="k", python=python) for n in range(boards)]
    store = ReadingStore(folder / "readings.sqlite")
    farm = Farm(kind, store)
    farm.start()
    farm.place(base)
    farm.calibrate()
    if kept:
        _fill(store, farm, kept)
    yield farm
    farm.close()
    store.close()


def _fill(store: ReadingStore, farm: Farm, kept: int) -> None:
    """Readings of other networks under the farm's own conditions."""
    from tests.benchmarks.bench_store import BATCH, one_reading, others

    first, chance = one_reading(), random.Random(0)
    for number in range(0, kept, BATCH):
        batch = []
        for n in range(number, min(kept, number + BATCH)):
            reading = others(first, n, chance)
            key = ReadingKey(
                architecture=reading.architecture,
                target_key=farm.target_key,
                conditions_key=farm.conditions_key,
            )
            batch.append((key, reading, None))
        store.add_all(batch)


def measure(farm: Farm, count: int, in_flight: int) -> None:
    """Have random candidates measured, so many of them asked for at any time."""
    drawn = np.random.default_rng(0)
    widths = {tuple(int(w) for w in drawn.integers(2, 16, 3)) for _ in range(4 * count)}
    waiting = [Candidate(widths=w) for w in sorted(widths)[:count]]
    open_futures: list[Future[Outcome]] = []
    while waiting or open_futures:
        room = in_flight - len(open_futures)
        open_futures += farm.measure(waiting[:room])
        del waiting[:room]
        assert isinstance(open_futures.pop(0).result(timeout=600), Reading)


def search(farm: Farm, method: str, problem: SyntheticProblem, count: int, boards: int) -> Row:
    """Let a method search with the farm as its cost; the row but for how busy the boards were."""

    def evaluate(
        candidates: Sequence[Candidate], *, learning: bool = True
    ) -> list[Future[Evaluation]]:
        both = zip(problem.evaluate(candidates), farm.measure(candidates), strict=True)
        return [joined(pair, _measured) for pair in both]

    given = replace(problem.search_problem(count, boards=boards), evaluate=evaluate)
    evaluator = Evaluator(given, method)
    began = time.monotonic()
    METHODS[method](evaluator)
    wall = time.monotonic() - began
    best = evaluator.best
    quality = problem.true_quality(best.candidate.widths) if best else None
    return Row(wall_s=wall, busy_share=0.0, head_s=wall - evaluator.waited_s, best=quality)


def _measured(scored: Evaluation, found: Outcome) -> Evaluation:
    if isinstance(found, Failure):
        return failed(scored.candidate, found)
    excess = {LABEL: found.ratio / LIMIT - 1}
    return replace(scored, excess=excess, costs={LABEL: found.latency_ms})


def run(
    method: str | None, boards: int, count: int, folder: Path, in_flight: int, kept: int = 0
) -> Row:
    """One line: candidates of a method's choice, or random ones without a method."""
    problem = SyntheticProblem(GROUPS)
    widths = problem.space.unpruned.widths
    base = make_base(chain(widths)) if method else base_network()
    with simulated_farm(boards, folder, base, kept) as farm:
        before, began = farm.timings()["busy"], time.monotonic()
        if method is None:
            measure(farm, count, in_flight * boards)
            row = Row(wall_s=time.monotonic() - began, busy_share=0.0)
        else:
            row = search(farm, method, problem, count, boards)
        busy = farm.timings()["busy"] - before
    return replace(row, busy_share=busy / boards / row.wall_s, head_mb=held_mb())


def held_mb() -> float:
    """Memory of this process, in MB."""
    return float(psutil.Process().memory_info().rss) / 1e6


def main() -> None:
    """Print wall time, speed-up and busy share for each number of boards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--candidates", type=int, default=256, help="or evaluations of a search")
    parser.add_argument("--in-flight", type=int, default=32, help="candidates asked for, a board")
    parser.add_argument("--search", default="", help="methods, with commas: " + ", ".join(METHODS))
    parser.add_argument("--kept", type=int, default=0, help="readings in the store before")
    options = parser.parse_args()
    methods = options.search.split(",") if options.search else [None]
    if "policy" in methods:
        # Not a part of any row: a process imports it once.
        import hwprune.search.policy.policy_search  # noqa: F401
    print(f"{options.candidates} candidates of {JOB_S} s", flush=True)
    print("method       boards   wall s   times faster   boards busy   head MB   head s     best")
    with tempfile.TemporaryDirectory() as folder:
        for method in methods:
            first, held = None, held_mb()
            for boards in options.boards:
                place = Path(folder) / f"{method}-{boards}"
                row = run(
                    method, boards, options.candidates, place, options.in_flight, options.kept
                )
                first = first or row.wall_s
                row = replace(row, head_mb=row.head_mb - held)
                _print(method, boards, row, first / row.wall_s)


def _print(method: str | None, boards: int, row: Row, faster: float) -> None:
    name = method or ""
    line = f"{name:12s} {boards:6d} {row.wall_s:8.1f} {faster:14.2f} {row.busy_share:13.1%}"
    line += f" {row.head_mb:9.1f}"
    if method:
        best = "none" if row.best is None else f"{row.best:.2%}"
        line += f" {row.head_s:8.1f} {best:>8s}"
    print(line, flush=True)


if __name__ == "__main__":
    main()
