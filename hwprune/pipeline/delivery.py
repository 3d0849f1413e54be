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
from hwprune.progress import Progress, SideBySide
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
    worse = [name for name in rivals if _made_worse(bench, name, rivals[name])]
    # A training that failed is no reason to deliver less than what was searched.
    models = models | {name: cuts[name] for name in worse}
    best = best_tuned(bench, rivals)
    doubts = [f"fine-tuning made {name} worse, so it is as it was cut" for name in worse]
    if best == UNIFORM:
        doubts.append(_outdone(bench, rivals))
        models = {HWPRUNE: models[UNIFORM]}
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
    together = SideBySide(progress, "fine-tune", len(cuts))
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
    if failure.stage == "lost" and (folder / LOG).is_file():
        said += (folder / LOG).read_text(errors="replace").strip().splitlines()[-3:]
    return " | ".join(said) or failure.stage


def best_tuned(bench: Workbench, rivals: Mapping[str, Finalist]) -> str:
    """The name of the network that scores best on held-out items once all are fine-tuned.

    Both keep the budget by fresh readings. Of equal ones the first.
    """
    better, best = bench.prepared.task.metric.better, next(iter(rivals))
    for name in rivals:
        if better(
            _tuned_score(bench, name, rivals[name]), _tuned_score(bench, best, rivals[best])
        ):
            best = name
    return best


def _tuned_score(bench: Workbench, name: str, finalist: Finalist) -> float:
    """The held-out score of what would be delivered of it."""
    from hwprune.finetune.history import read_history

    history = read_history(bench.folder.path / "finetune" / name)
    if not history or _made_worse(bench, name, finalist):
        return finalist.heldout
    return history[-1].score


def _outdone(bench: Workbench, rivals: Mapping[str, Finalist]) -> str:
    text = bench.prepared.task.metric.text
    ours, uniform = (text(_tuned_score(bench, n, rivals[n])) for n in (HWPRUNE, UNIFORM))
    method = rivals[HWPRUNE].method
    return (
        f"fine-tuned, the uniform cut scores {uniform} on held-out items and what {method} found "
        f"{ours}, so the uniform cut is delivered"
    )


def _made_worse(bench: Workbench, name: str, finalist: Finalist) -> bool:
    """Whether the held-out score after fine-tuning is worse than that of the cut network."""
    from hwprune.finetune.history import read_history

    before = bench.score(finalist.candidate)
    history = read_history(bench.folder.path / "finetune" / name)
    if not history or isinstance(before, Failure):
        return False
    return bench.prepared.task.metric.better(before.value, history[-1].score)


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
