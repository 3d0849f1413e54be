"""Scores of earlier runs: what a cut of the same network scores hangs on no board."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hwprune.candidate import Candidate
from hwprune.errors import DeploymentError
from hwprune.pipeline.workbench import Workbench
from hwprune.progress import Progress
from hwprune.run_book import RunBook
from hwprune.run_folder import kept_settings
from hwprune.search.problem import Scored

PART = "heldout"
_OF_CHANNELS = ("saliency", "sensitive", "sensitive_threshold", "low_rank", "ignore")
"""What of [search] says which channels a width keeps."""
_OF_NO_MATTER = ("root", "workers")
"""What of [data] changes no score."""
_Kept = list[tuple[tuple[int, ...], float]]


def earlier_scores(bench: Workbench, progress: Progress) -> tuple[Scored, ...]:
    """What the runs of `search.begin_from` scored; none of it is scored again.

    The run keeps them, so that one that is resumed does not need the other folders.

    Raises:
        DeploymentError: one is no run folder, or of another network, task, data or saliency.
        RunFolderError: one cannot be read.
    """
    named = bench.prepared.deployment.search.begin_from
    if not named:
        return ()
    kept = bench.folder.step("earlier scores", _Kept)
    if kept is None:
        progress.begin("scores of earlier runs", len(named))
        found: dict[tuple[int, ...], float] = {}
        for folder in named:
            scores = _scores_of(bench, Path(folder).expanduser())
            progress.advance(note=f"{folder}: {len(scores)}")
            found |= scores
        kept = bench.folder.finish("earlier scores", list(found.items()))
        progress.end(f"{len(found)} candidates")
    return tuple(
        Scored(widths=tuple(w), quality=bench.quality(Candidate(widths=tuple(w)), value))
        for w, value in kept
    )


def _scores_of(bench: Workbench, folder: Path) -> dict[tuple[int, ...], float]:
    """By widths; each is in the run's own book as well from here on."""
    _refuse_other(bench, folder)
    choices = [frozenset(group.choices) for group in bench.prepared.space.groups]
    own, book = bench.folder.book, RunBook(folder, read_only=True)
    try:
        _refuse_other_score(bench, folder, book)
        found = {}
        for widths, score in book.scores(PART):
            offered = all(w in group for w, group in zip(widths, choices, strict=True))
            # The ranking says of the widths that are offered what they lose, and of no others.
            if not offered:
                continue
            if own.score(PART, widths) is None:
                own.keep_score(PART, widths, score)
            found[widths] = score.value
        return found
    finally:
        book.close()


def _refuse_other(bench: Workbench, folder: Path) -> None:
    """Refuse a folder whose scores are of other cuts or other data."""
    model = Path("base") / "model.onnx"
    if not (folder / model).is_file():
        raise _other(folder, "no run folder with a traced network is there")
    if (folder / model).read_bytes() != (bench.folder.path / model).read_bytes():
        raise _other(folder, "its network has other layers or other weights")
    then, now = _compared(kept_settings(folder)), _compared(kept_settings(bench.folder.path))
    differ = [f"{k}: {then.get(k)} there, {v} here" for k, v in now.items() if then.get(k) != v]
    if differ:
        raise _other(folder, "; ".join(differ)[:600])


def _compared(settings: dict[str, Any]) -> dict[str, Any]:
    search, data = settings.get("search", {}), settings.get("data", {})
    return {
        **{f"search.{key}": search.get(key) for key in _OF_CHANNELS},
        **{f"data.{key}": value for key, value in data.items() if key not in _OF_NO_MATTER},
        "task": settings.get("task"),
    }


def _refuse_other_score(bench: Workbench, folder: Path, book: RunBook) -> None:
    """Refuse scores that tell something else of the unpruned network: data may have changed."""
    unpruned = bench.prepared.space.unpruned.widths
    then, now = book.score(PART, unpruned), bench.folder.book.score(PART, unpruned)
    if then is None or now is None or math.isclose(then.value, now.value, rel_tol=1e-3):
        return
    raise _other(folder, f"the unpruned network scored {then.value:g} there, {now.value:g} here")


def _other(folder: Path, why: str) -> DeploymentError:
    return DeploymentError(
        f"this search cannot begin from {folder}",
        given=why,
        possible="run folders of the same network with the same weights, task, data and saliency",
        next_step="name the same network.weights in both, or leave it out of search.begin_from",
    )
