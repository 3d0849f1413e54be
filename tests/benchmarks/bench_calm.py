"""What a batch should do while the machine swings between two speeds: rules on one record.

One batch is timed for minutes by the real stopwatch: a base network and eight cuts of it, in the
protocol's own rounds. Each rule then makes batches of the record. A batch counts as good where its
base was calm; its error is that of its ratios to the ratio of all visits between two base visits
within 5 % of the calm time, which is the base's tenth percentile.

    python -m tests.benchmarks.bench_calm [--network hwprune.network.zoo:cifar_resnet20]
        [--input 1x3x32x32] [--minutes 4]

Columns: batches; the share of good ones; rounds a good one took; root mean square and largest
error of the good, and of the rest.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from hwprune.board import this_machine
from hwprune.cli.inspect import parse_shapes
from hwprune.pipeline.tabled_network import tabled_network
from hwprune_device.cut import Cutter
from hwprune_device.job import Protocol, Target
from hwprune_device.measurement.stopwatch import Lap, Stopwatch
from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.35, 0.25)
Round = Mapping[int, tuple[float, float]]
"""By candidate: its ratio, and how far the base beside it was off its calm time at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a batch ends: `needed` rounds, all of them or only calm ones, `most` in a try."""

    name: str
    calm_only: bool
    within: float = 0.1
    needed: int = 20
    most: int = 200
    tries: int = 2


RULES = (
    Rule(name="20 rounds, all count", calm_only=False, most=20),
    Rule(name="20 calm of 100", calm_only=True, most=100),
    Rule(name="20 calm of 200", calm_only=True),
    Rule(name="20 within 5 % of 200", calm_only=True, within=0.05),
    Rule(name="10 calm of 200", calm_only=True, needed=10),
)


def record(network: str, shape: str, minutes: float) -> list[Round]:
    """The rounds of one long batch."""
    base = tabled_network(network, (), parse_shapes(shape)).base
    rng, cutter = random.Random(0), Cutter(base.onnx, base.plan)
    laps = [_lap(cutter.cut_to(base.widths))]
    for share in SHARES:
        widths = [
            max(1, round(w * min(1.0, share + rng.uniform(-0.15, 0.1)))) for w in base.widths
        ]
        laps.append(_lap(cutter.cut_to(widths)))
    protocol = Protocol(rounds=10**6, max_rounds=10**6, cap_s=60 * minutes)
    for lap in laps:
        lap.warm_up(protocol)
    watch = Stopwatch(
        laps[0],
        dict(enumerate(laps[1:])),
        protocol,
        threads=1,
        seed=0,
        note=lambda index: None,
        failed=lambda index, error: exit(f"candidate {index}: {error}"),
    )
    watch.time()
    return list(_rounds(watch))


def _lap(model: bytes) -> Lap:
    network = OnnxRuntime().load(model, Target(), {"batch": 1}, lambda: None)
    # A session counts its memory, and is slow, until this.
    network.weigh()
    return Lap(run=network.run)


def _rounds(watch: Stopwatch) -> Iterator[Round]:
    base = [median(v.cpu_ms) for v in watch.base.visits]
    calm = float(np.percentile(base, 10))
    print(
        f"base: calm {calm:.3f} ms, median {median(base):.3f}, 90 % {np.percentile(base, 90):.3f}"
    )
    for visits in zip(*(lap.visits for lap in watch.candidates.values()), strict=False):
        pairs = [(base[v.before], base[v.before + 1]) for v in visits]
        yield {
            index: (2 * median(v.cpu_ms) / sum(pair), max(pair) / calm - 1)
            for index, (v, pair) in enumerate(zip(visits, pairs, strict=True))
        }


def replay(rule: Rule, rounds: Sequence[Round], truth: Mapping[int, float]) -> None:
    """Print what a rule makes of the record."""
    good: list[list[float]] = []
    rest: list[list[float]] = []
    at = 0
    while at + rule.most * rule.tries <= len(rounds):
        for _ in range(rule.tries):
            used, ratios, calm = batch(rule, rounds[at : at + rule.most])
            at += used
            if calm:
                break
        errors = [ratio / truth[index] - 1 for index, ratio in ratios.items()]
        (good if calm else rest).append(errors)
    count = len(good) + len(rest)
    print(
        f"{rule.name:24} {count:5} {len(good) / count:6.0%} {at / max(1, len(good)):7.0f}   "
        f"{_error(good)}   {_error(rest)}"
    )


def batch(rule: Rule, rounds: Sequence[Round]) -> tuple[int, dict[int, float], bool]:
    """Rounds that one try takes, its ratios, and whether its base was calm."""
    calm: dict[int, list[float]] = {index: [] for index in rounds[0]}
    for used, one in enumerate(rounds, 1):
        for index, (ratio, off) in one.items():
            if off <= rule.within:
                calm[index].append(ratio)
        enough = min(map(len, calm.values())) >= rule.needed
        if rule.calm_only and enough and used >= rule.needed:
            return used, {i: median(r) for i, r in calm.items()}, True
    ratios = {i: median(one[i][0] for one in rounds) for i in calm}
    off = median(off for one in rounds for _, off in one.values())
    return len(rounds), ratios, not rule.calm_only and off <= rule.within


def _error(errors: list[list[float]]) -> str:
    if not errors:
        return "  none        "
    values = 100 * np.abs(np.array(errors))
    return f"{np.sqrt((values**2).mean()):5.2f} {values.max():5.1f} %"


def main() -> None:
    """Record, then replay every rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="hwprune.network.zoo:cifar_resnet20")
    parser.add_argument("--input", default="1x3x32x32")
    parser.add_argument("--minutes", type=float, default=4.0)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, set(this_machine().cores))
    rounds = record(arguments.network, arguments.input, arguments.minutes)
    truth = {
        index: median(one[index][0] for one in rounds if one[index][1] <= 0.05)
        for index in rounds[0]
    }
    for rule in RULES:
        replay(rule, rounds, truth)


if __name__ == "__main__":
    main()
