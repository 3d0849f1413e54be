"""What can be cut, of which network, how fast and how exactly.

    python -m tests.benchmarks.bench_coverage [network …]

One row a network: groups, share of parameters and MACs that go when every group has one unit left,
CPU milliseconds of analysis and of a cut, the worst relative error of random cuts against the
silenced network in float64, and what is left whole although no output asks for it.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings

import torch

from hwprune.channels.base import make_base
from hwprune.network.examination import examine
from hwprune.network.trace import trace
from hwprune_device.cut import Cutter
from tests.network.test_coverage import FAMILIES, LIGHT, torchvision_part
from tests.traced import random_keep
from tests.unusual import UNUSUAL


def _ms(start_ns: int) -> float:
    return (time.process_time_ns() - start_ns) / 1e6


def measure(name: str) -> str:
    """One row of the table."""
    torch.manual_seed(0)
    if name in UNUSUAL:
        make, inputs = UNUSUAL[name]
        part = make().eval()
    else:
        part, inputs = torchvision_part(name)
    model = trace(part, inputs)
    start = time.process_time_ns()
    base = make_base(model)
    analysis_ms = _ms(start)
    plan, costs = base.plan, base.cost_model
    least = tuple(1 for _ in plan.widths)
    cutter = Cutter(base.onnx, plan)
    cuts = []
    for seed in range(5):
        keep = random_keep(base, seed)
        start = time.process_time_ns()
        cutter.cut(keep)
        cuts.append(_ms(start))
    error = examine(base).worst_error
    shares = [
        1 - costs.params(least) / costs.params(plan.widths),
        1 - costs.macs(least) / max(1, costs.macs(plan.widths)),
    ]
    whole = "; ".join(f"{a}: {why}" for a, why in plan.frozen if why != "network output")
    return (
        f"| {name} | {len(plan.groups)} | {shares[0]:.1%} | {shares[1]:.1%} | {analysis_ms:.0f} | "
        f"{statistics.median(cuts):.1f} | {error:.0e} | {whole} |"
    )


def main(names: list[str]) -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print("| network | groups | params | MACs | analysis ms | cut ms | worst error | left whole |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names or [*LIGHT, *FAMILIES, *UNUSUAL]:
        print(measure(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
