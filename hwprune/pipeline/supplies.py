"""What a run needs, looked up once before anything costs time: network, task, example, boards."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwprune.board import Board, find_board
from hwprune.channels.base import make_base
from hwprune.deployment import Deployment, NetworkSettings
from hwprune.errors import NetworkError
from hwprune.network.detector import cuttable_part, example_of_part
from hwprune.pipeline.check import as_asked
from hwprune.task.image_file import InputShape
from hwprune.task.items import Inputs, example_of
from hwprune.task.load import load_task
from hwprune.task.task import Task

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a notebook hands over instead of naming it in a file."""

    module: nn.Module | None = None
    example: Inputs = ()
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
    """What the deployment leaves open and was assumed, in words."""


def look_up(deployment: Deployment, given: Given, *, network: bool) -> Supplies:
    """Find everything that the deployment names, so that what is absent is said at once.

    Args:
        network: whether the network itself is needed; a resumed run has it in its folder.

    Raises:
        InputError: the network, the task or a board is not what the deployment says.
    """
    settings = deployment.network
    named = [given.board] if given.board else [find_board(str(b)) for b in deployment.boards]
    onnx = _read_onnx(settings) if settings.source.endswith(".onnx") else None
    task, guessed = given.task, tuple[str, ...]()
    if task is None:
        loaded = load_task(deployment.task, deployment.data, entries=_entries(settings, onnx))
        task, guessed = loaded.task, loaded.guessed
    module = given.module
    if module is None and onnx is None and network:
        module = load_network_of(settings, task)
    example = given.example or example_of(task)
    if settings.input and tuple(example[0].shape[1:]) != settings.input[1:]:
        raise NetworkError(
            "network.input does not fit the task's inputs",
            given=f"network.input {list(settings.input)}, inputs {list(example[0].shape)}",
            next_step="leave it out, or give inputs of that shape",
        )
    if module is not None:
        module = cuttable_part(module)
        example = example_of_part(module, example)
    # The example has to be the part's by now, not the detector's.
    if network:
        _check_fit(task, _module_of(module, onnx), example)
    return Supplies(
        deployment=deployment,
        boards=tuple(as_asked(deployment.limits, board) for board in named),
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


def _read_onnx(settings: NetworkSettings) -> bytes:
    from hwprune.network.onnx_file import read_network

    return read_network(Path(settings.source), [settings.input] if settings.input else [])


def _entries(settings: NetworkSettings, onnx: bytes | None) -> Sequence[InputShape]:
    """What the network takes, where that is known before there are inputs."""
    if onnx is None:
        return [InputShape(name="input", shape=settings.input)] if settings.input else []
    return [
        InputShape(name=entry.name, shape=entry.shape, dtype=entry.dtype)
        for entry in make_base(onnx).inputs
    ]


def load_network_of(settings: NetworkSettings, task: Task) -> nn.Module:
    """The network that the settings name, made for the classes of a task."""
    from hwprune.network.source import load_network

    weights = Path(settings.weights) if settings.weights else None
    return load_network(settings.source, weights=weights, num_classes=task.classes)


def has_weights(deployment: Deployment) -> bool:
    """Whether the source brings weights, so that nothing needs to be trained first."""
    network = deployment.network
    if network.weights or network.trained:
        return True
    parts = network.source.split(":")
    return parts[0] == "torchvision" and len(parts) == 3 and parts[2] != "none"
