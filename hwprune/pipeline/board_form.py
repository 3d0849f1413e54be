"""What a kind of board is given of the delivered network, and inputs that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx

from hwprune_device.job import Target

if TYPE_CHECKING:
    from hwprune.network.data import Data

COMPARED_INPUTS = 8
"""Calibration images on which torch, ONNX and the boards must agree."""
_RANGES_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardForm:
    """A network for one kind of board."""

    model: bytes
    """ONNX in float32; with int8 in it where the board's precision is that."""
    inputs: np.ndarray
    """N C H W, to be compared on."""
    in_int8: bool = False
    """Whether the graph says what is computed in int8."""


def board_form(model: bytes, target: Target, data: Data) -> BoardForm:
    """The delivered network as boards of a target are given it.

    For int8 the ranges of its activations are those of all calibration images. They are put into
    the graph here, which every runtime takes them from, unless the target has TensorRT's builder
    find its own: then all these images go along.
    """
    if target.precision != "int8":
        return BoardForm(model=model, inputs=data.inputs("calibration", COMPARED_INPUTS).numpy())
    if target.options.get("calibration", "qdq") != "qdq":
        return BoardForm(model=model, inputs=data.calibration)
    inputs = data.inputs("calibration", COMPARED_INPUTS).numpy()
    return BoardForm(model=quantised(model, data.calibration), inputs=inputs, in_int8=True)


def quantised(model: bytes, images: np.ndarray) -> bytes:
    """The network with QuantizeLinear and DequantizeLinear, scaled for images (N C H W).

    Raises:
        ValueError: nothing in it can be quantised.
    """
    from hwprune_device.precision.quantized import with_qdq
    from hwprune_device.runtimes.ranges import observe_ranges

    graph = onnx.load_model_from_string(model)
    batches = ((images[at : at + _RANGES_BATCH],) for at in range(0, len(images), _RANGES_BATCH))
    return with_qdq(graph, observe_ranges(graph, batches)).SerializeToString()
