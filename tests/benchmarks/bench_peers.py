"""Peers at equal measured latency: Torch-Pruning's global ranking beside hwprune's own methods.

    pip install -r tests/benchmarks/peers-requirements.txt
    HWPRUNE_DATA=… python -m tests.benchmarks.bench_peers find FOLDER [--seeds 3]
        [--networks resnet20 resnet56] [--budgets 0.5 0.35] [--methods …] [--evaluations 100]
        [--set section.key=value]
    HWPRUNE_DATA=… python -m tests.benchmarks.bench_peers tune FOLDER [--processes 2]
        [--networks …] [--set section.key=value]
    python -m tests.benchmarks.bench_peers read FOLDER

Every method has the same board, this machine's, and the same limit, a share of the unpruned
network's measured latency. What it finds is read again; `tune` fine-tunes it by the deployment's
recipe.

| method | is |
|---|---|
| uniform | the widest uniform cut that keeps the limit |
| sensitivity, model, policy, policy+model, … | hwprune's, each with so many evaluations |
| model by score | "model", with the score right after the cut in the promise's place |
| tp l2, tp taylor | Torch-Pruning's global ranking, its pruning ratio bisected to the limit |
| tp l2 isomorphic, tp taylor isomorphic | the same, a ranking for each set of like groups |

Torch-Pruning chooses its channels by its own scores, the others by the deployment's criterion. A
row is a method, a budget and a seed, so a killed run goes on. What `find` reads is only worth
something on a machine that does nothing else; `tune` reads no time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch

from hwprune.candidate import Candidate
from hwprune.evaluation import Evaluation, best_of
from hwprune.finetune.trainer import train
from hwprune.network.execution import EXACT
from hwprune.network.graph_module import to_module
from hwprune.pipeline.open_bench import open_bench
from hwprune.pipeline.prepare import Prepared
from hwprune.pipeline.searched import search
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Progress, Silent
from hwprune.report.progress import shown
from hwprune.run_folder import RunFolder
from hwprune.task.scoring import score_of
from hwprune_device.reading import Reading
from tests.benchmarks.channels.scored import Scored
from tests.benchmarks.networks import (
    COMPARED,
    NETWORKS,
    deployment_of,
    prepared_of,
    prepared_once,
)
from tests.benchmarks.peers.global_ranking import GlobalRanking, Keep
from tests.benchmarks.peers.tables import print_methods, print_rewards
from tests.benchmarks.row_file import add_row, rows_in, rows_made

BY_SCORE = "by score"
METHODS = (
    "uniform",
    "sensitivity",
    "model",
    f"model {BY_SCORE}",
    "policy",
    "policy+model",
    "tp l2",
    "tp l2 isomorphic",
    "tp taylor",
    "tp taylor isomorphic",
)
FOUND, TUNED = "found.jsonl", "tuned.jsonl"
BISECTIONS = 9
NEIGHBOURS = 3
"""Ratios tried below the one that bisection found: latency is not monotone in it."""
STEP = 0.01
READINGS = 3


def named(row: Mapping[str, Any]) -> str:
    """Which row it is."""
    return f"{row['network']} {row['budget']:g} {row['seed']} {row['method']}"


def bisected(bench: Workbench, ranking: GlobalRanking) -> tuple[Evaluation, int]:
    """The least pruning ratio whose network is measured to keep the limit, and the readings."""
    low, high, asked = 0.0, 1.0, 0
    kept: list[tuple[float, Evaluation]] = []
    known: dict[Candidate, Evaluation] = {}

    def keeps(ratio: float) -> bool:
        candidate = ranking.candidate(ratio)
        if candidate not in known:
            (future,) = bench.evaluate([candidate], learning=False)
            known[candidate] = future.result()
        found = known[candidate]
        if found.feasible:
            kept.append((ratio, found))
        return found.feasible

    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if keeps(middle):
            high = middle
        else:
            low = middle
    for number in range(1, NEIGHBOURS + 1):
        keeps(max(0.0, low - number * STEP))
    asked = len(known)
    if not kept:
        keeps(1.0)
    return min(kept, key=lambda pair: pair[0])[1], asked


def found_by(
    method: str, bench: Workbench, prepared: Prepared, seed: int
) -> tuple[Candidate, Keep, int]:
    """What a method delivers: widths, channels, and how many candidates it had evaluated."""
    kind, *words = method.split()
    if kind == "tp":
        isomorphic = "isomorphic" in words
        ranking = GlobalRanking(prepared, words[0], isomorphic=isomorphic, seed=seed)
        bench.refer_to_unpruned()
        found, asked = bisected(bench, ranking)
        return found.candidate, ranking.keep(found.candidate), asked
    (searched,) = search(bench, Silent()).searches
    best = best_of(list(searched.evaluations))
    candidate = prepared.space.smallest if best is None else best.candidate
    return candidate, prepared.ranking.keep(candidate.widths), len(searched.evaluations)


def found_row(
    prepared: Prepared, place: dict[str, Any], folder: Path, given: argparse.Namespace
) -> dict[str, Any]:
    """A row of the file; `place` is its network, budget, method and seed."""
    began, method, seed = time.monotonic(), place["method"], place["seed"]
    name = method.split()[0] if method.split()[0] != "tp" else "uniform"
    changes = [
        *given.set,
        f"budget.latency_ms={100 * place['budget']:g} %",
        f"search.methods=['{name}']",
        f"search.seed={seed}",
        f"search.evaluations={given.evaluations}",
    ]
    here = replace(prepared, deployment=deployment_of(place["network"], changes))
    run = RunFolder.open(folder / "run", {}, resume=(folder / "run").exists())
    try:
        with open_bench(here, run) as bench, pytest.MonkeyPatch.context() as patch:
            if method.endswith(BY_SCORE):
                patch.setattr("hwprune.pipeline.scoring.promise", lambda quality, *_: quality)
            bench.bound(Silent())
            candidate, keep, asked = found_by(method, bench, here, seed)
            timed = _read(bench, candidate)
            unpruned = bench.base_score
    finally:
        run.close()
    model, full = here.base.cost_model, here.base.widths
    return (
        place
        | timed
        | {
            "macs": model.macs(candidate.widths) / model.macs(full),
            "params": model.params(candidate.widths) / model.params(full),
            "widths": list(candidate.widths),
            "keep": [units.tolist() for units in keep],
            "unpruned": unpruned,
            "evaluations": asked,
            "seconds": time.monotonic() - began,
        }
    )


def tuned_row(found: dict[str, Any], folder: Path, changes: Sequence[str]) -> dict[str, Any]:
    """A found row with its scores before and after fine-tuning."""
    torch.set_num_threads(1)
    began = time.monotonic()
    prepared = prepared_once(found["network"], tuple(changes), folder / found["network"])
    recipe = replace(prepared.deployment.finetune, seed=found["seed"])
    keep = [np.array(units) for units in found["keep"]]
    scored = Scored(prepared, found["widths"], share=1.0, allowed=0)
    module, teacher = to_module(scored.cut(keep)), to_module(prepared.base.onnx)
    scores = {"before": scored.score(keep, "final")}
    tuning = folder / named(found) / "tuning"
    train(module, prepared.task, recipe, folder=tuning, teacher=teacher)
    scores["test"] = score_of(prepared.task, EXACT.run(EXACT.place(module)), "test").value
    return found | scores | {"tuning_s": time.monotonic() - began}


def _read(bench: Workbench, candidate: Candidate) -> dict[str, Any]:
    """Fresh readings of what was found."""
    farm = bench.fleet.farms[bench.prepared.kinds[0]]
    found = farm.remeasure(candidate, READINGS)
    readings = [one for one in found if isinstance(one, Reading)]
    (limit,) = bench.limits.values()
    return {
        "latency_ms": median(one.latency_ms for one in readings) if readings else None,
        "limit_ms": limit.at_most,
        "doubts": sum(len(one.doubts) for one in readings),
    }


def find(given: argparse.Namespace, progress: Progress) -> None:
    """Find what is not in the folder yet."""
    done = {named(row) for row in rows_in(given.folder / FOUND)}
    each = product(given.networks, range(given.seeds), given.budgets, given.methods)
    keys = ("network", "seed", "budget", "method")
    places = [dict(zip(keys, values, strict=True)) for values in each]
    progress.begin("peers at equal latency", len(places))
    prepared: dict[str, Prepared] = {}
    for place in places:
        if named(place) in done:
            progress.skip(1)
            continue
        network = place["network"]
        if network not in prepared:
            settings = deployment_of(network, given.set)
            prepared[network] = prepared_of(settings, given.folder / network, Silent())
        row = found_row(prepared[network], place, given.folder / named(place), given)
        add_row(given.folder / FOUND, row)
        progress.advance(note=f"{named(place)}: {row['macs']:.1%} of MACs")
    progress.end()


def tune(given: argparse.Namespace, progress: Progress) -> None:
    """Fine-tune what was found and is not tuned yet."""
    done = {named(row) for row in rows_in(given.folder / TUNED)}
    found = [row for row in rows_in(given.folder / FOUND) if row["network"] in given.networks]
    left = [(row, given.folder, given.set) for row in found if named(row) not in done]
    progress.begin("fine-tune", len(left))
    for row in rows_made(tuned_row, left, processes=given.processes):
        add_row(given.folder / TUNED, row)
        progress.advance(note=f"{named(row)}: {row['before']:.1%}, then {row['test']:.2%}")
    progress.end()


def main() -> None:
    """Find, tune or read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["find", "tune", "read"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", nargs="+", default=COMPARED, choices=NETWORKS)
    parser.add_argument("--budgets", nargs="+", type=float, default=[0.5, 0.35])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if given.step != "read":
        with shown() as progress:
            find(given, progress) if given.step == "find" else tune(given, progress)
    if given.step != "find":
        rows = list(rows_in(given.folder / TUNED))
        print_methods(rows)
        print_rewards(rows)


if __name__ == "__main__":
    main()
