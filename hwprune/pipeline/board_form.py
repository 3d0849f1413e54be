"""What a kind of board is given of the delivered network, and inputs that go with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx

from hwprune_device.job import Target

if TYPE_CHECKING:
    from hwprune.task.items import Inputs
    from hwprune.task.task import Task

Arrays = tuple[np.ndarray, ...]
"""One array for each input of the network, N first."""
COMPARED_INPUTS = 8
"""Calibration items on which torch, ONNX and the boards must agree."""
_RANGES_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardForm:
    """A network for one kind of board."""

    model: bytes
    """ONNX in float32; with int8 in it where the board's precision is that."""
    inputs: Arrays
    """To be compared on."""
    in_int8: bool = False
    """Whether the graph says what is computed in int8."""


def board_form(model: bytes, target: Target, task: Task) -> BoardForm:
    """The delivered network as boards of a target are given it.

    For int8 the ranges of its activations are those of all calibration items. They are put into
    the graph here, which every runtime takes them from, unless the target has TensorRT's builder
    find its own: then all these items go along.
    """
    from hwprune.task.items import calibration_of, inputs_of

    if target.precision != "int8":
        return BoardForm(
            model=model, inputs=_joined(inputs_of(task, "calibration", COMPARED_INPUTS))
        )
    known = _joined(calibration_of(task))
    if target.options.get("calibration", "qdq") != "qdq":
        return BoardForm(model=model, inputs=known)
    inputs = tuple(values[:COMPARED_INPUTS] for values in known)
    return BoardForm(model=quantised(model, known), inputs=inputs, in_int8=True)


def _joined(batches: Iterable[Inputs]) -> Arrays:
    return tuple(
        np.concatenate([values.numpy() for values in column])
        for column in zip(*batches, strict=True)
    )


def quantised(model: bytes, inputs: Sequence[np.ndarray]) -> bytes:
    """The network with QuantizeLinear and DequantizeLinear, scaled for inputs (N first).

    Raises:
        ValueError: nothing in it can be quantised.
    """
    from hwprune_device.precision.quantized import with_qdq
    from hwprune_device.runtimes.ranges import observe_ranges

    graph = onnx.load_model_from_string(model)
    # In pieces, so that activations of all calibration items need not fit into memory.
    starts = range(0, len(inputs[0]), _RANGES_BATCH)
    batches = (tuple(values[at : at + _RANGES_BATCH] for values in inputs) for at in starts)
    return with_qdq(graph, observe_ranges(graph, batches)).SerializeToString()
