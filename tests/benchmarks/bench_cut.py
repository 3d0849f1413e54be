"""What one candidate costs: cut, hash and twin against a fresh export, as ratios within one run.

    python tests/benchmarks/bench_cut.py [network …]

Absolute times depend on the machine; the ratios are what may be compared.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

from hwprune.channels.analysis import analyse
from hwprune.network.graph_module import to_module
from hwprune.network.trace import trace
from hwprune_device.cut import Cutter
from tests.traced import random_keep, random_widths, traced

DEFAULT = ("digits_cnn", "cifar_resnet20", "cifar_resnet56", "cifar_vgg16_bn", "mobilenet_v2")


def _median_ms(work: Callable[[int], object], runs: int) -> float:
    """Median CPU time of a piece of work; its argument is the number of the run."""
    times = []
    for number in range(runs):
        start = time.process_time_ns()
        work(number)
        times.append((time.process_time_ns() - start) / 1e6)
    return statistics.median(times)


def measure(name: str) -> dict[str, float]:
    """Milliseconds of CPU by step for one network."""
    network = traced(name)
    base = network.base
    cutter = Cutter(base.onnx, base.plan)
    keeps = [random_keep(base, seed) for seed in range(20)]
    widths = [random_widths(base, 100 + seed) for seed in range(20)]
    twin = to_module(base.onnx)
    cuts = [cutter.cut(keep) for keep in keeps[:5]]
    return {
        "export": _median_ms(lambda _: trace(network.module, network.example), 1),
        "analyse": _median_ms(lambda _: analyse(base.onnx), 3),
        "cut": _median_ms(lambda k: cutter.cut(keeps[k]), 20),
        "hash": _median_ms(lambda k: base.architecture_of(widths[k]), 20),
        "twin": _median_ms(lambda k: to_module(cuts[k]), 5),
        "eager": _median_ms(lambda _: network.module(network.example), 10),
        "twin runs": _median_ms(lambda _: twin(network.example), 10),
    }


def main(names: list[str]) -> None:
    """Print one line a network."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    print(
        f"{'network':16} {'export':>9} {'analyse':>8} {'cut':>7} {'hash':>7} {'twin':>7}   ratios"
    )
    for name in names or DEFAULT:
        ms = measure(name)
        columns = f"{ms['export']:9.0f} {ms['analyse']:8.1f} {ms['cut']:7.2f} {ms['hash']:7.2f}"
        print(
            f"{name:16} {columns} {ms['twin']:7.1f}   export/cut {ms['export'] / ms['cut']:.0f}x,"
            f" twin/eager forward {ms['twin runs'] / ms['eager']:.2f}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
