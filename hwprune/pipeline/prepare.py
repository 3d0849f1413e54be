"""From supplies to a network that can be cut: train if need be, trace once, rank channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hwprune.board import Board
from hwprune.candidate import GroupChoice, SearchSpace
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.deployment import Deployment
from hwprune.errors import InputError, NetworkError
from hwprune.network.detector import cuttable_part
from hwprune.pipeline.sensitive_layers import set_apart
from hwprune.pipeline.supplies import Supplies, has_weights, load_network_of
from hwprune.progress import Progress
from hwprune.run_folder import RunFolder
from hwprune.saliency.ranking import Ranking, rank
from hwprune.tables.model import TableModel
from hwprune.tables.staircase import worth_offering
from hwprune.tables.table_file import SUFFIX, read_table, write_table
from hwprune.task.agreement import completed, output_kinds
from hwprune.task.task import Task
from hwprune.whole_file import write_whole
from hwprune.width_limit import group_choices, matches
from hwprune_device.job import Target

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A network ready to be cut, with all that scoring and measuring it needs."""

    deployment: Deployment
    boards: tuple[Board, ...]
    task: Task
    """With a score."""
    base: BaseNetwork
    ranking: Ranking
    space: SearchSpace
    guessed: tuple[str, ...] = ()
    tables: Mapping[str, Path] = field(default_factory=dict)
    """Files of latency tables that fit, by kind of board; the run's own copies."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of board, in the order of their profiles."""
        return tuple(dict.fromkeys(board.kind for board in self.boards))

    @property
    def tabled(self) -> frozenset[str]:
        """The kinds of which there is a latency table and no board."""
        return frozenset(b.kind for b in self.boards if b.connection == "table")

    @property
    def targets(self) -> dict[str, Target]:
        """How networks run, by kind; boards of one kind are alike in it."""
        found = [(board.kind, board.target) for board in self.boards]
        return {kind: next(t for name, t in found if name == kind) for kind in self.kinds}

    @property
    def macs_left(self) -> Callable[[Sequence[int]], float]:
        """Of widths: their multiply-accumulates, as a share of the unpruned network's."""
        model = self.base.cost_model
        whole = max(1, model.macs(self.space.unpruned.widths))
        return lambda widths: model.macs(widths) / whole


def prepare(supplies: Supplies, folder: RunFolder, progress: Progress) -> Prepared:
    """Everything before the first measurement; what an earlier run finished is read back.

    Raises:
        InputError: the network cannot be trained, traced or cut.
    """
    from hwprune.network.calls import random_inputs
    from hwprune.network.graph_module import expect_gradients

    deployment = supplies.deployment
    base = _base(supplies, folder, progress)
    if deployment.finetune.epochs:
        # Refused before the search costs time.
        expect_gradients(base.onnx, random_inputs(base, seed=0))
    _refuse_uncounted(deployment, base)
    task = _with_score(supplies.task, base)
    cache = folder.folder("base")
    tables = _tables(supplies, base, folder, progress)
    ranking = rank(base, task, deployment.search.saliency, cache=cache, progress=progress)
    space, ranking = set_apart(
        deployment.search,
        base,
        task,
        _worth_offering(deployment, search_space(deployment, base), tables),
        ranking,
        cache=cache,
        progress=progress,
    )
    return Prepared(
        deployment=deployment,
        boards=supplies.boards,
        task=task,
        base=base,
        ranking=ranking,
        space=space,
        guessed=supplies.guessed,
        tables=tables,
    )


def _worth_offering(
    deployment: Deployment, space: SearchSpace, tables: Mapping[str, Path]
) -> SearchSpace:
    """The space; where that is wished, without widths that cost boards as much as a wider one."""
    if not tables or deployment.search.offer == "all":
        return space
    choices = [group.choices for group in space.groups]
    models = [TableModel(read_table(path)) for path in tables.values()]
    each = [worth_offering(model, choices) for model in models if model.is_of(space)]
    kept = [set().union(*widths) for widths in zip(*each, strict=True)] or choices
    return SearchSpace(
        groups=tuple(
            replace(group, choices=tuple(sorted(widths)))
            for group, widths in zip(space.groups, kept, strict=True)
        )
    )


def _tables(
    supplies: Supplies, base: BaseNetwork, folder: RunFolder, progress: Progress
) -> dict[str, Path]:
    """The run's own copies of tables that fit, so that a resumed run goes on with the same."""
    from hwprune.pipeline.pricing import tables_for

    kept = folder.step("tables", dict[str, str])
    if kept is None:
        kept = {}
        settings = supplies.deployment.search
        found = tables_for(settings.tables, base, supplies.boards)
        if found:
            progress.begin("latency tables", len(found))
        for kind, table in found.items():
            progress.advance(note=f"{kind}: {table.own.name}, built {table.built_at}")
            kept[kind] = f"table-{len(kept) + 1}{SUFFIX}"
            write_table(table, folder.folder("base") / kept[kind])
        folder.finish("tables", kept)
    # The last part alone: a stored name must not lead out of the folder.
    return {kind: folder.folder("base") / Path(name).name for kind, name in kept.items()}


