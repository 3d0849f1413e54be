"""A search under a latency budget whose board is a real GPU; without Ray, so without the policy.

Once, where all of hwprune is installed, a trained network and its images become two files:

    python -m tests.benchmarks.bench_gpu_search FOLDER --prepare ROOT --weights FILE

(ROOT holds cifar-10-batches-py, FILE is akamaster's resnet56-4bfd9763.th)

and then, where the GPU is, with torch, numpy, onnx and this checkout alone:

    python -m tests.benchmarks.bench_gpu_search FOLDER [--at-most 0.6] [--evaluations 60]

Everything is the real thing but the farm: cuts, readings through a session with a supervisor,
scoring with re-calibration (on the CPU: the GPU is the board's), ranking, and the search methods.
"""

from __future__ import annotations

import argparse
import os
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwprune.board import Board, this_machine
from hwprune.candidate import Candidate, GroupChoice, SearchSpace
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.evaluation import Evaluation, best_of, failed
from hwprune.farm.session import BoardSession
from hwprune.futures import joined
from hwprune.network.execution import EXACT
from hwprune.network.scorer import Scorer
from hwprune.saliency.ranking import Ranking, rank
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune.search.problem import SearchProblem
from hwprune.task.data import Data, load_data
from hwprune.task.kinds import classification
from hwprune.task.task import Part
from hwprune.task.tensors import as_tensors
from hwprune.width_limit import group_choices
from hwprune_device.job import CandidateJob, Job, Protocol, Target
from hwprune_device.reading import Failure, Reading

LABEL = "latency_ms"
QUICK = Protocol(rounds=12, max_rounds=12, timeout_s=120.0)
FRESH = Protocol(rounds=20, max_rounds=40, timeout_s=120.0)
PARTS: dict[Part, int] = {"calibration": 250, "heldout": 1000}
"""Images that are taken along, by what they are for."""
_NETWORK, _IMAGES = "network.onnx", "images.npz"


def prepare(folder: Path, root: Path, weights: Path) -> None:
    """A ResNet-56 for CIFAR-10 with its weights, and the images that score it."""
    from hwprune.network.graph_source import load_graph

    source = load_graph(
        "hwprune.network.zoo:cifar_resnet56",
        shapes=((1, 3, 32, 32),),
        weights=weights,
    )
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    data = load_data(
        "torchvision:CIFAR10", root=str(root), heldout=PARTS["heldout"], mean=mean, std=std
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _NETWORK).write_bytes(source.onnx)
    kept: dict[str, np.ndarray] = {}
    for part, count in PARTS.items():
        (images,), labels = next(iter(data.part(part).pairs(count)))
        kept |= {part: images.half().numpy(), f"{part} labels": labels.numpy()}
    np.savez_compressed(folder / _IMAGES, **kept)


class Bench:
    """A board that measures and a scorer, behind the one callable that a search sees."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        self.base = make_base((folder / _NETWORK).read_bytes())
        self._board = gpu_board(given)
        # The core that launches kernels is the board's alone.
        os.sched_setaffinity(0, os.sched_getaffinity(0) - set(self._board.cores))
        self.session = BoardSession(self._board)
        self.session.open()
        self._scorer, self.ranking = scorer(self.base, folder)
        self._measuring, self._scoring = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self.spent = {"board": 0.0, "scoring": 0.0}
        self.limit_ms = 0.0
        (unpruned,) = self.measure([], FRESH)
        assert isinstance(unpruned, Reading), unpruned
        self.unpruned = unpruned
        self.limit_ms = given.at_most * unpruned.latency_ms

    def measure(
        self, candidates: Sequence[Candidate], protocol: Protocol = QUICK
    ) -> list[Reading | Failure]:
        """One batch in a fresh child; without candidates of the unpruned network itself."""
        base, began = self.base, time.monotonic()
        work = tuple(
            CandidateJob(architecture=base.architecture_of(c.widths), widths=c.widths)
            for c in candidates
        )
        job = Job(
            job_id=uuid.uuid4().hex,
            base_id=base.base_id,
            base_architecture=base.architecture,
            base_widths=base.widths,
            target=self._board.target,
            protocol=protocol,
            candidates=work,
            base_nominal_ms=self.unpruned.latency_ms if candidates else None,
        )
        outcomes = list(self.session.measure(job, base).outcomes)
        self.spent["board"] += time.monotonic() - began
        return outcomes

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Future[Evaluation]]:
        """Start scoring and measuring, side by side."""
        batch = self._measuring.submit(self.measure, candidates)
        scores = [self._scoring.submit(self.score, candidate) for candidate in candidates]
        return [
            joined([score, batch], partial(self._evaluation, candidate, index))
            for index, (candidate, score) in enumerate(zip(candidates, scores, strict=True))
        ]

    def score(self, candidate: Candidate) -> float:
        """Accuracy on the held-out images, 0..1."""
        began = time.monotonic()
        found = self._scorer({"widths": candidate.widths})["value"]
        self.spent["scoring"] += time.monotonic() - began
        return float(found)

    def close(self) -> None:
        self._measuring.shutdown()
        self._scoring.shutdown()
        self.session.close()

    def _evaluation(
        self, candidate: Candidate, index: int, score: float, batch: list[Reading | Failure]
    ) -> Evaluation:
        outcome = batch[index]
        if isinstance(outcome, Failure):
            return failed(candidate, outcome)
        return Evaluation(
            candidate=candidate,
            score=score,
            quality=score,
            excess={LABEL: outcome.latency_ms / self.limit_ms - 1},
            costs={LABEL: outcome.latency_ms},
        )


def gpu_board(given: argparse.Namespace) -> Board:
    """This machine's GPU; on the CPU, to try the script out where there is none."""
    options: dict[str, Any] = {"device": given.device, "channels_last": True}
    if given.device == "cuda":
        options |= {"mode": "cuda_graph", "latency": "device"}
    precision = "fp16" if given.device == "cuda" else "fp32"
    target = Target(runtime="torch", precision=precision, batch=given.batch, options=options)
    return replace(this_machine(), name="gpu", target=target)


