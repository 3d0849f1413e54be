"""Whether the 95 % interval of a reading is true: how many of many readings hold the pooled value.

Every reading is a fresh supervisor. Networks: a CIFAR ResNet-56 (about 1 ms once cut), a
ResNet-18 (about 10 ms) and a ResNet-50 (about 40 ms), random weights; quiet, or with a load on
another core.

    python -m tests.benchmarks.bench_interval [--repeats 40] [--load] [--keep FILE]

Columns: the pooled latency; how many intervals hold it; readings without doubts, how many of them
hold it, their half width and their coefficient of variation (a farm takes doubted ones again); the
same of all readings, of a plain mean of 20 runs and of a median of 100 in fresh processes; and the
wall time of a batch over the time of its timed rounds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median, stdev

from hwprune.board import this_machine
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.farm.calibration import AGREE, calm_ms, calm_readings
from hwprune.farm.session import BoardSession
from hwprune_device.cut import Cutter
from hwprune_device.job import CandidateJob, Job
from hwprune_device.reading import Failure, Reading
from tests.benchmarks.bench_reading import plain, variation_pct


@dataclass(slots=True, kw_only=True)
class Case:
    """One network, cut to a share of its channels, and all that was read of it."""

    name: str
    base: BaseNetwork
    share: float
    nominal_ms: float = 0.0
    calm_ms: float = 0.0
    readings: list[Reading] = field(default_factory=list)
    spent_s: list[float] = field(default_factory=list)
    of_20: list[float] = field(default_factory=list)
    of_100: list[float] = field(default_factory=list)

    def widths(self, share: float) -> tuple[int, ...]:
        """Widths of a uniform cut, in multiples of 8."""
        return tuple(max(1, round(w * share / 8) * 8 or w) for w in self.base.widths)


def cases() -> list[Case]:
    """The three networks, traced from torch with random weights."""
    import torch
    import torchvision

    from hwprune.network.trace import trace
    from hwprune.network.zoo import cifar_resnet56

    torch.manual_seed(0)
    found = []
    for name, module, size, share in (
        ("1 ms", cifar_resnet56(), 32, 0.5),
        ("10 ms", torchvision.models.resnet18(), 224, 0.55),
        ("40 ms", torchvision.models.resnet50(), 224, 0.75),
    ):
        onnx = trace(module.eval(), torch.randn(1, 3, size, size))
        found.append(Case(name=name, base=make_base(onnx), share=share))
    return found


def read(case: Case, number: int, *, alone: bool = False) -> Reading:
    """One reading from a supervisor of its own; `alone`: of the base beside itself."""
    board = this_machine()
    shares = () if alone else (case.share, 0.3, 0.9)
    job = Job(
        job_id=f"{case.name}-{number}-{time.time_ns()}",
        base_id=case.base.base_id,
        base_architecture=case.base.architecture,
        base_widths=case.base.widths,
        target=board.target,
        protocol=board.protocol,
        candidates=tuple(CandidateJob(architecture=str(s), widths=case.widths(s)) for s in shares),
        base_nominal_ms=case.nominal_ms or None,
        base_calm_ms=case.calm_ms or None,
    )
    with BoardSession(board) as session:
        batch = session.measure(job, case.base)
    (outcome, *_) = batch.outcomes
    assert isinstance(outcome, Reading), outcome
    if not alone and outcome.conditions["base_off"] < -AGREE:
        # As a farm does: it was calibrated while the machine was not calm.
        case.calm_ms *= 1 + outcome.conditions["base_off"]
    case.spent_s.append(batch.timings["wall_s"] / batch.timings["time_s"])
    return outcome


def calibrate(case: Case) -> None:
    """The base's calm time, as a farm finds it."""
    taken = calm_readings(lambda: read(case, 0, alone=True))
    assert not isinstance(taken, Failure), taken
    case.nominal_ms = case.calm_ms = calm_ms(taken)
    case.spent_s.clear()


@contextmanager
def load(wanted: bool) -> Iterator[None]:
    """A neighbour that multiplies matrices on a core that is not timed."""
    worker = multiprocessing.Process(target=_burn, daemon=True) if wanted else None
    if worker:
        worker.start()
    yield
    if worker:
        worker.kill()


def _burn() -> None:
    others = os.sched_getaffinity(0) - set(this_machine().cores)
    os.sched_setaffinity(0, others or os.sched_getaffinity(0))
    import numpy as np

    matrix = np.random.default_rng(0).random((1500, 1500), dtype=np.float32)
    while True:
        matrix = matrix @ matrix
        matrix /= np.abs(matrix).max()


def report(case: Case) -> str:
    """One line of the table."""
    good = [r for r in case.readings if not r.doubts]
    pooled = median(r.latency_ms for r in case.readings)
    held = [r.low_ms <= pooled <= r.high_ms for r in case.readings]
    held_good = [r.low_ms <= pooled <= r.high_ms for r in good]
    width = median((r.high_ms - r.low_ms) / 2 / r.latency_ms for r in good or case.readings)
    values = [r.latency_ms for r in good or case.readings]
    cv = 100 * stdev(values) / mean(values)
    cells = (
        f"{mean(held):.0%}",
        f"{len(good)}/{len(held)}",
        f"{mean(held_good):.0%}" if good else "-",
        f"{100 * width:.1f}",
        f"{cv:.2f}",
        f"{variation_pct([r.latency_ms for r in case.readings]):.2f}",
        f"{variation_pct(case.of_20):.2f}",
        f"{variation_pct(case.of_100):.2f}",
        f"{median(case.spent_s):.2f}",
    )
    return f"{case.name:6s} {pooled:8.3f}" + "".join(f"{cell:>10s}" for cell in cells)


def main() -> None:
    """Read, and print coverage, width, repeatability and overhead by network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--load", action="store_true", help="a neighbour on another core")
    parser.add_argument("--keep", type=Path, help="write every reading here, a line of JSON each")
    options = parser.parse_args()
    found = cases()
    for case in found:
        calibrate(case)
    core = this_machine().cores[-1]
    with tempfile.TemporaryDirectory() as folder, load(options.load):
        for case in found:
            cut = Cutter(case.base.onnx, case.base.plan).cut_to(case.widths(case.share))
            (Path(folder) / f"{case.name}.onnx").write_bytes(cut)
        for number in range(options.repeats):
            for case in found:
                case.readings.append(read(case, number))
                of_20, of_100 = plain(Path(folder) / f"{case.name}.onnx", core)
                case.of_20.append(of_20)
                case.of_100.append(of_100)
                if options.keep:
                    with options.keep.open("a") as file:
                        kept = case.readings[-1].to_json()
                        file.write(json.dumps({"case": case.name, "reading": kept}) + "\n")
    print(f"{options.repeats} fresh processes, {'loaded' if options.load else 'quiet'}")
    columns = (
        "held",
        "good",
        "held good",
        "± % good",
        "cv % good",
        "cv %",
        "cv 20",
        "cv 100",
        "over",
    )
    print(f"{'':6s} {'ms':>8s}" + "".join(f"{name:>10s}" for name in columns))
    for case in found:
        print(report(case))


if __name__ == "__main__":
    main()
