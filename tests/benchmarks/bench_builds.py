"""Real engines of TensorRT for RTX, built without a GPU: seconds, MB and outcome of each.

    python -m tests.benchmarks.bench_builds [--families] [--torchvision] [--precisions fp32 …]
        [--widths 2] [--seed 0]

Each network is cut to random widths, at least an eighth of each group, and parsed and built by the
adapter that a board uses. "same" is whether a second build gave the same bytes.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator

from hwprune.channels.base import BaseNetwork
from hwprune.cli.inspect import parse_shapes
from hwprune.pipeline.tabled_network import tabled_network
from hwprune_device.cut import Cutter
from hwprune_device.resident import PeakWatch
from hwprune_device.runtimes.interface import batch_symbols
from hwprune_device.runtimes.trt.graph import graph_for
from hwprune_device.runtimes.trt.tensorrt import BuildOptions, TensorRT
from tests.network.test_coverage import case
from tests.unusual import UNUSUAL

TORCHVISION = (
    *("resnet18", "vgg11_bn", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0"),
    *("densenet121", "shufflenet_v2_x1_0", "regnet_y_400mf", "convnext_tiny", "swin_t"),
)
BATCH = 1


def networks(asked: argparse.Namespace) -> Iterator[tuple[str, BaseNetwork]]:
    """By name, one after another."""
    if asked.families:
        yield from ((name, case(name).base) for name in UNUSUAL)
    for name in TORCHVISION if asked.torchvision else ():
        subject = tabled_network(f"torchvision:{name}:none", (), parse_shapes("1x3x224x224"))
        yield name, subject.base


def row(name: str, base: BaseNetwork, precision: str, chance: random.Random) -> str:
    """One build, as a line of the table."""
    widths = [chance.randint(-(-g.width // 8), g.width) for g in base.plan.groups]
    model = Cutter(base.onnx, base.plan).cut_to(widths)
    library = TensorRT(rtx=True)
    start = time.perf_counter()
    try:
        free = dict.fromkeys(batch_symbols(model), BATCH)
        graph = graph_for(model, free, precision=precision, calibration="qdq", strongly_typed=True)
        start = time.perf_counter()
        with PeakWatch() as peak:
            plan = library.build(graph, BuildOptions(precision=precision), lambda phase: True)
            seconds, grown = time.perf_counter() - start, peak.grown_mb()
        again = library.build(graph, BuildOptions(precision=precision), lambda phase: True)
    except Exception as error:
        return f"| {name} | {precision} | {time.perf_counter() - start:.2f} | | | {error} |"
    same = "same" if again.engine == plan.engine else "other bytes"
    host = "" if grown is None else f"{grown:.0f}"
    return (
        f"| {name} | {precision} | {seconds:.2f} | {len(plan.engine) / 1e6:.1f} | {host} | "
        f"built, again {same} |"
    )


def main() -> None:
    """Print rows as they come."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--families", action="store_true")
    parser.add_argument("--torchvision", action="store_true")
    parser.add_argument("--precisions", nargs="*", default=["fp32", "fp16", "int8"])
    parser.add_argument("--widths", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    print("| network | precision | s | engine MB | host MB | outcome |\n" + "|---" * 6 + "|")
    for name, base in networks(asked):
        for precision in asked.precisions:
            for _ in range(asked.widths):
                print(row(name, base, precision, chance), flush=True)


if __name__ == "__main__":
    main()