def scorer(base: BaseNetwork, folder: Path) -> tuple[Scorer, Ranking]:
    """What scores candidates, and the ranking of channels that cuts follow."""
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0))))
    found = np.load(folder / _IMAGES)
    data = Data(
        name="images",
        parts={part: as_tensors(found[part], found[f"{part} labels"]) for part in PARTS},
        content_hash="",
        classes=10,
    )
    ranking, task = rank(base, None, "l1"), classification(data)
    return Scorer(base.onnx, base.plan, ranking.order, task=task, execution=EXACT), ranking


def problem_of(bench: Bench, evaluations: int) -> SearchProblem:
    """The problem that every method gets."""
    base, model = bench.base, bench.base.cost_model
    groups = tuple(
        GroupChoice(
            name=g.name,
            width=g.width,
            choices=group_choices(g, multiple_of=4, min_keep=0.25, limits={}),
        )
        for g in base.plan.groups
    )
    space = SearchSpace(groups=groups)
    whole = model.macs(base.widths)
    return SearchProblem(
        space=space,
        features=model.features(),
        layers=model.layers(),
        harm=bench.ranking.harm(groups),
        constraints=(LABEL,),
        evaluate=bench.evaluate,
        estimate=lambda widths: model.macs(widths) / whole,
        evaluations=evaluations,
        seed=0,
        base_quality=bench.score(space.unpruned),
    )


def contest(bench: Bench, problem: SearchProblem, methods: Sequence[str]) -> None:
    """Let methods search; the best of each is read once more in a fresh batch."""
    for method in methods:
        evaluator = Evaluator(problem, method)
        began = time.monotonic()
        METHODS[method](evaluator)
        seconds = time.monotonic() - began
        done = evaluator.evaluations
        failed = [e.failure for e in done if e.failure is not None]
        best = best_of(done)
        print(
            f"{method}: {len(done)} evaluations in {seconds:.0f} s, {len(failed)} failed", end=""
        )
        if best is None:
            print("; nothing keeps the budget", failed[:1])
            continue
        (fresh,) = bench.measure([best.candidate], FRESH)
        assert isinstance(fresh, Reading), fresh
        kept = "kept" if fresh.latency_ms <= bench.limit_ms else "MISSED"
        macs = problem.estimate(best.candidate.widths)
        print(
            f"; best {best.quality:.2%} at {best.costs[LABEL]:.4f} ms, fresh reading "
            f"{fresh.latency_ms:.4f} ms ({fresh.low_ms:.4f} to {fresh.high_ms:.4f}): {kept}; "
            f"{macs:.0%} of MACs; {len(fresh.doubts)} doubts {list(fresh.doubts)}",
            flush=True,
        )


def main() -> None:
    """Prepare, or search and print what each method found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prepare", type=Path, metavar="ROOT")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--at-most", type=float, default=0.6, help="of the unpruned latency")
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--methods", nargs="+", default=["random", "uniform"])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    given = parser.parse_args()
    if given.prepare:
        prepare(given.folder, given.prepare, given.weights)
        return
    bench = Bench(given.folder, given)
    try:
        problem = problem_of(bench, given.evaluations)
        told = bench.unpruned
        print(
            f"unpruned: {problem.base_quality:.2%}, {told.latency_ms:.4f} ms for a batch of "
            f"{given.batch} ({told.clock} clock), at most {bench.limit_ms:.4f} ms; "
            f"{len(problem.space.groups)} groups; {told.conditions.get('torch_device')}",
            flush=True,
        )
        contest(bench, problem, given.methods)
        print({name: round(seconds, 1) for name, seconds in bench.spent.items()}, "seconds")
    finally:
        bench.close()


if __name__ == "__main__":
    main()
