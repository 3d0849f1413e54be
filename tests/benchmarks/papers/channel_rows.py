"""Rows of methods that remove channels: "sensitive+ddpg" in both readings, and what stands by."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import torch

from hwprune.candidate import Candidate, GroupChoice, SearchSpace
from hwprune.channels.base import BaseNetwork
from hwprune.evaluation import Evaluation, best_of
from hwprune.futures import done
from hwprune.network.execution import lay_out
from hwprune.network.graph_module import to_module
from hwprune.network.recalibration import batches_of, recalibrate
from hwprune.pipeline.sensitive_layers import set_apart
from hwprune.saliency.ranking import Ranking, rank
from hwprune.search.evaluator import Evaluator
from hwprune.search.methods import METHODS
from hwprune.search.problem import SearchProblem
from hwprune.search_settings import SearchSettings
from hwprune.task.items import calibration_of
from hwprune.task.kinds import classification
from hwprune.width_limit import group_choices
from hwprune_device.cut import Cutter
from tests.benchmarks.papers.mask_rows import TUNE_STEPS, Work
from tests.benchmarks.papers.masked import BATCH, LR
from tests.benchmarks.papers.row import Row, filter_sparsity, removed, timed

EVALUATIONS = 800
"""Episodes of AMC."""
LEAST = 40


def channel_row(
    name: str, method: str, base: BaseNetwork, share: float, work: Work, cache: Path
) -> Row:
    """One of `sensitive+ddpg rank`, `sensitive+ddpg protect`, or any method of a search by name.

    Args:
        share: of the multiply-accumulates that may stay.
    """
    by, _, sensitive = method.partition(" ")
    problem, cutting = _problem(base, share, sensitive or "off", work, cache)
    work.progress.begin(f"{method}: search", problem.evaluations)
    evaluator = Evaluator(problem, by, work.progress)
    METHODS[by](evaluator)
    best = best_of(evaluator.evaluations)
    work.progress.end(evaluator.note)
    widths = problem.space.smallest.widths if best is None else best.candidate.widths
    module = cutting.module(widths)
    images = work.images
    before = images.accuracy(module, images.test)
    steps = max(1, round(TUNE_STEPS * work.effort.tuning))
    work.progress.begin(f"{method}: fine-tune", steps)
    tuned = images.fit(
        module,
        torch.optim.Adam(module.parameters(), lr=LR),
        steps,
        batch=BATCH,
        until_s=work.until_s,
        on_step=work.progress.advance,
    )
    after = images.accuracy(module, images.test)
    work.progress.end(f"test {before:.2%}, after fine-tuning {after:.2%}")
    return Row(
        network=name,
        method=method,
        mask_sparsity=filter_sparsity(base, widths),
        before=before,
        after=after,
        cut=after,
        episodes=len(evaluator.evaluations),
        tuned_steps=tuned,
        note="nothing within the budget but the smallest" if best is None else evaluator.note,
        seconds=time.monotonic() - work.began_s,
        **removed(base, widths),
        **timed(work.board, base, widths, work.readings),
    )


class Cutting:
    """Candidates of a base network on the device that computes."""

    def __init__(self, base: BaseNetwork, ranking: Ranking, work: Work) -> None:
        self._ranking = ranking
        self._cutter = Cutter(base.onnx, base.plan)
        self._images = work.images
        task = classification(work.images.data)
        self._calibration = [
            tuple(values.to(work.images.execution.device) for values in batch)
            for batch in batches_of(calibration_of(task))
        ]

    def module(self, widths: Sequence[int]) -> torch.nn.Module:
        """Cut and re-calibrated."""
        module = to_module(self._cutter.cut(self._ranking.keep(widths)))
        lay_out(module.to(self._images.execution.device))
        with self._images.autocast():
            recalibrate(module, self._calibration)
        return module

    def score(self, widths: Sequence[int]) -> float:
        """Accuracy on held-out images right after the cut."""
        return self._images.accuracy(self.module(widths), self._images.heldout)


def _space(
    base: BaseNetwork, sensitive: str, work: Work, cache: Path
) -> tuple[SearchSpace, Ranking]:
    """As a deployment has it by default, channels by the l1 norm as AMC ranks them."""
    task = classification(work.images.data)
    settings = SearchSettings(sensitive=sensitive, saliency="l1")  # type: ignore[arg-type]
    groups = tuple(
        GroupChoice(
            name=group.name,
            width=group.width,
            choices=group_choices(
                group, multiple_of=settings.multiple_of, min_keep=settings.min_keep, limits={}
            ),
        )
        for group in base.plan.groups
    )
    return set_apart(
        settings,
        base,
        task,
        SearchSpace(groups=groups),
        rank(base, task, settings.saliency),
        cache=cache,
        progress=work.progress,
    )


def _problem(
    base: BaseNetwork, share: float, sensitive: str, work: Work, cache: Path
) -> tuple[SearchProblem, Cutting]:
    """Multiply-accumulates as the cost, as both papers and AMC have it."""
    space, ranking = _space(base, sensitive, work, cache)
    cutting = Cutting(base, ranking, work)
    model = base.cost_model
    whole = model.macs(base.widths)

    def evaluate(
        candidates: Sequence[Candidate], *, learning: bool = True
    ) -> list[Future[Evaluation]]:
        return [done(_evaluation(c)) for c in candidates]

    def _evaluation(candidate: Candidate) -> Evaluation:
        score, macs = cutting.score(candidate.widths), model.macs(candidate.widths)
        return Evaluation(
            candidate=candidate,
            score=score,
            quality=score,
            excess={"macs": macs / (share * whole) - 1},
            costs={"macs": float(macs)},
        )

    base_quality, began_s = cutting.score(base.widths), time.monotonic()
    cutting.score(base.widths)  # the first one sets things up
    each_s = time.monotonic() - began_s
    problem = SearchProblem(
        space=space,
        features=model.features(),
        layers=model.layers(),
        harm=ranking.harm(space.groups),
        constraints=("macs",),
        evaluate=evaluate,
        estimate=lambda widths: model.macs(widths) / whole,
        evaluations=_allowance(work, each_s),
        seed=work.seed,
        base_quality=base_quality,
        until_s=work.searched_s,
    )
    return problem, cutting


def _allowance(work: Work, each_s: float) -> int:
    """Evaluations as asked for, or as many as the time is enough for."""
    wanted = max(LEAST, round(EVALUATIONS * work.effort.episodes))
    if work.until_s == math.inf:
        return wanted
    return max(1, min(wanted, int((work.searched_s - time.monotonic()) / each_s)))
