"""Axes and sizes that an exporter wrote as one number, as the lists that ONNX asks for."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

_LISTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("Squeeze", "Unsqueeze", "Reshape", "Expand", "Tile", "Split", "TopK"), (1,)),
    **dict.fromkeys(
        ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1"), (1,)
    ),
    **dict.fromkeys(("ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"), (1,)),
    "ConstantOfShape": (0,),
    "Slice": (1, 2, 3, 4),
    "Pad": (1, 3),
}
"""Inputs that are lists, by op."""
_NUMBERS = {"CumSum": (1,)}
"""Inputs that are one number."""


def write_lists(graph: onnx.GraphProto) -> None:
    """Give constants of the wrong rank the right one, in place; a runtime reads both alike."""
    known = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute:
            for attribute in node.attribute:
                if attribute.name == "value_int":
                    known[node.output[0]] = onnx.helper.make_tensor(
                        "", onnx.TensorProto.INT64, [], [attribute.i]
                    )
                elif attribute.name == "value":
                    known[node.output[0]] = attribute.t
    for node in graph.node:
        for table, rank in ((_LISTS, 1), (_NUMBERS, 0)):
            for position in table.get(node.op_type, ()):
                tensor = known.get(node.input[position]) if position < len(node.input) else None
                if tensor is not None and len(tensor.dims) == 1 - rank and _holds_one(tensor):
                    _rewrite(graph, node, position, tensor, rank)


def _holds_one(tensor: onnx.TensorProto) -> bool:
    return list(tensor.dims) in ([], [1])


def _rewrite(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    position: int,
    tensor: onnx.TensorProto,
    rank: int,
) -> None:
    name = f"{node.input[position]}/{node.output[0]}"
    array = numpy_helper.to_array(tensor).reshape([1] * rank)
    # A new constant, because other nodes may read the old one as it is.
    graph.initializer.append(numpy_helper.from_array(array, name))
    node.input[position] = name
