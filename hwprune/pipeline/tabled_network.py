"""The network that a table is for: named alone, or by a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwprune.board import Board, find_board, this_machine
from hwprune.channels.base import BaseNetwork, make_base
from hwprune.network.input_shapes import Shapes
from hwprune.search_settings import SearchSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TabledNetwork:
    """A network, and the boards and widths that a table of it is wanted for."""

    name: str
    base: BaseNetwork
    boards: tuple[Board, ...]
    widths: SearchSettings
    cluster: str = ""


def tabled_network(
    model: str, boards: tuple[str, ...], shapes: Shapes = (), weights: Path | None = None
) -> TabledNetwork:
    """Look up what is named.

    Args:
        model: a network as `load_graph` takes it, or a deployment file.
        boards: names or profiles; none: the deployment's, or this machine.

    Raises:
        InputError: the network or a board is not what is said of it.
    """
    if model.endswith(".toml"):
        return _of_deployment(Path(model), boards)
    from hwprune.network.graph_source import load_graph

    graph = load_graph(model, shapes=shapes, weights=weights)
    return TabledNetwork(
        name=_name(model),
        base=make_base(graph.onnx),
        boards=tuple(find_board(board) for board in boards) or (this_machine(),),
        widths=SearchSettings(),
    )


def _of_deployment(path: Path, boards: tuple[str, ...]) -> TabledNetwork:
    from hwprune.deployment import load_deployment
    from hwprune.network.graph_source import load_graph
    from hwprune.pipeline.supplies import Given, look_up

    deployment = load_deployment(path)
    # For the shapes of inputs and the number of classes; the network is read below.
    supplies = look_up(deployment, Given(), network=False)
    settings = deployment.network
    graph = load_graph(
        settings.source,
        shapes=tuple(tuple(values.shape) for values in supplies.example),
        weights=Path(settings.weights) if settings.weights else None,
        num_classes=supplies.task.classes,
    )
    named = tuple(find_board(board) for board in boards)
    return TabledNetwork(
        name=deployment.name,
        base=make_base(graph.onnx, ignore=deployment.search.ignore),
        boards=named or supplies.boards,
        widths=deployment.search,
        cluster=deployment.cluster,
    )


def _name(model: str) -> str:
    """resnet18, of `torchvision:resnet18:none`, `package.module:resnet18` or `resnet18.onnx`."""
    if model.endswith(".onnx"):
        return Path(model).stem
    parts = model.split(":")
    return parts[1] if len(parts) > 1 else parts[0]
