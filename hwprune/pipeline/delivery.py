"""The delivery: fine-tune the winner, package it, prove that every form of it agrees, have boards
give the engines that they built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwprune.errors import DeliveryError
from hwprune.finetune.finetuner import LOG
from hwprune.pipeline.agreement import agree, board_forms
from hwprune.pipeline.board_form import BoardForm
from hwprune.pipeline.contest import Contest, Finalist
from hwprune.pipeline.cut_network import cut_network
from hwprune.pipeline.engines import deliver_engines
from hwprune.pipeline.head import finetuner_pool
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Progress, SharedProgress
from hwprune.report.agreement import Agreement
from hwprune.report.rows import HWPRUNE, UNIFORM, EngineRow, FinetuneEpoch
from hwprune_device.reading import Failure

if TYPE_CHECKING:
    from hwprune.pipeline.prepare import Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The fine-tuned networks, by the names of the closing table's rows."""

    winner: Finalist
    """What is delivered: the contest's winner, or the uniform cut where that was tuned to more."""
    models: dict[str, bytes]
    """ONNX of each fine-tuned network."""
    curves: tuple[FinetuneEpoch, ...]
    """Of the delivered one."""
    forms: Mapping[str, BoardForm]
    """The delivered one as each kind of board is given it."""
    agreement: Agreement
    engines: tuple[EngineRow, ...] = ()
    doubts: tuple[str, ...] = ()
    """What a reader of the result has to know."""


def deliver(bench: Workbench, contest: Contest, progress: Progress) -> Delivered:
    """Fine-tune the winner and the uniform cut beside it, and package the better of the two.

    Raises:
        DeliveryError: torch, ONNX and the board do not agree on the winner's outputs.
    """
    prepared = bench.prepared
    rivals = {HWPRUNE: contest.winner}
    if contest.uniform is not None and contest.uniform.candidate != contest.winner.candidate:
        rivals[UNIFORM] = contest.uniform
    cuts = {name: cut_network(prepared, finalist.candidate) for name, finalist in rivals.items()}
    models = finetune_side_by_side(bench, cuts, progress)
    tuned = tuned_of(bench, rivals)
    worse = [name for name in rivals if tuned[name].is_worse]
    # A training that failed is no reason to deliver less than what was searched.
    models = models | {name: cuts[name] for name in worse}
    best = best_of(bench, tuned)
    # Of one that is not shown nothing is said: its name is the delivered one's.
    shown = [best] if best == UNIFORM else list(rivals)
    doubts = [f"fine-tuning made {n} worse, so it is as it was cut" for n in worse if n in shown]
    if best == UNIFORM:
        doubts.append(_outdone(bench, contest, tuned))
        models = {HWPRUNE: models[UNIFORM]}
    # Before the comparison, which reads the package as a user will.
    package(bench.folder.path, prepared, rivals[best], models[HWPRUNE])
    forms = board_forms(bench, models[HWPRUNE])
    agreement = agree(bench, models[HWPRUNE], forms)
    return Delivered(
        winner=rivals[best],
        models=models,
        curves=_curves(bench.folder.path / "finetune" / best),
        forms=forms,
        agreement=agreement,
        engines=deliver_engines(bench, forms),
        doubts=tuple(doubts),
    )


def finetune_side_by_side(
    bench: Workbench, cuts: Mapping[str, bytes], progress: Progress
) -> dict[str, bytes]:
    """Fine-tune networks, by name, several at a time; called again it goes on.

    Raises:
        HwpruneError: as a training raised it, or because its process died.
    """
    folder = bench.folder.folder("finetune")
    pool = finetuner_pool(bench.prepared, len(cuts), bench.head)
    together = SharedProgress(progress, "fine-tune", len(cuts))
    try:
        futures = {
            name: pool.submit(
                lambda worker, name=name: worker.call(  # type: ignore[misc]
                    {"folder": str((folder / name).absolute()), "onnx": cuts[name]},
                    together.named(name),
                )
            )
            for name in cuts
        }
        models = {name: future.result() for name, future in futures.items()}
    finally:
        pool.stop()
    for name, model in models.items():
        if isinstance(model, Failure):
            raise DeliveryError(
                f"the network '{name}' could not be fine-tuned",
                given=_last_words(folder / name, model),
                next_step=f"see {folder / name / LOG}; then go on with --resume",
            )
    progress.end(f"{len(models)} networks")
    return models


def _last_words(folder: Path, failure: Failure) -> str:
    """What a training said before it ended."""
    said = failure.message.strip().splitlines()[-1:]
    # A process that died can have said why in its log alone.
    if failure.stage == "lost" and (folder / LOG).is_file():
        said += (folder / LOG).read_text(errors="replace").strip().splitlines()[-3:]
    return " | ".join(said) or failure.stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What fine-tuning made of a finalist."""

    score: float
    """On held-out items, of what would be delivered of it."""
    is_worse: bool
    """Whether it was better before, and would be delivered as it was cut."""


def tuned_of(bench: Workbench, rivals: Mapping[str, Finalist]) -> dict[str, Tuned]:
    """What fine-tuning made of each rival, by name."""
    return {name: _tuned(bench, name, finalist) for name, finalist in rivals.items()}


def best_of(bench: Workbench, tuned: Mapping[str, Tuned]) -> str:
    """The name of the best of networks that all keep the budget; of equal ones the first."""
    choose = max if bench.prepared.task.metric.higher_is_better else min
    return choose(tuned, key=lambda name: tuned[name].score)


def _tuned(bench: Workbench, name: str, finalist: Finalist) -> Tuned:
    from hwprune.finetune.history import read_history

    history = read_history(bench.folder.path / "finetune" / name)
    before = bench.score(finalist.candidate)
    cut = finalist.heldout if isinstance(before, Failure) else before.value
    after = history[-1].score if history else cut
    is_worse = not isinstance(before, Failure) and bench.prepared.task.metric.better(cut, after)
    return Tuned(score=cut if is_worse else after, is_worse=is_worse)


def _outdone(bench: Workbench, contest: Contest, tuned: Mapping[str, Tuned]) -> str:
    text = bench.prepared.task.metric.text
    return (
        f"fine-tuned, the uniform cut scores {text(tuned[UNIFORM].score)} on held-out items and "
        f"what {contest.winner.method} found {text(tuned[HWPRUNE].score)}, so the uniform cut is "
        "delivered"
    )


def package(folder: Path, prepared: Prepared, finalist: Finalist, model: bytes) -> None:
    """Write model.onnx, weights.safetensors and architecture.json into the run folder."""
    from hwprune.network.package import save_package

    keep = prepared.ranking.keep(finalist.candidate.widths)
    save_package(
        folder,
        model=model,
        widths=finalist.candidate.widths,
        keep=keep,
        base=prepared.base,
    )


def _curves(folder: Path) -> tuple[FinetuneEpoch, ...]:
    from hwprune.finetune.history import read_history

    return tuple(
        FinetuneEpoch(epoch=row.epoch, loss=row.loss, score_heldout=row.score)
        for row in read_history(folder)
        if row.loss is not None
    )
