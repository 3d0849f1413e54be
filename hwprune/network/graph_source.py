"""From what a user calls MODEL to a graph that can be cut: traced, or read from an ONNX file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from hwprune.errors import NetworkError
from hwprune.network.detector import cuttable_part, example_of_part
from hwprune.network.input_shapes import Shapes, by_name
from hwprune.network.onnx_file import read_network
from hwprune.network.source import load_network
from hwprune.network.trace import trace

IMAGE = (1, 3, 224, 224)
"""What torchvision's networks take unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GraphSource:
    """A graph in canonical form, and the module it was traced from."""

    onnx: bytes
    module: nn.Module | None
    """None for a network that exists only as an ONNX file."""
    part: nn.Module | None
    """What of the module was traced: the module itself, or a detector's backbone and heads."""


def load_graph(
    source: str,
    *,
    shapes: Shapes = (),
    weights: Path | None = None,
    num_classes: int | None = None,
) -> GraphSource:
    """The graph of a network.

    Args:
        source: `torchvision:NAME[:WEIGHTS or none]`, `package.module:function`, or an .onnx file.
        shapes: of inputs, in order or by name, batch first; torchvision's networks take
            1x3x224x224 by default, and an ONNX file mostly says its own.
        weights: a .safetensors or .pth file to load into a torch network.
        num_classes: for a function that takes such an argument.

    Raises:
        NetworkError: it cannot be found, loaded or traced, or its input shape is not known.
    """
    if source.endswith(".onnx"):
        if weights is not None:
            raise NetworkError("an ONNX file brings its own weights", given=str(weights))
        return GraphSource(
            onnx=read_network(Path(source).expanduser(), shapes), module=None, part=None
        )
    if not shapes:
        if not source.startswith("torchvision:"):
            raise NetworkError(
                "the network's input shape is not known",
                given=source,
                possible="sizes with an x between them, batch first: 1x3x32x32",
                next_step=f"add --input 1x3x32x32 to the command for {source}",
            )
        shapes = (IMAGE,)
    module = load_network(source, weights=weights, num_classes=num_classes)
    # Weights go into the whole detector, whose keys the file has; the part shares them.
    part = cuttable_part(module).eval()
    examples = tuple(torch.zeros(tuple(shape)) for shape in _in_order(part, shapes))
    examples = example_of_part(part, examples)
    return GraphSource(onnx=trace(part, examples), module=module, part=part)


def _in_order(module: nn.Module, shapes: Shapes) -> Sequence[Sequence[int]]:
    """Shapes in the order of the module's arguments."""
    if not isinstance(shapes, Mapping):
        return shapes
    return list(by_name(shapes, inspect.signature(module.forward).parameters).values())
