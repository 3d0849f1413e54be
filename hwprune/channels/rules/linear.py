"""Matrix products."""

from __future__ import annotations

import onnx

from hwprune.channels.rules.registry import rule
from hwprune.channels.walk import Walk, attribute


@rule("Gemm")
def gemm(walk: Walk, node: onnx.NodeProto) -> None:
    """A N K times B K M (or M K with transB), plus C -> N M."""
    data, weight = node.input[0], node.input[1]
    if weight not in walk.weights or attribute(node, "transA", 0):
        walk.freeze_all(list(node.input), f"{node.name} multiplies two computed matrices")
        return
    transposed = int(attribute(node, "transB", 0))
    inside, out = walk.axis(weight, transposed), walk.axis(weight, 1 - transposed)
    assert inside is not None and out is not None
    walk.tie(walk.axis(data, 1), inside, f"input of {node.name}")
    if len(node.input) > 2 and node.input[2] and walk.size(node.input[2], -1) != 1:
        walk.tie(walk.axis(node.input[2], -1), out, f"bias of {node.name}")
    walk.readers.append((node.name, inside))
    walk.writers.append((node.name, out))
    walk.give(node.output[0], (walk.axis(data, 0), out))


@rule("MatMul")
def matmul(walk: Walk, node: onnx.NodeProto) -> None:
    """x ... K times W K M -> ... M; a product of two activations (attention) stays whole."""
    data, weight = node.input[0], node.input[1]
    if weight not in walk.weights or walk.rank(weight) != 2 or data in walk.weights:
        walk.freeze_all(list(node.input), f"{node.name} multiplies two computed matrices")
        return
    inside, out = walk.axis(weight, 0), walk.axis(weight, 1)
    assert inside is not None and out is not None
    walk.tie(walk.axis(data, -1), inside, f"input of {node.name}")
    walk.readers.append((node.name, inside))
    walk.writers.append((node.name, out))
    walk.give(node.output[0], (*walk.activation(data)[:-1], out))
