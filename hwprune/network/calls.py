"""Inputs for networks with any number of them."""

from __future__ import annotations

import math

import onnx
import torch
from onnx import numpy_helper

from hwprune.channels.base import BaseNetwork
from hwprune_device.values import is_weight

_WORDS = 2
"""Integer inputs are drawn from 0 and 1: every embedding has those."""
_BYTE = 256
_PASSING = ("Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Identity")


def random_inputs(
    base: BaseNetwork, *, seed: int, batch: int = 2, dtype: torch.dtype | None = None
) -> tuple[torch.Tensor, ...]:
    """Inputs of a network, drawn with a seed: normal numbers, or integers where it asks.

    Bytes are drawn from all there are, as pixels are, unless they pick rows of a table. An integer
    that the network compares with a constant, as a sample rate, is that constant: it may not run
    with others. A network of fixed batch gets that batch.

    Args:
        base: the network.
        seed: of the drawing.
        batch: items, where the network takes any number.
        dtype: of the floats; by default each input's own.
    """
    generator = torch.Generator().manual_seed(seed)
    # A network of floats alone, which most are, is not read for this.
    whole = not all(getattr(torch, entry.dtype).is_floating_point for entry in base.inputs)
    graph = onnx.load_model_from_string(base.onnx).graph if whole else onnx.GraphProto()
    picking, compared = _picking(graph), _compared(graph)
    inputs = []
    for entry in base.inputs:
        shape = (batch, *entry.shape[1:]) if entry.any_batch else entry.shape
        own = getattr(torch, entry.dtype)
        if own.is_floating_point:
            # Drawn alike for every type, so that one seed means one input.
            numbers = torch.randn(shape, generator=generator, dtype=dtype or torch.float32)
            inputs.append(numbers.to(dtype or own))
        else:
            wide = entry.dtype == "uint8" and entry.name not in picking
            numbers = torch.randint(0, _BYTE if wide else _WORDS, shape, generator=generator)
            if entry.name in compared:
                numbers = torch.full(shape, compared[entry.name])
            inputs.append(numbers.to(own))
    return tuple(inputs)


def _compared(graph: onnx.GraphProto) -> dict[str, int]:
    """Inputs that `Equal` compares with one integer, and the integer; the first of several."""
    numbers = {
        tensor.name: tensor
        for tensor in graph.initializer
        if math.prod(tensor.dims) == 1 and not is_weight(tensor)
    }
    inputs = {entry.name for entry in graph.input} - set(numbers)
    compared: dict[str, int] = {}
    for node in graph.node:
        if node.op_type == "Equal":
            for one, other in (tuple(node.input), tuple(node.input)[::-1]):
                if one in inputs and other in numbers:
                    number = numpy_helper.to_array(numbers[other])
                    compared.setdefault(one, int(number.reshape(())))
    return compared


def _picking(graph: onnx.GraphProto) -> set[str]:
    """Inputs that are places of rows: a Gather takes them as its indices."""
    picking: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type in ("Gather", "GatherElements", "GatherND"):
            picking.add(node.input[1])
        elif node.op_type in _PASSING and node.output[0] in picking:
            picking.add(node.input[0])
    return picking
