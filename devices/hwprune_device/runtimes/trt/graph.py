"""The graph that TensorRT is given: fixed shapes, and the precision where it must lie in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from hwprune_device.precision.half import to_half
from hwprune_device.precision.quantized import is_quantized, with_qdq
from hwprune_device.runtimes.ranges import observe_ranges


def graph_for(
    model: bytes,
    free: Mapping[str, int],
    *,
    precision: str,
    calibration: str,
    strongly_typed: bool,
    inputs: Sequence[np.ndarray] | None = None,
) -> bytes:
    """A network as this generation of TensorRT wants it, with sizes for its symbolic dimensions.

    int8 becomes QuantizeLinear and DequantizeLinear in the graph, unless the builder shall find
    the ranges itself. Ranges come from `inputs` (N first, one array an input); without them they
    are made up, which is right for times and wrong for outputs.

    Raises:
        ValueError: this generation cannot do it.
    """
    graph = fixed(onnx.load_model_from_string(model), free)
    if precision == "int8":
        graph = _quantised(graph, calibration, strongly_typed, inputs)
    if strongly_typed:
        graph = _typed(graph, precision)
    return graph.SerializeToString()


def fixed(model: onnx.ModelProto, free: Mapping[str, int]) -> onnx.ModelProto:
    """The model with numbers in place of the named dimensions of its inputs and outputs."""
    for entry in (*model.graph.input, *model.graph.output):
        for dim in entry.type.tensor_type.shape.dim:
            if dim.dim_param in free:
                dim.dim_value = free[dim.dim_param]
    # Shapes in between were inferred for the name and would contradict the number.
    del model.graph.value_info[:]
    return model


def _quantised(
    graph: onnx.ModelProto,
    calibration: str,
    strongly_typed: bool,
    inputs: Sequence[np.ndarray] | None,
) -> onnx.ModelProto:
    if is_quantized(graph):
        return graph
    # Left plain: the builder of 10 puts the int8 in by itself.
    if calibration != "qdq":
        if strongly_typed:
            raise ValueError(
                f"calibration = {calibration} is of TensorRT 10; from 11 on ranges lie in the "
                "graph: calibration = qdq"
            )
        return graph
    return with_qdq(graph, None if inputs is None else observe_ranges(graph, [inputs]))


def _typed(graph: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    if precision == "bf16":
        return to_half(graph, "bf16")
    # What int8 leaves runs in fp16, as with the builder of 10.
    return to_half(graph, "fp16") if precision in ("fp16", "int8") else graph
