"""A small chain of convolutions as an ONNX model, for tests of the board side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hwprune_device.job import CandidateJob, Job, Protocol, Target
from hwprune_device.plan import AxisCut, ChannelGroup, CutPlan, LiteralCut, Span

WIDTHS = (16, 32, 32)
QUICK = Protocol(rounds=3, max_rounds=3, disturbed_rounds=1, timeout_s=30.0)


def chain(
    widths: Sequence[int] = WIDTHS,
    *,
    size: int = 16,
    tail: Sequence[NodeProto] = (),
    constants: Sequence[TensorProto] = (),
) -> bytes:
    """Convolutions of the given widths with ReLU on N x 3 x size x size, then 10 logits.

    `tail` nodes turn "logits" into "y"; `constants` are initializers that they read.
    """
    random = np.random.default_rng(0)
    nodes, weights, value, channels = [], list(constants), "x", 3
    for layer, width in enumerate(widths):
        kernel = random.standard_normal((width, channels, 3, 3)) * (2 / 9 / channels) ** 0.5
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"w{layer}"))
        conv = [value, f"w{layer}"]
        nodes += [
            helper.make_node("Conv", conv, [f"c{layer}"], name=f"conv{layer}", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"], name=f"relu{layer}"),
        ]
        value, channels = f"r{layer}", width
    matrix = random.standard_normal((10, channels)).astype(np.float32)
    weights.append(numpy_helper.from_array(matrix, "fc"))
    last = "logits" if tail else "y"
    nodes += [
        helper.make_node("GlobalAveragePool", [value], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc"], [last], name="gemm", transB=1),
        *tail,
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, size, size])
    logits = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])
    graph = helper.make_graph(nodes, "chain", [image], [logits], weights)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def plan(widths: Sequence[int] = WIDTHS, literals: Sequence[LiteralCut] = ()) -> CutPlan:
    """One group a convolution; its channels are read by the next layer."""
    groups, axes = [], []
    readers = [f"w{layer}" for layer in range(1, len(widths))] + ["fc"]
    for layer, (width, reader) in enumerate(zip(widths, readers, strict=True)):
        whole = (Span(group=layer, start=0, count=width),)
        groups.append(ChannelGroup(name=f"conv{layer}", width=width, members=(f"conv{layer}",)))
        axes.append(AxisCut(initializer=f"w{layer}", axis=0, spans=whole))
        axes.append(AxisCut(initializer=reader, axis=1, spans=whole))
    return CutPlan(groups=tuple(groups), axes=tuple(axes), literals=tuple(literals))


def job(
    candidates: Sequence[Sequence[int]],
    *,
    protocol: Protocol = QUICK,
    widths: Sequence[int] = WIDTHS,
    base_nominal_ms: float | None = None,
    target: Target | None = None,
) -> Job:
    """A job whose candidates are named by their widths."""
    return Job(
        job_id="test",
        base_id="chain",
        base_architecture=name(widths),
        base_widths=tuple(widths),
        target=target or Target(),
        protocol=protocol,
        candidates=tuple(CandidateJob(architecture=name(c), widths=tuple(c)) for c in candidates),
        base_nominal_ms=base_nominal_ms,
    )


def name(widths: Sequence[int]) -> str:
    """What these tests call an architecture."""
    return "x".join(map(str, widths))