def _with_score(task: Task, base: BaseNetwork) -> Task:
    from hwprune.network.execution import EXACT
    from hwprune.network.graph_module import to_module

    teacher = EXACT.run(EXACT.place(to_module(base.onnx)))
    done = completed(task, teacher, output_kinds(base.onnx), base.outputs)
    if len(done.output_kinds) != len(base.outputs):
        raise InputError(
            f"the task '{task.name}' tells of other outputs than the network has",
            given=f"output_kinds {list(done.output_kinds)}",
            possible=f"one for each of {', '.join(base.outputs)}",
        )
    return done


def search_space(deployment: Deployment, base: BaseNetwork) -> SearchSpace:
    """The groups that may be cut, with the widths worth offering.

    Raises:
        NetworkError: nothing may be cut.
    """
    settings = deployment.search
    removable = _removable(deployment, base)
    groups = []
    for number, group in enumerate(base.plan.groups):
        choices = group_choices(
            group,
            multiple_of=settings.multiple_of,
            min_keep=settings.min_keep,
            limits=settings.limits,
        )
        if number in removable:
            choices = (0, *choices)
        groups.append(GroupChoice(name=group.name, width=group.width, choices=choices))
    space = SearchSpace(groups=tuple(groups))
    if space.size <= 1:
        frozen = "; ".join(f"{name}: {reason}" for name, reason in base.plan.frozen[:5])
        raise NetworkError(
            "no channel of this network may be cut",
            given=frozen or f"ignore = {list(settings.ignore)}",
            next_step="see `hwprune inspect` for each layer's reason",
        )
    return space


def _removable(deployment: Deployment, base: BaseNetwork) -> tuple[int, ...]:
    """Groups that may go as a whole branch."""
    from hwprune.network.branch_check import trusted_branches

    if not deployment.search.branches:
        return ()
    limited = deployment.search.limits
    groups = base.plan.groups
    return tuple(
        number
        for number in trusted_branches(base)
        if not any(matches(groups[number], pattern) for pattern in limited)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traced:
    """What is kept of the trace beside the network."""

    ignore: tuple[str, ...]


def _base(supplies: Supplies, folder: RunFolder, progress: Progress) -> BaseNetwork:
    """The unpruned network, traced once and kept in the run folder."""
    from hwprune.network.gate import trusted_base
    from hwprune.network.gate_record import user_records
    from hwprune.network.trace import trace

    file = folder.folder("base") / "model.onnx"
    done = folder.step("trace", _Traced)
    if done is not None and file.exists():
        return make_base(file.read_bytes(), ignore=done.ignore)
    module = supplies.module
    # A resumed run was not given its network, and its trace was not finished.
    if module is None and supplies.onnx is None:
        module = cuttable_part(load_network_of(supplies.deployment.network, supplies.task))
    if module is not None and not has_weights(supplies.deployment):
        # A network that cannot be traced is refused before its training costs time.
        progress.begin("try to trace the network", None)
        trace(module.eval(), supplies.example)
        progress.end()
        _train(supplies, folder, progress, module)
    progress.begin("trace the network", None)
    base, ignore, record = trusted_base(
        _with_norms(supplies) if module is None else trace(module.eval(), supplies.example),
        supplies.deployment.search.ignore,
        module=module,
        records=user_records(),
    )
    _refuse_fixed_batch(base)
    write_whole(file, base.onnx)
    found = {"ignore": list(ignore), "architecture": base.architecture, "gate": record.to_json()}
    folder.finish("trace", found)
    left = f", {len(ignore)} left whole" if ignore else ""
    progress.end(f"{len(base.plan.groups)} channel groups{left}")
    return base


def _refuse_uncounted(deployment: Deployment, base: BaseNetwork) -> None:
    """A budget of multiplications wants them all counted."""
    quantities = {c.quantity for budget in deployment.budgets for c in budget.constraints}
    if "macs" in quantities and base.cost_model.uncounted:
        raise NetworkError(
            "the multiplications of some layers cannot be counted, and there is a budget of them",
            given=", ".join(base.cost_model.uncounted[:5]),
            next_step="export the network with fixed sizes, or give a budget of latency or params",
        )


def _refuse_fixed_batch(base: BaseNetwork) -> None:
    fixed = [entry for entry in base.inputs if not entry.any_batch]
    if fixed:
        raise NetworkError(
            "the network runs at one batch size only, so it cannot be scored and trained",
            given=", ".join(f"{entry.name} {list(entry.shape)}" for entry in fixed),
            possible="a network whose first axis may have any size",
            next_step="export it with a dynamic batch; `hwprune cut` takes it as it is",
        )


def _with_norms(supplies: Supplies) -> bytes:
    """The network of an ONNX file, with the BatchNorms that its exporter folded away."""
    from hwprune.network.norms import with_norms
    from hwprune.task.items import calibration_of

    assert supplies.onnx is not None
    known = calibration_of(supplies.task)
    return with_norms(supplies.onnx, (tuple(v.numpy() for v in inputs) for inputs in known))


def _train(supplies: Supplies, folder: RunFolder, progress: Progress, module: nn.Module) -> None:
    from hwprune.finetune.trainer import train

    train(
        module,
        supplies.task,
        supplies.deployment.training,
        folder=folder.folder("training"),
        progress=progress,
        stage="train the unpruned network",
    )
