"""How busy a farm keeps its boards, and how its wall time falls with their number.

Simulated boards of 0.3 s a candidate, each a real supervisor behind a real Ray actor; only the
timing itself is slept. Candidates are asked for as a search with enough in flight would.

    python -m tests.benchmarks.bench_farm [--boards 1 2 4 8] [--candidates 256]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwprune.board import this_machine
from hwprune.candidate import Candidate
from hwprune.farm.cluster import Cluster
from hwprune.farm.farm import Farm
from hwprune.farm.store import ReadingStore
from hwprune.testing.simulated_run import JOB_S
from hwprune_device.reading import Reading
from tests.farm.base import base_network
from tests.farm.board_python import board_python


def run(boards: int, count: int, folder: Path, in_flight: int) -> tuple[float, float, float]:
    """Wall seconds of measuring, the boards' busy share, and seconds of their work."""
    python = board_python(folder, "simulated")
    kind = [replace(this_machine(), name=f"b{n}", kind="k", python=python) for n in range(boards)]
    store = ReadingStore(folder / f"{boards}.sqlite")
    farm = Farm(kind, store)
    farm.start()
    farm.place(base_network())
    farm.calibrate()
    random = np.random.default_rng(0)
    widths = {tuple(int(w) for w in random.integers(2, 16, 3)) for _ in range(4 * count)}
    candidates = [Candidate(widths=w) for w in sorted(widths)[:count]]
    before = farm.timings()["busy"]
    began = time.monotonic()
    waiting = list(candidates)
    open_futures = []
    while waiting or open_futures:
        room = in_flight * boards - len(open_futures)
        open_futures += farm.measure(waiting[:room])
        del waiting[:room]
        assert isinstance(open_futures.pop(0).result(timeout=600), Reading)
    wall = time.monotonic() - began
    busy = farm.timings()["busy"] - before
    farm.close()
    store.close()
    return wall, busy / boards / wall, busy


def main() -> None:
    """Print wall time, speed-up and busy share for each number of boards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--candidates", type=int, default=256)
    parser.add_argument("--in-flight", type=int, default=32, help="candidates asked for, a board")
    options = parser.parse_args()
    print(f"{options.candidates} candidates of {JOB_S} s, {options.in_flight} in flight a board")
    print("boards   wall s   times faster   boards busy")
    first = None
    with Cluster(), tempfile.TemporaryDirectory() as folder:
        for boards in options.boards:
            place = Path(folder) / str(boards)
            place.mkdir()
            wall, busy, _ = run(boards, options.candidates, place, options.in_flight)
            first = first or wall
            print(f"{boards:6d} {wall:8.1f} {first / wall:14.2f} {busy:13.1%}", flush=True)


if __name__ == "__main__":
    main()
