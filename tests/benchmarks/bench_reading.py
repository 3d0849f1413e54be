"""How well a latency repeats: hwprune's reading, a plain mean of 20, and a median of 100 runs.

Every repeat is a fresh process. Prints the coefficient of variation of each way over the repeats,
and how many times better than the mean of 20 it is.

    python -m tests.benchmarks.bench_reading [--repeats 5] [--width 32] [--layers 6]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median, stdev

from hwprune.board import this_machine
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.farm.session import BoardSession
from hwprune_device.job import CandidateJob, Job
from hwprune_device.reading import Reading
from tests.hwprune_device.chain import chain

PLAIN = """
import sys, time, statistics, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
entry = session.get_inputs()[0]
image = numpy.zeros([1, *entry.shape[1:]], numpy.float32)
def runs(count):
    for _ in range(count):
        start = time.perf_counter()
        session.run(None, {entry.name: image})
        yield (time.perf_counter() - start) * 1e3
list(runs(5))
print(statistics.mean(runs(20)), statistics.median(runs(100)))
"""


def plain(path: Path, core: int) -> tuple[float, float]:
    """Mean of 20 and median of 100 runs in a fresh process on one core, milliseconds."""
    done = subprocess.run(
        ["taskset", "-c", str(core), sys.executable, "-c", PLAIN, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    of_20, of_100 = map(float, done.stdout.split())
    return of_20, of_100


def reading(base: BaseNetwork, widths: tuple[int, ...], number: int) -> float:
    """hwprune's reading of the same network from a supervisor of its own, milliseconds."""
    board = this_machine()
    # The same neighbours every time; a search batch has others, which changes nothing.
    others = [tuple(max(1, w * k // 8) for w in base.widths) for k in range(2, 7)]
    job = Job(
        job_id=f"bench-{number}",
        base_id=base.base_id,
        base_architecture=base.architecture,
        base_widths=base.widths,
        target=board.target,
        protocol=replace(board.protocol, max_rounds=board.protocol.rounds),
        candidates=tuple(CandidateJob(architecture=str(w), widths=w) for w in (widths, *others)),
        base_nominal_ms=1.0,
    )
    with BoardSession(board) as session:
        outcome = session.measure(job, base).outcomes[0]
    assert isinstance(outcome, Reading), outcome
    return outcome.latency_ms


def variation_pct(values: Sequence[float]) -> float:
    """Coefficient of variation in per cent."""
    return 100 * stdev(values) / mean(values)


def main() -> None:
    """Repeat all three ways in turn and print how well each repeats."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--layers", type=int, default=6)
    options = parser.parse_args()
    base = make_base(chain((options.width,) * options.layers, size=32))
    widths = tuple(w // 2 for w in base.widths)
    core = this_machine().cores[-1]
    found: dict[str, list[float]] = {"mean of 20": [], "median of 100": [], "hwprune": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "half.onnx"
        path.write_bytes(chain(widths, size=32))
        for number in range(options.repeats):
            of_20, of_100 = plain(path, core)
            found["mean of 20"].append(of_20)
            found["median of 100"].append(of_100)
            found["hwprune"].append(reading(base, widths, number))
    worst = variation_pct(found["mean of 20"])
    for name, values in found.items():
        ours = variation_pct(values)
        unit = "of the base" if name == "hwprune" else "ms"
        print(
            f"{name:14s} median {median(values):8.4f} {unit:11s} "
            f"variation {ours:6.2f} %   {worst / ours:5.1f} times better than the mean of 20"
        )


if __name__ == "__main__":
    main()
