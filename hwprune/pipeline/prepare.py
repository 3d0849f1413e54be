"""From a wish to a network that can be cut: look up, train if need be, trace once, rank."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwprune.board import Board, find_board
from hwprune.candidate import GroupChoice, SearchSpace
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.deployment import Deployment, NetworkWish
from hwprune.errors import InputError, NetworkError
from hwprune.network.detector import cuttable_part, example_of_part
from hwprune.pipeline.asked_board import as_asked
from hwprune.pipeline.sensitive_layers import set_apart
from hwprune.progress import Progress
from hwprune.run_folder import RunFolder
from hwprune.saliency.ranking import Ranking, rank
from hwprune.task.agreement import completed, output_kinds
from hwprune.task.data import Data
from hwprune.task.image_file import InputShape
from hwprune.task.items import Inputs, example_of
from hwprune.task.load import load_task
from hwprune.task.task import Task
from hwprune.width_limit import group_choices
from hwprune_device.job import Target

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a notebook hands over instead of naming it in a file."""

    module: nn.Module | None = None
    example: Inputs = ()
    data: Data | None = None
    task: Task | None = None
    board: Board | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplies:
    """What a run needs, looked up once: network, task and boards."""

    deployment: Deployment
    boards: tuple[Board, ...]
    task: Task
    example: Inputs
    """One item, batch 1."""
    module: nn.Module | None
    """The unpruned network, or what of it is cut; None for a file, or one known already."""
    onnx: bytes | None
    """Of a network that is an ONNX file."""
    guessed: tuple[str, ...] = ()
    """What the wish leaves open and was assumed, in words."""


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

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of board, in the order of their profiles."""
        return tuple(dict.fromkeys(board.kind or board.name for board in self.boards))

    @property
    def targets(self) -> dict[str, Target]:
        """How networks run, by kind; boards of one kind are alike in it."""
        found = [(board.kind or board.name, board.target) for board in self.boards]
        return {kind: next(t for name, t in found if name == kind) for kind in self.kinds}


def look_up(deployment: Deployment, given: Given, *, network: bool) -> Supplies:
    """Find everything that the wish names, so that what is absent is said at once.

    Args:
        network: whether the network itself is needed; a resumed run has it in its folder.

    Raises:
        InputError: the network, the task or a board is not what the wish says.
    """
    wish = deployment.network
    named = [given.board] if given.board else [find_board(str(b)) for b in deployment.boards]
    onnx = _read_onnx(wish) if wish.source.endswith(".onnx") else None
    task, guessed = given.task, tuple[str, ...]()
    if task is None:
        loaded = load_task(
            deployment.task, given.data or deployment.data, entries=_entries(wish, onnx)
        )
        task, guessed = loaded.task, loaded.guessed
    module = given.module
    if module is None and onnx is None and network:
        module = _load_network(wish, task)
    example = given.example or example_of(task)
    if wish.input and tuple(example[0].shape[1:]) != wish.input[1:]:
        raise NetworkError(
            "network.input does not fit the task's inputs",
            given=f"network.input {list(wish.input)}, inputs {list(example[0].shape)}",
            next_step="leave it out, or give inputs of that shape",
        )
    if module is not None:
        module = cuttable_part(module)
        example = example_of_part(module, example)
    if network:
        _check_fit(task, _module_of(module, onnx), example)
    return Supplies(
        deployment=deployment,
        boards=tuple(as_asked(deployment.budget, board) for board in named),
        task=task,
        example=example,
        module=module,
        onnx=onnx,
        guessed=guessed,
    )


def _check_fit(task: Task, module: nn.Module, example: Inputs) -> None:
    """Run the network once on real input, and see that its outputs fit the task."""
    from hwprune.network.execution import EXACT

    try:
        outputs = EXACT.run(module)(*example)
    except Exception as error:  # whatever the user's own code raises
        said = (str(error).strip() or repr(error)).splitlines()[0]
        raise NetworkError(
            "the network does not run on the task's inputs",
            given=f"input {', '.join(str(list(v.shape)) for v in example)}: {said}",
            next_step="name data of the shape the network takes, or the network for this data",
        ) from error
    if task.check is not None:
        task.check(outputs)


def _module_of(module: nn.Module | None, onnx: bytes | None) -> nn.Module:
    from hwprune.network.graph_module import to_module

    if module is None:
        assert onnx is not None
        return to_module(onnx)
    # The user's own stays where it is and as it is.
    return copy.deepcopy(module).cpu()


def prepare(supplies: Supplies, folder: RunFolder, progress: Progress) -> Prepared:
    """Everything before the first measurement; what an earlier run finished is read back.

    Raises:
        InputError: the network cannot be trained, traced or cut.
    """
    deployment = supplies.deployment
    base = _base(supplies, folder, progress)
    task = _with_score(supplies.task, base)
    cache = folder.folder("base")
    ranking = rank(base, task, deployment.search.saliency, cache=cache, progress=progress)
    space, ranking = set_apart(
        deployment.search,
        base,
        task,
        search_space(deployment, base),
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
    )


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
    wish = deployment.search
    groups = []
    for group in base.plan.groups:
        choices = group_choices(
            group, multiple_of=wish.multiple_of, min_keep=wish.min_keep, limits=wish.limits
        )
        groups.append(GroupChoice(name=group.name, width=group.width, choices=choices))
    space = SearchSpace(groups=tuple(groups))
    if space.size <= 1:
        frozen = "; ".join(f"{name}: {reason}" for name, reason in base.plan.frozen[:5])
        raise NetworkError(
            "no channel of this network may be cut",
            given=frozen or f"ignore = {list(wish.ignore)}",
            next_step="see `hwprune inspect` for each layer's reason",
        )
    return space


def _base(supplies: Supplies, folder: RunFolder, progress: Progress) -> BaseNetwork:
    """The unpruned network, traced once and kept in the run folder."""
    from hwprune.network.gate import trusted_base
    from hwprune.network.gate_record import user_records
    from hwprune.network.trace import trace

    file = folder.folder("base") / "model.onnx"
    done = folder.step("trace")
    if done is not None and file.exists():
        return make_base(file.read_bytes(), ignore=tuple(done["ignore"]))
    module = supplies.module
    if module is None and supplies.onnx is None:
        module = cuttable_part(_load_network(supplies.deployment.network, supplies.task))
    if module is not None and not _has_weights(supplies.deployment):
        # A network that cannot be traced is refused before its training costs time.
        trace(module.eval(), supplies.example)
        _train(supplies, folder, progress, module)
    progress.begin("trace the network", None)
    base, ignore, record = trusted_base(
        _with_norms(supplies) if module is None else trace(module.eval(), supplies.example),
        supplies.deployment.search.ignore,
        module=module,
        records=user_records(),
    )
    _refuse_fixed_batch(base)
    file.write_bytes(base.onnx)
    found = {"ignore": list(ignore), "architecture": base.architecture, "gate": record.to_json()}
    folder.finish("trace", found)
    left = f", {len(ignore)} left whole" if ignore else ""
    progress.end(f"{len(base.plan.groups)} channel groups{left}")
    return base


def _refuse_fixed_batch(base: BaseNetwork) -> None:
    fixed = [entry for entry in base.inputs if not entry.any_batch]
    if fixed:
        raise NetworkError(
            "the network runs at one batch size only, so it cannot be scored and trained",
            given=", ".join(f"{entry.name} {list(entry.shape)}" for entry in fixed),
            possible="a network whose first axis may have any size",
            next_step="export it with a dynamic batch; `hwprune cut` takes it as it is",
        )


def _read_onnx(wish: NetworkWish) -> bytes:
    from hwprune.network.onnx_file import read_network

    return read_network(Path(wish.source), [wish.input] if wish.input else [])


def _entries(wish: NetworkWish, onnx: bytes | None) -> Sequence[InputShape]:
    """What the network takes, where that is known before there are inputs."""
    if onnx is None:
        return [InputShape(name="input", shape=wish.input)] if wish.input else []
    return [
        InputShape(name=entry.name, shape=entry.shape, dtype=entry.dtype)
        for entry in make_base(onnx).inputs
    ]


def _with_norms(supplies: Supplies) -> bytes:
    """The network of an ONNX file, with the BatchNorms that its exporter folded away."""
    from hwprune.network.norms import with_norms
    from hwprune.task.items import first_items

    assert supplies.onnx is not None
    task = supplies.task
    known = first_items(task.inputs("calibration", task.calibration), task.calibration)
    return with_norms(supplies.onnx, (tuple(v.numpy() for v in inputs) for inputs in known))


def _load_network(wish: NetworkWish, task: Task) -> nn.Module:
    from hwprune.network.source import load_network

    weights = Path(wish.weights) if wish.weights else None
    return load_network(wish.source, weights=weights, num_classes=task.classes)


def _has_weights(deployment: Deployment) -> bool:
    """Whether the source brings weights, so that nothing needs to be trained first."""
    network = deployment.network
    if network.weights or network.trained:
        return True
    parts = network.source.split(":")
    return parts[0] == "torchvision" and len(parts) == 3 and parts[2] != "none"


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
