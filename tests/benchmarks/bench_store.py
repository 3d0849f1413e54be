"""The store at many readings: rates of adding and of a hit, bytes a reading, the spread's time.

    python -m tests.benchmarks.bench_store [--sizes 1000 100000 1000000]

Each size is filled in batches of 16, as a board's batch is, with readings of different networks
made from one that was taken on this machine. A row: readings a second over the last tenth,
microseconds of a hit and of the spread (medians of 200), bytes of file a reading, and each as a
ratio to the first row.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from hwprune.board import this_machine
from hwprune.channels.base import make_base
from hwprune.farm.reading_key import ReadingKey
from hwprune.farm.session import BoardSession
from hwprune.farm.store import ReadingStore
from hwprune.farm.store_rows import Cut
from hwprune_device.job import CandidateJob, Job
from hwprune_device.reading import Reading
from tests.hwprune_device.chain import chain

BATCH = 16
TIMED = 200


def one_reading() -> Reading:
    """A real reading, with all that a board tells of itself."""
    base, board = make_base(chain((16, 16))), this_machine()
    job = Job(
        job_id="bench",
        base_id=base.base_id,
        base_architecture=base.architecture,
        base_widths=base.widths,
        target=board.target,
        protocol=board.protocol,
        candidates=(CandidateJob(architecture="half", widths=tuple(w // 2 for w in base.widths)),),
        base_nominal_ms=1.0,
    )
    with BoardSession(board) as session:
        outcome = session.measure(job, base).outcomes[0]
    assert isinstance(outcome, Reading), outcome
    return outcome


def others(reading: Reading, number: int, chance: random.Random) -> Reading:
    """Another network's reading on the same board: other numbers, the same fingerprint."""
    scale = chance.uniform(0.3, 1.0)
    runs = tuple(
        tuple(round(run * scale * chance.uniform(0.98, 1.02), 6) for run in each)
        for each in reading.runs_ms
    )
    return replace(
        reading,
        reading_id=f"{chance.getrandbits(128):032x}",
        architecture=f"{number:064x}",
        latency_ms=reading.latency_ms * scale,
        low_ms=reading.low_ms * scale,
        high_ms=reading.high_ms * scale,
        ratio=reading.ratio * scale,
        runs_ms=runs,
    )


def fill(store: ReadingStore, first: Reading, start: int, end: int) -> float:
    """Add readings `start` to `end`; readings a second over the last tenth of them."""
    chance, added, spent = random.Random(start), 0, 0.0
    for number in range(start, end, BATCH):
        batch = []
        for n in range(number, min(end, number + BATCH)):
            reading = others(first, n, chance)
            cut = Cut(base_id="base", widths=tuple(chance.randrange(1, 64) for _ in range(32)))
            batch.append((key_of(reading.architecture), reading, cut))
        began = time.perf_counter()
        store.add_all(batch)
        if number >= end - (end - start) / 10:
            spent += time.perf_counter() - began
            added += len(batch)
    return added / spent


def key_of(architecture: str) -> ReadingKey:
    """The key of one of the networks."""
    return ReadingKey(architecture=architecture, target_key="{}", conditions_key="c")


def _median_us(work: object) -> float:
    times = []
    for _ in range(TIMED):
        began = time.perf_counter()
        work()  # type: ignore[operator]
        times.append((time.perf_counter() - began) * 1e6)
    return median(times)


def main() -> None:
    """Print a row a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    sizes = parser.parse_args().sizes
    first, chance, had = one_reading(), random.Random(0), 0
    print("| readings | added / s | hit us | spread us | bytes each | rate | hit |")
    print("|---|---|---|---|---|---|---|")
    base: tuple[float, float] | None = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "readings.sqlite"
        store = ReadingStore(path)
        for size in sizes:
            rate = fill(store, first, had, size)
            had = size
            hit = _median_us(lambda size=size: store.get(key_of(f"{chance.randrange(size):064x}")))
            spread = _median_us(lambda: store.spread("c", "{}"))
            each = sum(file.stat().st_size for file in path.parent.iterdir()) / size
            base = base or (rate, hit)
            print(
                f"| {size} | {rate:.0f} | {hit:.0f} | {spread:.0f} | {each:.0f} "
                f"| {rate / base[0]:.2f}x | {hit / base[1]:.2f}x |",
                flush=True,
            )
        store.close()


if __name__ == "__main__":
    main()
