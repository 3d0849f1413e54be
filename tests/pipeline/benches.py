"""Workbenches over simulated farms: the pipeline's own decisions, in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hwprune.board import Board, this_machine
from hwprune.budget_settings import parse_budgets
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.deployment import Deployment, NetworkSettings
from hwprune.farm.fleet import Fleet
from hwprune.metric import Metric
from hwprune.network.trace import trace
from hwprune.pipeline.contest import hold
from hwprune.pipeline.delivery import deliver
from hwprune.pipeline.evidence import gather, result_of
from hwprune.pipeline.head import Head, scorer_pool
from hwprune.pipeline.open_bench import scoring_of
from hwprune.pipeline.prepare import Prepared, prepare, search_space
from hwprune.pipeline.scoring import Scoring
from hwprune.pipeline.searched import search
from hwprune.pipeline.supplies import Given, look_up
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Silent
from hwprune.report.result import Result
from hwprune.run_folder import RunFolder
from hwprune.saliency.ranking import rank
from hwprune.search_settings import SearchSettings
from hwprune.task.task import Task
from hwprune.workers.pool import WorkerPool
from hwprune.workers.worker import LocalWorker
from tests.doubles.simulated_farm import SimulatedFarm, Staircase

Score = Callable[[tuple[int, ...]], float]


@cache
def base() -> BaseNetwork:
    """Three convolutions in a row, 32 channels each."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before in (1, 32, 32):
        layers += [nn.Conv2d(before, 32, 3, padding=1), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4))
    return make_base(trace(net.eval(), torch.zeros(1, 1, 8, 8)))


def farm(**keys: Any) -> SimulatedFarm:
    """Boards on which four channels are a step."""
    return SimulatedFarm(model=Staircase(block=4, overhead_ms=0.02, block_ms=0.005), **keys)


def wider_is_better(widths: tuple[int, ...]) -> float:
    """A score that every channel adds to."""
    return 0.5 + 0.4 * sum(widths) / 96


class Scores:
    """In the place of a scorer: hits of a known share, item by item, as a real one gives them."""

    def __init__(self, score: Score, items: int = 800) -> None:
        self.score = score
        self.items = items
        self.asked: list[tuple[tuple[int, ...], float]] = []

    def __call__(self, request: Mapping[str, Any], progress: object) -> dict[str, Any]:
        """The share of items whose difficulty, always the same, is below the score."""
        widths = tuple(request["widths"])
        self.asked.append((widths, request["share"]))
        hard = np.random.default_rng(0).random(self.items)[: round(request["share"] * self.items)]
        hits = (hard < self.score(widths)).astype(np.float32)
        return {"value": float(hits.mean()), "others": {}, "items": hits, "seconds": 0.001}


def make_bench(
    tmp_path: Path,
    *,
    farms: Mapping[str, SimulatedFarm] | None = None,
    scores: Scores | None = None,
    budget: Any = None,
    shares: bool = True,
    **search: Any,
) -> Workbench:
    """A workbench whose boards and scorers answer at once."""
    farms = farms or {"here": farm()}
    boards = tuple(_board(kind) for kind in farms)
    deployment = Deployment(
        name="simulated",
        network=NetworkSettings(source="simulated", trained=True),
        boards=(),
        budgets=parse_budgets(budget or {"latency_ms": "50 %"}),
        search=SearchSettings(
            **{"evaluations": 12, "methods": ("random", "uniform"), "finalists": 2, **search}
        ),
        certificate_readings=3,
    )
    task = Task(
        inputs=lambda part, count: [torch.zeros(2, 1, 8, 8)],
        score=lambda run, part, share: 0.0,
        metric=Metric(name="accuracy"),
        output_kinds=("classes",),
    )
    prepared = Prepared(
        deployment=deployment,
        boards=boards,
        task=task,
        base=base(),
        ranking=rank(base(), None, "l1"),
        space=search_space(deployment, base()),
    )
    folder = RunFolder.open(tmp_path / "run", {}, resume=(tmp_path / "run").exists())
    for boards_of_kind in farms.values():
        boards_of_kind.place(base())
    work = scores or Scores(wider_is_better)
    pool = WorkerPool([LocalWorker(lambda: work)])
    return Workbench(
        prepared,
        folder,
        fleet=Fleet(farms),  # type: ignore[arg-type]
        scoring=Scoring(pool, folder.book, task.metric, shares=shares),
        head=Head(boards),
    )


def _board(kind: str) -> Board:
    return replace(this_machine(), name=kind, kind=kind)


def simulated_run(deployment: Deployment, folder: Path, given: Given | None = None) -> Result:
    """A whole run of the pipeline, real but for its boards: looked up to the last finding."""
    supplies = look_up(deployment, given or Given(board=this_machine()), network=True)
    opened = RunFolder.open(folder, {}, resume=False)
    prepared = prepare(supplies, opened, Silent())
    (kind,) = prepared.kinds
    boards = SimulatedFarm(model=Staircase(block=2, block_ms=0.002))
    boards.place(prepared.base)
    head = Head(prepared.boards)
    # In this process: what starts workers has tests of its own.
    local = replace(prepared, task=replace(prepared.task, remake=None))
    bench = Workbench(
        local,
        opened,
        fleet=Fleet({kind: boards}),  # type: ignore[arg-type]
        scoring=scoring_of(local, opened, scorer_pool(local, head)),
        head=head,
    )
    bench.bound(Silent())
    contest = hold(bench, search(bench, Silent()), Silent())
    delivered = deliver(bench, contest, Silent())
    contest = replace(contest, winner=delivered.winner)
    evidence = gather(bench, contest, delivered, Silent())
    opened.close()
    return result_of(bench, contest, delivered, evidence, commands=(), started_at="", step_s={})
