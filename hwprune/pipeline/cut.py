"""One cut, without a search or a board: a network in, a smaller one and what was done out."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwprune.channels.base import BaseNetwork
from hwprune.errors import InputError, NetworkError
from hwprune.progress import Progress
from hwprune.stored import plain_json, said
from hwprune.width_limit import WidthLimit, group_choices

if TYPE_CHECKING:
    from hwprune.network.gate_record import GateRecord
    from hwprune.network.graph_source import GraphSource
    from hwprune.network.input_shapes import Shapes
    from hwprune.saliency.ranking import Ranking
    from hwprune.task.task import Task

REPORT = "cut.json"
FORMAT = 1
"""Version of cut.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSettings:
    """What to cut, and how far."""

    source: str
    out: Path
    keep: float | None = None
    """Share of every group that stays."""
    widths: Path | None = None
    """A JSON file of widths by group name, instead of a share; what it leaves out stays whole."""
    saliency: str = "l1"
    multiple_of: int = 1
    ignore: tuple[str, ...] = ()
    limits: Mapping[str, WidthLimit] = field(default_factory=dict)
    shapes: Shapes = ()
    weights: Path | None = None
    task: Task | None = None
    """For criteria that look at inputs, and to re-calibrate BatchNorm."""
    samples: str = ""
    """Files of inputs, where there is no task: 'frames/*.png', 'inputs.npy'."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CutOutcome:
    """A cut network, written to its folder."""

    base: BaseNetwork
    widths: tuple[int, ...]
    model: bytes
    """ONNX, weights inside."""
    gate: GateRecord
    recalibrated: bool
    """BatchNorm has the statistics of the cut network."""
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """What cut.json holds."""
        costs, plan = self.base.cost_model, self.base.plan
        rows = zip(plan.groups, self.widths, strict=True)
        return {
            "format": FORMAT,
            "exporter": self.base.exporter,
            "architecture": self.base.architecture_of(self.widths),
            "params": {"before": costs.params(plan.widths), "after": costs.params(self.widths)},
            "macs": {"before": costs.macs(plan.widths), "after": costs.macs(self.widths)},
            "macs_uncounted": list(costs.uncounted),
            "bytes": {"before": len(self.base.onnx), "after": len(self.model)},
            "recalibrated": self.recalibrated,
            "groups": [
                {"name": g.name, "before": g.width, "after": width, "unit": g.unit}
                for g, width in rows
            ],
            "never_cut": [{"layer": layer, "reason": reason} for layer, reason in plan.frozen],
            "gate": self.gate.to_json(),
        }


def cut(settings: CutSettings, progress: Progress) -> CutOutcome:
    """Cut a network and write model.onnx, weights.safetensors, architecture.json and cut.json.

    Raises:
        InputError: the network, the widths, the criterion or the data cannot be used.
    """
    from hwprune.network.gate import trusted_base
    from hwprune.network.gate_record import user_records
    from hwprune.network.graph_source import load_graph
    from hwprune.network.package import save_package
    from hwprune_device.cut import Cutter

    _check(settings)
    progress.begin("load and trace", None)
    graph: GraphSource = load_graph(
        settings.source, shapes=settings.shapes, weights=settings.weights
    )
    progress.begin("try cuts of every group", None)
    base, _, gate = trusted_base(
        graph.onnx, settings.ignore, module=graph.part, records=user_records()
    )
    widths = _widths(settings, base)
    task = _task(settings, base)
    keep = _ranking(settings, base, task, progress).keep(widths)
    progress.begin("cut", None)
    model = Cutter(base.onnx, base.plan).cut(keep)
    if task is not None:
        model = _recalibrated(model, task)
    save_package(settings.out, model=model, widths=widths, keep=keep, base=base)
    outcome = CutOutcome(
        base=base,
        widths=widths,
        model=model,
        gate=gate,
        recalibrated=task is not None,
        folder=settings.out,
    )
    (settings.out / REPORT).write_text(json.dumps(outcome.to_json(), indent=1) + "\n")
    progress.end(f"{len(base.plan.groups)} groups")
    return outcome


def _check(settings: CutSettings) -> None:
    """Refuse what is known to be wrong before anything is loaded."""
    from hwprune.saliency.criteria import find_criterion

    if (
        find_criterion(settings.saliency).needs_data
        and settings.task is None
        and not settings.samples
    ):
        raise InputError(
            f"the {settings.saliency} criterion looks at data, and none is given",
            possible="--data SOURCE, --samples FILES, or a criterion of weights alone: l1",
        )
    if (settings.keep is None) == (settings.widths is None):
        raise InputError(
            "say how far to cut: by one share, or by a file of widths",
            given=f"keep {settings.keep}, widths {settings.widths}",
            next_step="hwprune cut MODEL --keep 0.5 --out DIR",
        )
    if settings.keep is not None and not 0 < settings.keep <= 1:
        raise InputError("keep is a share, above 0 and up to 1", given=str(settings.keep))
    if settings.multiple_of < 1:
        raise InputError("multiple-of is at least 1", given=str(settings.multiple_of))
    if settings.out.exists() and (not settings.out.is_dir() or any(settings.out.iterdir())):
        raise InputError(
            f"{settings.out} holds something already", next_step="name an empty or a new folder"
        )


def _widths(settings: CutSettings, base: BaseNetwork) -> tuple[int, ...]:
    if not base.plan.groups:
        frozen = "; ".join(f"{name}: {reason}" for name, reason in base.plan.frozen[:5])
        raise NetworkError("no channel of this network may be cut", given=frozen)
    if settings.widths is not None:
        return _widths_from(settings.widths, base)
    keep = settings.keep or 1.0
    widths = []
    for group in base.plan.groups:
        # No least share: the share that was asked for may be any.
        choices = group_choices(
            group, multiple_of=settings.multiple_of, min_keep=0.0, limits=settings.limits
        )
        widths.append(min(choices, key=lambda w: (abs(w - keep * group.width), w)))
    return tuple(widths)


def _widths_from(file: Path, base: BaseNetwork) -> tuple[int, ...]:
    try:
        wished = plain_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"no widths can be read from {file}", given=said(error)) from None
    known = {group.name: group.width for group in base.plan.groups}
    if not isinstance(wished, dict):
        raise InputError(
            f"{file} is no object of widths by group", possible='{"layer1.0.conv1": 32, …}'
        )
    # Only where a width is 0, because each branch is tried out for it.
    removable = _removable(base) if 0 in wished.values() else frozenset()
    for name, width in wished.items():
        if name not in known:
            raise InputError(
                f"{file}: there is no group '{name}'",
                possible=", ".join(difflib.get_close_matches(name, known, n=5, cutoff=0.3)),
                next_step="hwprune inspect lists the groups",
            )
        least = 0 if name in removable else 1
        # Not isinstance: a bool is an int, and `true` is no width.
        if type(width) is not int or not least <= width <= known[name]:
            raise InputError(
                f"{file}: the width of '{name}' cannot be",
                given=str(width),
                possible=f"{least} to {known[name]}",
            )
    return tuple(int(wished.get(name, width)) for name, width in known.items())


def _removable(base: BaseNetwork) -> frozenset[str]:
    from hwprune.network.branch_check import trusted_branches

    return frozenset(base.plan.groups[group].name for group in trusted_branches(base))


def _task(settings: CutSettings, base: BaseNetwork) -> Task | None:
    if not settings.samples:
        return settings.task
    from hwprune.task.files import FileInputs
    from hwprune.task.image_file import InputShape
    from hwprune.task.task import Task

    entries = [InputShape(name=e.name, shape=e.shape, dtype=e.dtype) for e in base.inputs]
    files = FileInputs(settings.samples, entries, apart=False)
    return Task(name=settings.samples, inputs=files.inputs, identity=files.content_hash)


def _ranking(
    settings: CutSettings, base: BaseNetwork, task: Task | None, progress: Progress
) -> Ranking:
    from hwprune.saliency.ranking import rank

    return rank(base, task, settings.saliency, progress=progress)


def _recalibrated(model: bytes, task: Task) -> bytes:
    from hwprune.network.recalibration import recalibrate_task

    return recalibrate_task(model, task)
