"""How many of the cut plans that were made wrong on purpose the gate catches.

    python -m tests.benchmarks.bench_mutation [--count 6] [--seed 0] [network …]

One row a network, one column a kind of mutation: caught of those that are really wrong. A mutant
that passes counts as wrong unless its cuts compute what cuts of the right plan compute, with six
other drawings of plain random weights. The last row is the share by kind; then come the missed.
"""

from __future__ import annotations

import argparse
import warnings

import torch
import torchvision

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.network.trace import trace
from tests.mutations import MUTATIONS, is_caught, is_equivalent, mutants
from tests.network.test_coverage import case
from tests.traced import randomise_norms, traced
from tests.unusual import UNUSUAL

ZOO = ("digits_cnn", "cifar_resnet20", "cifar_vgg16_bn")
FAMILIES = (
    *("mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5", "squeezenet1_1"),
    *("efficientnet_b0", "regnet_x_400mf", "convnext_tiny", "resnext50_32x4d", "swin_t"),
)
SIZE = 64


def network(name: str) -> BaseNetwork:
    """A network by name; torchvision's at a small size."""
    if name in UNUSUAL:
        return case(name).base
    if name in ZOO:
        return traced(name).base
    torch.manual_seed(0)
    module = torchvision.models.get_model(name, weights=None).eval()
    randomise_norms(module)
    return make_base(trace(module, torch.randn(2, 3, SIZE, SIZE)))


def tally(base: BaseNetwork, kind: str, count: int, seed: int) -> tuple[int, int, list[str]]:
    """Caught, really wrong, and what was missed."""
    caught, missed = 0, []
    for number, wrong in enumerate(mutants(base, kind, count, seed)):
        if is_caught(wrong):
            caught += 1
        elif not is_equivalent(base, wrong):
            missed.append(f"{kind} {number}")
    return caught, caught + len(missed), missed


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("networks", nargs="*", default=[*UNUSUAL, *ZOO, *FAMILIES])
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"| network | {' | '.join(MUTATIONS)} |")
    print("|---" * (len(MUTATIONS) + 1) + "|", flush=True)
    caught, wrong = dict.fromkeys(MUTATIONS, 0), dict.fromkeys(MUTATIONS, 0)
    missed: list[str] = []
    for name in given.networks:
        base, cells = network(name), []
        for kind in MUTATIONS:
            hit, count, lost = tally(base, kind, given.count, given.seed)
            caught[kind], wrong[kind] = caught[kind] + hit, wrong[kind] + count
            missed += [f"{name}: {what}" for what in lost]
            cells.append(f"{hit}/{count}" if count else "")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    shares = (f"{caught[kind] / max(1, wrong[kind]):.1%}" for kind in MUTATIONS)
    print(f"| all | {' | '.join(shares)} |")
    total = sum(wrong.values())
    print(f"caught {sum(caught.values())} of {total}; missed: {'; '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
