"""What scoring on another core does to readings, and what it does where scorers rest for boards.

    python -m tests.benchmarks.bench_quiet [--repeats 10]

A CIFAR ResNet-56 and its uniform half are read by turns: alone, beside a process that runs batches
of it without a pause, and beside one that rests while a board times (`hwprune_device/quiet.py`).
Printed: the half's latency as a share of the one read alone, with its standard error.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from statistics import mean, stdev

import torch

from hwprune.board import this_machine
from hwprune.network.zoo import cifar_resnet56
from hwprune_device import quiet
from tests.benchmarks.bench_interval import calibrate, cases, read

NEIGHBOURS: dict[str, Callable[[], None] | None] = {
    "alone": None,
    "beside scoring": lambda: _score(nullcontext),
    "beside scoring that rests": lambda: _score(quiet.working),
}


def _score(around: Callable[[], object]) -> None:
    os.sched_setaffinity(0, os.sched_getaffinity(0) - set(this_machine().cores))
    torch.set_num_threads(1)
    module, images = cifar_resnet56().eval(), torch.randn(125, 3, 32, 32)
    with torch.inference_mode():
        while True:
            with around():  # type: ignore[attr-defined]
                module(images)


@contextmanager
def beside(work: Callable[[], None] | None) -> Iterator[None]:
    """A neighbour on the cores that are not timed."""
    process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    if work:
        process.start()
        time.sleep(2)
    yield
    if work:
        process.kill()
        process.join()


def main() -> None:
    """Read by turns and print a row for each neighbour."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    case = cases()[0]
    calibrate(case)
    found: dict[str, list[float]] = {name: [] for name in NEIGHBOURS}
    for number in range(repeats):
        for name, work in NEIGHBOURS.items():
            with beside(work):
                found[name].append(read(case, number).latency_ms)
    alone = mean(found["alone"])
    for name, values in found.items():
        error = stdev(values) / alone / repeats**0.5
        print(f"{name:26s} {mean(values) / alone:.4f} ± {error:.4f}, n = {repeats}")


if __name__ == "__main__":
    main()
