"""What one candidate costs: by cutting, by either exporter, and by Torch-Pruning with an export.

    python -m tests.benchmarks.bench_cut [network …]

Milliseconds of CPU on one thread, and ratios within one run; absolute times depend on the machine.
Torch-Pruning is measured where it is installed (pip install torch-pruning==1.6.1): a deep copy,
its dependency graph, and half of every root layer pruned, then the faster exporter.
"""

from __future__ import annotations

import copy
import io
import json
import statistics
import sys
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import onnx
import torch
from torch import nn

from hwprune.channels.analysis import analyse
from hwprune.channels.base import BaseNetwork
from hwprune.network.graph_module import to_module
from hwprune_device.cut import Cutter
from tests.traced import random_keep, random_widths, traced

DEFAULT = (
    *("cifar_resnet20", "cifar_resnet56", "resnet50", "mobilenet_v2", "cifar_vgg16_bn"),
    "densenet121",
)
COLUMNS = ("analyse", "cut", "hash", "twin", "dynamo", "script", "torch-pruning")


def _median_ms(work: Callable[[int], object], runs: int) -> float:
    """Median CPU time of a piece of work; its argument is the number of the run."""
    times = []
    for number in range(runs):
        start = time.process_time_ns()
        work(number)
        times.append((time.process_time_ns() - start) / 1e6)
    return statistics.median(times)


def _export(module: nn.Module, example: torch.Tensor, *, dynamo: bool) -> None:
    if dynamo:
        torch.onnx.export(module, (example,), dynamo=True, verbose=False)
    else:
        torch.onnx.export(module, (example,), io.BytesIO(), dynamo=False)


def _torch_pruning(module: nn.Module, example: torch.Tensor) -> nn.Module | None:
    """A candidate made by Torch-Pruning; None where it is not installed."""
    try:
        import torch_pruning
    except ImportError:
        return None
    pruned = copy.deepcopy(module)
    heads = [layer for layer in pruned.modules() if isinstance(layer, nn.Linear)][-1:]
    with torch.enable_grad():
        torch_pruning.pruner.MagnitudePruner(
            pruned,
            example,
            importance=torch_pruning.importance.MagnitudeImportance(),
            pruning_ratio=0.5,
            ignored_layers=heads,
        ).step()
    return pruned


def _peak_over_model(base: BaseNetwork, cutter: Cutter) -> float:
    """Python memory of one cut, over the model's size; numpy and protobuf bytes count."""
    keep = random_keep(base, 0, least=0.9)
    tracemalloc.start()
    cutter.cut(keep)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / len(base.onnx)


def _bytes_sent(base: BaseNetwork) -> int:
    """A candidate as it travels: its hash and its widths, compressed like a frame."""
    widths = random_widths(base, 5)
    job = {"architecture": base.architecture_of(widths), "widths": widths}
    return len(zlib.compress(json.dumps(job).encode()))


def measure(name: str) -> dict[str, Any]:
    """Milliseconds of CPU by step for one network, and what it weighs."""
    network = traced(name)
    base, example = network.base, network.example[:1]
    cutter = Cutter(base.onnx, base.plan)
    keeps = [random_keep(base, seed, least=0.4) for seed in range(10)]
    widths = [random_widths(base, 100 + seed) for seed in range(10)]
    model = onnx.load_model_from_string(base.onnx)
    cuts = [cutter.cut(keep) for keep in keeps[:3]]
    found: dict[str, Any] = {
        "analyse": _median_ms(lambda _: analyse(model), 3),
        "cut": _median_ms(lambda k: cutter.cut(keeps[k]), 10),
        "hash": _median_ms(lambda k: base.architecture_of(widths[k]), 10),
        "twin": _median_ms(lambda k: to_module(cuts[k]), 3),
        "dynamo": _median_ms(lambda _: _export(network.module, example, dynamo=True), 1),
        "script": _median_ms(lambda _: _export(network.module, example, dynamo=False), 2),
        "memory": _peak_over_model(base, cutter),
        "sent": _bytes_sent(base),
    }
    if _torch_pruning(network.module, example) is not None:
        pruned = _median_ms(lambda _: _torch_pruning(network.module, example), 2)
        found["torch-pruning"] = pruned + min(found["dynamo"], found["script"])
    return found


def main(names: list[str]) -> None:
    """Print one row a network."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    print(
        "| network | " + " | ".join(f"{c} ms" for c in COLUMNS) + " | ratios to a cut | ", end=""
    )
    print("memory | bytes sent |\n|" + "---|" * (len(COLUMNS) + 4))
    for name in names or DEFAULT:
        ms = measure(name)
        cells = " | ".join(f"{ms[c]:.4g}" if c in ms else "absent" for c in COLUMNS)
        ways = [c for c in ("dynamo", "script", "torch-pruning") if c in ms]
        ratios = ", ".join(f"{c} {ms[c] / ms['cut']:.0f}×" for c in ways)
        print(f"| {name} | {cells} | {ratios} | {ms['memory']:.2f}× | {ms['sent']} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
