"""Which criterion keeps the most accuracy: uniform cuts, re-calibrated, not fine-tuned.

    HWPRUNE_DATA=… python -m tests.benchmarks.bench_saliency [--images N] [--root DIR] [NETWORK …]

NETWORK is resnet20 or resnet56, trained on CIFAR-10 (github.com/akamaster/pytorch_resnet_cifar10),
looked for in $HWPRUNE_DATA/akamaster_resnet_cifar10. Every channel group is cut to the same share
of its width, BatchNorm takes its statistics from 250 training images, and test images are counted:
the weights have seen all training images. Seconds are of this process's CPU time, one thread.

Torch-Pruning's importances (`pip install torch-pruning==1.6.1`) are computed by its own code with
its own defaults and ranked here. What they are given are this project's groups, with all layers
that write and read each. Its own groups tie the padded shortcuts of these networks by indices from
before the pad, and the network that it cuts does not run. So widths, cuts and images are equal,
and only the order of the channels differs. Its Taylor and Hessian are given the cross-entropy of
training images, as its manual has it. Its Hessian is listed twice: as it ships, `accumulate_grad`
keeps the last image's squares and drops the others; "summed" is the mean of all.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.network.graph_module import to_module
from hwprune.network.scorer import Scorer
from hwprune.network.source import load_network
from hwprune.network.trace import trace
from hwprune.saliency.criteria import criterion_names
from hwprune.saliency.ranking import rank
from hwprune.saliency.registry import Subject
from hwprune.saliency.sample import loss_of, taught
from hwprune.task.data import Data, load_data
from hwprune.task.items import example_of
from hwprune.task.kinds import classification
from hwprune.task.task import Task
from tests.benchmarks.networks import COMPARED, WEIGHTS, weights_of
from tests.benchmarks.torch_pruning_groups import importance

KEEPS = (0.85, 0.7, 0.5, 0.3)
TP_IMAGES = 512

Order = list[np.ndarray]
"""By group, units from the most to the least important."""


def network(name: str, task: Task) -> BaseNetwork:
    """A trained network, traced."""
    file = Path(os.path.expandvars(weights_of(name)))
    module = load_network(f"hwprune.network.zoo:cifar_{name}", weights=file)
    return make_base(trace(module.eval(), example_of(task)))


def ours(base: BaseNetwork, task: Task) -> Iterator[tuple[str, Callable[[], Order]]]:
    """Every criterion that is registered."""
    for name in criterion_names():
        module = to_module(base.onnx)
        yield name, lambda n=name, m=module: list(rank(base, task, n, module=m).order)


def theirs(base: BaseNetwork, task: Task) -> Iterator[tuple[str, Callable[[], Order]]]:
    """Torch-Pruning's, if it is installed."""
    try:
        import torch_pruning as tp
    except ImportError:
        print("Torch-Pruning is left out: pip install torch-pruning==1.6.1")
        return
    scorers = {
        "magnitude": tp.importance.GroupMagnitudeImportance(p=2),
        "Taylor": tp.importance.GroupTaylorImportance(),
        "Hessian": tp.importance.GroupHessianImportance(),
        "Hessian, summed": tp.importance.GroupHessianImportance(),
    }
    for name, scorer in scorers.items():
        subject = Subject(module=to_module(base.onnx), plan=base.plan, task=task, seed=0)

        def order(n: str = name, s: object = scorer, subject: Subject = subject) -> Order:
            if n != "magnitude":
                gradients(subject, s, n)
            scores = importance(s, subject.module, base.plan)
            return [np.argsort(-values, kind="stable") for values in scores]

        yield f"Torch-Pruning {name}", order


def gradients(subject: Subject, scorer: object, name: str) -> None:
    """Leave in every parameter's grad what Torch-Pruning's importance wants to find there."""
    module = subject.module
    squares = {p: torch.zeros_like(p) for p in module.parameters()}
    single = name.startswith("Hessian")
    for inputs, labels, _ in taught(subject, TP_IMAGES, 1 if single else 32):
        if single:
            module.zero_grad()
        # The loss is a mean over items, and gradients of all batches are added up.
        (loss_of(subject)(module(*inputs), labels) * len(inputs[0])).backward()
        if name == "Hessian":
            scorer.accumulate_grad(module)
        elif single:
            for p in module.parameters():
                squares[p] += p.grad.square() / TP_IMAGES
    if name == "Hessian, summed":
        for p in module.parameters():
            p.grad = squares[p]


def last_of_test(data: Data, images: int) -> Data:
    """The last so many test images alone; the first were looked at when criteria were made."""
    test = data.part("test")
    last = test.take(np.arange(len(test))[-images:])
    return replace(data, parts={**data.parts, "test": last})


def accuracy(scorer: Scorer, widths: Sequence[int]) -> float:
    """Of a candidate on the test images, in percent."""
    return 100 * scorer({"widths": widths, "part": "test"})["value"]


def unpruned(base: BaseNetwork, task: Task) -> float:
    """Accuracy in percent of the whole network, re-calibrated like the others."""
    order = [np.arange(width) for width in base.widths]
    return accuracy(Scorer(base.onnx, base.plan, order, task=task), base.widths)


def row(base: BaseNetwork, task: Task, order: Callable[[], Order]) -> str:
    """Accuracies in percent at each share, and the CPU seconds that the order took."""
    began = time.process_time()
    found = order()
    took = time.process_time() - began
    scorer = Scorer(base.onnx, base.plan, found, task=task)
    cells = []
    for keep in KEEPS:
        widths = [max(1, round(keep * width)) for width in base.widths]
        cells.append(f"{accuracy(scorer, widths):.1f}")
    return f"{' | '.join(cells)} | {took:.1f}"


def main() -> None:
    """Print a table a network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=COMPARED, choices=WEIGHTS)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--only", nargs="*", help="rows of these names alone")
    parser.add_argument("--root", default="~/.cache/hwprune/data")
    given = parser.parse_args()
    torch.set_num_threads(1)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    data = load_data("torchvision:CIFAR10", root=given.root, mean=mean, std=std)
    task = classification(last_of_test(data, given.images))
    error = 100 * math.sqrt(0.25 / given.images)
    for name in given.networks:
        base = network(name, task)
        whole = unpruned(base, task)
        print(f"\n{name}, unpruned {whole:.1f} %, {given.images} test images", end="")
        print(f", standard error at most {error:.1f} points")
        print(f"| criterion | {' | '.join(f'{k:.0%}' for k in KEEPS)} | CPU s |")
        print("|---" * (len(KEEPS) + 2) + "|")
        for rows in (ours(base, task), theirs(base, task)):
            for said, order in rows:
                if given.only and said not in given.only:
                    continue
                print(f"| {said} | {row(base, task, order)} |", flush=True)


if __name__ == "__main__":
    main()
