"""Which channels stay, at widths that are given: orders, an agent, and what stands against it.

    pip install -r tests/benchmarks/peers-requirements.txt
    HWPRUNE_DATA=… python -m tests.benchmarks.bench_channels --out FILE.jsonl [--seeds 5]
        [--networks resnet20 resnet56] [--macs 0.5] [--scorings 100] [--processes 2]
        [--set section.key=value]
    python -m tests.benchmarks.bench_channels --read FILE.jsonl

Widths are those of the uniform cut to `--macs`, or of `--widths`, a candidate's as a list. They do
not change, so neither does the architecture nor what a board takes. Every chooser has as many
scorings, of a share of the held-out images right after the cut; gates have the time that these
would take. The choice that scored best is fine-tuned by the deployment's recipe, which is what
decides. A row of the file is a chooser and a seed, so a killed run goes on.

| chooser | is |
|---|---|
| saliency | the deployment's own criterion; one scoring |
| best criterion | the best of all criteria's own orders |
| mixture | CMA-ES over a weight for each criterion |
| fg | the fine-grained agent of arXiv 2110.08558 |
| fg from saliency | the same, its numbers added to the own criterion's |
| gates | gates learned by gradient on training images, from the own criterion |
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwprune.finetune.trainer import train
from hwprune.network.execution import EXACT
from hwprune.network.graph_module import to_module
from hwprune.pipeline.prepare import Prepared
from hwprune.progress import Progress
from hwprune.report.progress import shown
from hwprune.task.scoring import score_of
from tests.benchmarks.bench_search import mean_and_error
from tests.benchmarks.channels.choosers import CHOOSERS, Question, choose
from tests.benchmarks.channels.scored import Keep, Scored
from tests.benchmarks.networks import COMPARED, WEIGHTS, prepared_once
from tests.benchmarks.row_file import add_row, rows_in, rows_made


def uniform_widths(prepared: Prepared, share: float) -> tuple[int, ...]:
    """Of the widest uniform cut with at most this share of the multiply-accumulates."""
    model, space = prepared.base.cost_model, prepared.space
    whole = model.macs(prepared.base.widths)
    cuts = [space.uniform(keep).widths for keep in np.linspace(1, 0, 201)]
    return next(widths for widths in cuts if model.macs(widths) <= share * whole)


def tuned(prepared: Prepared, scored: Scored, keep: Keep, folder: Path, seed: int) -> float:
    """Test score after the deployment's fine-tuning."""
    module, recipe = to_module(scored.cut(keep)), prepared.deployment.finetune
    teacher = to_module(prepared.base.onnx)
    train(module, prepared.task, replace(recipe, seed=seed), folder=folder, teacher=teacher)
    return score_of(prepared.task, EXACT.run(EXACT.place(module)), "test").value


def row_of(network: str, chooser: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """A row of the file."""
    torch.set_num_threads(1)
    prepared = prepared_once(network, tuple(given.set))
    widths = given.widths or uniform_widths(prepared, given.macs)
    scored = Scored(prepared, widths, share=given.share, allowed=given.scorings)
    cache = given.out.with_suffix(f".{network}")
    began = time.monotonic()
    question = Question(prepared=prepared, scored=scored, seed=seed, cache=cache)
    keep = choose(chooser, question)
    assert scored.best is not None
    row = {
        "network": network,
        "chooser": chooser,
        "seed": seed,
        "widths": list(widths),
        "heldout": scored.best[0],
        "scorings": scored.asked,
        "seconds": time.monotonic() - began,
        "final": scored.score(keep, "final"),
    }
    folder = cache / "tuning" / f"{chooser} {seed}"
    return row | {"test": tuned(prepared, scored, keep, folder, seed)}


def run(given: argparse.Namespace, progress: Progress) -> None:
    """Make the rows that are not in the file yet."""
    done = {(row["network"], row["chooser"], row["seed"]) for row in rows_in(given.out)}
    trials = [
        (network, chooser, seed, given)
        for network in given.networks
        for seed in range(given.seeds)
        for chooser in given.choosers
        if (network, chooser, seed) not in done
    ]
    progress.begin("choose channels and fine-tune", len(trials))
    for row in rows_made(row_of, trials, processes=given.processes):
        add_row(given.out, row)
        note = f"{row['network']} {row['chooser']}: {row['final']:.2%}"
        progress.advance(note=f"{note}, tuned {row['test']:.2%}")
    progress.end()


def read(out: Path) -> None:
    """Print means with standard errors, and paired differences to the saliency's order."""
    found: dict[tuple[str, str], dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in rows_in(out):
        found[row["network"], row["chooser"]][row["seed"]] = row
    print(
        "| network | chooser | n | held out | final part | after fine-tuning | less saliency's |"
    )
    print("|---|---|---|---|---|---|---|")
    for (network, chooser), rows in found.items():
        cells = [
            mean_and_error(100 * np.array([row[key] for row in rows.values()]))
            for key in ("heldout", "final", "test")
        ]
        plain = found.get((network, "saliency"), {})
        pairs = [100 * (row["test"] - plain[s]["test"]) for s, row in rows.items() if s in plain]
        less = mean_and_error(np.array(pairs)) if pairs and chooser != "saliency" else ""
        print(f"| {network} | {chooser} | {len(rows)} | {' | '.join(cells)} | {less} |")


def main() -> None:
    """Make rows, or read them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path)
    parser.add_argument("--networks", nargs="+", default=COMPARED, choices=list(WEIGHTS))
    parser.add_argument("--choosers", nargs="+", default=list(CHOOSERS), choices=list(CHOOSERS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--macs", type=float, default=0.5)
    parser.add_argument("--widths", type=json.loads, help="such as [16, 32, 64]")
    parser.add_argument("--scorings", type=int, default=100)
    parser.add_argument("--share", type=float, default=0.5, help="of the held-out images")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    if not given.read:
        with shown() as progress:
            run(given, progress)
    read(given.read or given.out)


if __name__ == "__main__":
    main()
