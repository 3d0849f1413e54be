"""Values that are nothing but zeros, as recurrent layers start from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

_MOVES = ("Expand", "Slice", "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Cast", "Split")
"""Ops that make no other numbers of zeros."""


def are_zeros(
    value: str,
    producers: Mapping[str, onnx.NodeProto],
    constants: Mapping[str, onnx.TensorProto],
) -> bool:
    """Whether a value holds zeros alone, at any batch.

    Args:
        producers: nodes by what they give.
        constants: of the graph.
    """
    while value not in constants:
        maker = producers.get(value)
        if maker is None:
            return False
        if maker.op_type == "ConstantOfShape":
            filled = [numpy_helper.to_array(a.t) for a in maker.attribute if a.name == "value"]
            # Without a value ConstantOfShape fills with zeros.
            return not np.any(filled)
        if maker.op_type not in _MOVES:
            return False
        value = maker.input[0]
    return not numpy_helper.to_array(constants[value]).any()
