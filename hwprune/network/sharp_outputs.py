"""Outputs that are answers (yes or no, a place, a whole number) show little of what is computed.

With them are given the numbers that they were made of, in which a small difference can be seen.
"""

from __future__ import annotations

import onnx
from onnx import shape_inference

from hwprune_device.values import weightless

_STEPS = {
    *("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Not", "And", "Or", "Xor"),
    *("ArgMax", "ArgMin", "TopK", "Cast", "Round", "Floor", "Ceil", "Sign", "IsNaN", "IsInf"),
}
"""Ops whose result stays the same while their input moves a little."""
_PASSING = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity"}
_FLOATS = (
    *(onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE),
    *(onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16),
)


def with_sharp_outputs(model: bytes) -> bytes:
    """The model with one more output for every float that an answer at its end is made of."""
    proto = onnx.load_model_from_string(model)
    producers = {name: node for node in proto.graph.node for name in node.output}
    ends = [value.name for value in proto.graph.output]
    if not any(_is_stepped(producers.get(name)) for name in ends) and all(
        value.type.tensor_type.elem_type in _FLOATS for value in proto.graph.output
    ):
        return model
    kinds = _kinds(proto)
    for name in _sources(producers, kinds, ends):
        if name not in ends:
            # Without a shape, because a cut may change it.
            value = onnx.helper.make_empty_tensor_value_info(name)
            value.type.tensor_type.elem_type = kinds[name]
            proto.graph.output.append(value)
    return bytes(proto.SerializeToString())


def _is_stepped(node: onnx.NodeProto | None) -> bool:
    return node is not None and node.op_type in _STEPS


def _kinds(proto: onnx.ModelProto) -> dict[str, int]:
    graph = shape_inference.infer_shapes(weightless(proto)).graph
    values = (*graph.value_info, *graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def _sources(
    producers: dict[str, onnx.NodeProto], kinds: dict[str, int], ends: list[str]
) -> list[str]:
    """Computed floats that lead to the ends through steps alone."""
    found: dict[str, None] = {}
    waiting, seen = list(ends), set(ends)
    while waiting:
        name = waiting.pop()
        node = producers.get(name)
        if node is None:
            continue
        is_float = kinds.get(name) in _FLOATS
        if not _is_stepped(node) and is_float:
            found[name] = None
        elif _is_stepped(node) or node.op_type in _PASSING:
            more = [source for source in node.input if source and source not in seen]
            waiting += more
            seen.update(more)
    return list(found)
