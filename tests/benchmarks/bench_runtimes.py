"""One runtime against another on this machine: how much faster, and whether candidates rank alike.

    python -m tests.benchmarks.bench_runtimes MODEL… [--runtimes onnxrt ncnn] [--candidates 24]
        [--input NxCxHxW] [--threads 1] [--precision fp32] [--seed 0]

Each network at full width and at random widths, read by both runtimes turn by turn. The ratio is
that of the times (below 1: the second is faster), with its spread over candidates.
Spearman's and Kendall's coefficients are those of the two orders of candidates; "swapped" is the
share of pairs, at least 5 % apart by either, which the other runtime orders the other way.
"""

from __future__ import annotations

import argparse
from itertools import combinations

import numpy as np
from scipy.stats import kendalltau, spearmanr

from hwprune.channels.base import BaseNetwork
from hwprune.cli.inspect import parse_shapes
from hwprune.pipeline.tabled_network import tabled_network
from hwprune_device.job import Protocol, Target
from hwprune_device.reading import Failure, Reading
from tests.benchmarks.bench_latency_table import random_widths
from tests.hwprune_device.board import Board, running
from tests.hwprune_device.chain import job, name

APART = 0.05
AT_ONCE = 4
"""Candidates that one runtime reads before the other's turn."""
PROTOCOL = Protocol(rounds=12, max_rounds=40, timeout_s=120.0)
COLUMNS = ("network", "n", "full width ms", "ratio", "of candidates", "Spearman", "Kendall")
HEAD = f"| {' | '.join((*COLUMNS, 'swapped'))} |\n" + "|---" * 8 + "|"


def times(board: Board, base: BaseNetwork, asked: argparse.Namespace) -> np.ndarray:
    """Milliseconds [candidates, runtimes], full width first, of what both can run."""
    chance = np.random.default_rng([asked.seed, 7])
    random = random_widths(base, asked.candidates, chance)
    wanted = list(dict.fromkeys([tuple(base.plan.widths), *random]))
    found: list[list[float]] = [[] for _ in wanted]
    for start in range(0, len(wanted), AT_ONCE):
        for runtime in asked.runtimes:
            precision = "fp32" if runtime == "onnxrt" else asked.precision
            target = Target(runtime=runtime, threads=asked.threads, precision=precision)
            part = range(start, min(start + AT_ONCE, len(wanted)))
            outcomes = board.measure(
                job([wanted[n] for n in part], widths=base.plan.widths, target=target,
                    protocol=PROTOCOL)
            )  # fmt: skip
            for number in part:
                outcome = outcomes[name(wanted[number])]
                if isinstance(outcome, Reading):
                    found[number].append(outcome.latency_ms)
                elif isinstance(outcome, Failure):
                    print(f"{runtime}: {outcome.stage}: {outcome.message}", flush=True)
    return np.array([row for row in found if len(row) == len(asked.runtimes)])


def swapped(ms: np.ndarray) -> float:
    """The share of pairs that are apart and that the two order differently."""
    pairs = [np.log(one / other) for one, other in combinations(ms, 2)]
    apart = [pair for pair in pairs if np.abs(pair).max() > APART]
    return float(np.mean([pair[0] * pair[1] < 0 for pair in apart])) if apart else 0.0


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+")
    parser.add_argument("--runtimes", nargs=2, default=["onnxrt", "ncnn"])
    parser.add_argument("--candidates", type=int, default=24)
    parser.add_argument("--input", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="fp32", help="of what is not ONNX Runtime")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(HEAD, flush=True)
    for model in asked.models:
        subject = tabled_network(model, (), parse_shapes(asked.input))
        with running() as board:
            board.place(subject.base.onnx, subject.base.plan)
            ms = times(board, subject.base, asked)
        if len(ms) < 2:
            print(f"| {subject.name} | {len(ms)} |" + " |" * 6, flush=True)
            continue
        ratios = ms[:, 1] / ms[:, 0]
        print(
            f"| {subject.name} | {len(ms)} | {ms[0, 0]:.3g}, {ms[0, 1]:.3g} | {ratios[0]:.2f} | "
            f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}) | "
            f"{spearmanr(ms[:, 0], ms[:, 1]).statistic:.3f} | "
            f"{kendalltau(ms[:, 0], ms[:, 1]).statistic:.3f} | {swapped(ms):.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
