"""From a wish to a network that can be cut: load, train if need be, trace once, rank channels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwprune.board import Board, find_board
from hwprune.candidate import GroupChoice, SearchSpace
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.deployment import Deployment
from hwprune.errors import NetworkError
from hwprune.network.data import Data, load_data
from hwprune.pipeline.asked_board import as_asked
from hwprune.pipeline.sensitive_layers import set_apart
from hwprune.progress import Progress
from hwprune.run_folder import RunFolder
from hwprune.saliency.ranking import Ranking
from hwprune.width_limit import group_choices
from hwprune_device.job import Target

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a notebook hands over instead of naming it in a file."""

    module: nn.Module | None = None
    example_input: torch.Tensor | None = None
    """N C H W."""
    data: Data | None = None
    board: Board | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A network ready to be cut, with all that scoring and measuring it needs."""

    deployment: Deployment
    boards: tuple[Board, ...]
    data: Data
    base: BaseNetwork
    ranking: Ranking
    space: SearchSpace

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of board, in the order of their profiles."""
        return tuple(dict.fromkeys(board.kind or board.name for board in self.boards))

    @property
    def targets(self) -> dict[str, Target]:
        """How networks run, by kind; boards of one kind are alike in it."""
        found = [(board.kind or board.name, board.target) for board in self.boards]
        return {kind: next(t for name, t in found if name == kind) for kind in self.kinds}


def fetch(deployment: Deployment, given: Given, *, network: bool) -> Given:
    """Load the data, and the network if it will be needed, so that what is absent is said at once.

    Raises:
        InputError: the network or the data is not what the wish says.
    """
    module = given.module
    data = given.data or load(deployment)
    if module is None and network:
        module = _load_network(deployment, data)
    example = given.example_input
    if example is None:
        example = data.example(deployment.network.input)
    if module is not None:
        _check_fit(module, example, data)
    return replace(given, module=module, data=data, example_input=example)


def _check_fit(module: nn.Module, example: torch.Tensor, data: Data) -> None:
    """Run the network once on real input, and see that it answers with a score for each class."""
    import torch

    was_training = module.training
    try:
        with torch.inference_mode():
            output = module.eval()(example)
    except Exception as error:  # whatever the user's own code raises
        said = (str(error).strip() or repr(error)).splitlines()[0]
        raise NetworkError(
            "the network does not run on the data's images",
            given=f"input {list(example.shape)}: {said}",
            next_step="name data of the shape the network takes, or the network for this data",
        ) from error
    finally:
        module.train(was_training)
    shape = list(getattr(output, "shape", ()))
    if len(shape) != 2 or shape[1] != data.classes:
        raise NetworkError(
            "the network's output does not fit the data's classes",
            given=f"output {shape or type(output).__name__}, {data.classes} classes",
            possible=f"one tensor of N x {data.classes} scores",
        )


def prepare(
    deployment: Deployment, folder: RunFolder, progress: Progress, given: Given
) -> Prepared:
    """Everything before the first measurement; what an earlier run finished is read back.

    Raises:
        InputError: the network, the data or the board is not what the wish says.
    """
    named = [given.board] if given.board else [find_board(str(b)) for b in deployment.boards]
    boards = tuple(as_asked(deployment.budget, board) for board in named)
    data = given.data or load(deployment)
    base = _base(deployment, folder, progress, given, data)
    ranking = _ranking(deployment, folder, progress, base, data)
    space, ranking = set_apart(
        deployment.search,
        base,
        data,
        search_space(deployment, base),
        ranking,
        cache=folder.folder("base"),
        progress=progress,
    )
    return Prepared(
        deployment=deployment,
        boards=boards,
        data=data,
        base=base,
        ranking=ranking,
        space=space,
    )


def load(deployment: Deployment) -> Data:
    """The data that a deployment names."""
    wish = deployment.data
    return load_data(
        wish.source,
        root=wish.root,
        heldout=wish.heldout,
        final_heldout=wish.final_heldout,
        calibration=wish.calibration,
        mean=wish.mean,
        std=wish.std,
        augment=wish.augment,
        seed=wish.seed,
    )


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


def _base(
    deployment: Deployment, folder: RunFolder, progress: Progress, given: Given, data: Data
) -> BaseNetwork:
    """The unpruned network, traced once and kept in the run folder."""
    from hwprune.network.gate import trusted_base
    from hwprune.network.gate_record import user_records
    from hwprune.network.trace import trace

    file = folder.folder("base") / "model.onnx"
    done = folder.step("trace")
    if done is not None and file.exists():
        return make_base(file.read_bytes(), ignore=tuple(done["ignore"]))
    module = given.module or _load_network(deployment, data)
    example = given.example_input
    if example is None:
        example = data.example(deployment.network.input)
    if not _has_weights(deployment):
        # A network that cannot be traced is refused before its training costs time.
        trace(module.eval(), example)
        _train(deployment, folder, progress, module, data)
    progress.begin("trace the network", None)
    from_file = deployment.network.source.endswith(".onnx")
    base, ignore, record = trusted_base(
        _onnx(deployment, data) if from_file else trace(module.eval(), example),
        deployment.search.ignore,
        module=None if from_file else module,
        records=user_records(),
    )
    file.write_bytes(base.onnx)
    found = {"ignore": list(ignore), "architecture": base.architecture, "gate": record.to_json()}
    folder.finish("trace", found)
    left = f", {len(ignore)} left whole" if ignore else ""
    progress.end(f"{len(base.plan.groups)} channel groups{left}")
    return base


def _onnx(deployment: Deployment, data: Data) -> bytes:
    """The network of an ONNX file, with the BatchNorms that its exporter folded away."""
    from pathlib import Path

    from hwprune.network.norms import with_norms
    from hwprune.network.onnx_file import read_network

    shape = deployment.network.input
    model = read_network(Path(deployment.network.source), [shape] if shape else [])
    images = data.calibration
    return with_norms(model, ((images[k : k + 64],) for k in range(0, len(images), 64)))


def _load_network(deployment: Deployment, data: Data) -> nn.Module:
    from pathlib import Path

    from hwprune.network.source import load_network

    weights = Path(deployment.network.weights) if deployment.network.weights else None
    return load_network(deployment.network.source, weights=weights, num_classes=data.classes)


def _has_weights(deployment: Deployment) -> bool:
    """Whether the source brings weights, so that nothing needs to be trained first."""
    network = deployment.network
    if network.weights or network.trained or network.source.endswith(".onnx"):
        return True
    parts = network.source.split(":")
    return parts[0] == "torchvision" and len(parts) == 3 and parts[2] != "none"


def _train(
    deployment: Deployment, folder: RunFolder, progress: Progress, module: nn.Module, data: Data
) -> None:
    from hwprune.finetune.trainer import train

    train(
        module,
        data,
        deployment.training,
        folder=folder.folder("training"),
        progress=progress,
        stage="train the unpruned network",
    )


def _ranking(
    deployment: Deployment,
    folder: RunFolder,
    progress: Progress,
    base: BaseNetwork,
    data: Data,
) -> Ranking:
    from hwprune.saliency.ranking import rank

    saliency, place = deployment.search.saliency, folder.folder("base")
    return rank(base, data, saliency, cache=place, progress=progress)
