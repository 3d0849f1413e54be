"""Parts by ONNX Runtime's trace: kernels under the names of the network, whatever was fused."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from hwprune_device.job import Target
from hwprune_device.runtimes.onnxrt.parts import parts_of
from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime
from hwprune_device.runtimes.runtime import WARMING, Part
from tests.channels.small_graphs import conv_net

RESIDUAL = (
    "b = Conv(a, one.weight) r = Relu(b) c = Conv(r, two.weight) s = Add(c, a)"
    " m = HardSwish(s) e = GlobalAveragePool(m) z = Mul(m, e)"
)
SHAPES = {
    "one.weight": (16, 8, 1, 1),
    "two.weight": (8, 16, 1, 1),
    "last.weight": (4, 8, 1, 1),
}


def profiled(model: bytes, **options: object) -> list[Part]:
    target = Target(options={"denormals": "keep", **options})
    return OnnxRuntime("keep").profile(model, target, {"N": 1})


@pytest.mark.parametrize("optimization", ["none", "basic", "extended", "all"])
def test_every_kernel_has_its_layer_however_much_is_fused(optimization: str):
    parts = profiled(conv_net(RESIDUAL, SHAPES), optimization=optimization)
    convolutions = [part.layer for part in parts if "Conv" in part.op]
    assert convolutions == ["first", "one", "two", "last"]
    assert all(part.layer for part in parts), parts


def test_the_time_of_an_inner_graph_counts_once():
    """A network of one If, whose branch holds a convolution on a large map."""
    inner = [
        helper.make_node("Conv", ["x", "w"], ["inner"], name="in/Conv"),
        helper.make_node("Relu", ["inner"], ["out"], name="in/Relu"),
    ]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    branch = helper.make_graph(inner, "branch", [], [out])
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], name="sum", keepdims=0),
        helper.make_node("IsNaN", ["sum"], ["odd"], name="odd"),
        helper.make_node("If", ["odd"], ["y"], name="if", then_branch=branch, else_branch=branch),
    ]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 3, 5, 5], [0.1] * 300)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 64, 64])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [value], [result], [weight])
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    parts = profiled(model.SerializeToString())
    assert "If" in [part.op for part in parts] and "Conv" not in [part.op for part in parts]


def kernel(name: str, op: str, ts: int, dur: int) -> dict:
    args = {"op_name": op}
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "ts": ts,
        "dur": dur,
        "tid": 1,
        "args": args,
    }


def test_a_kernel_that_leads_back_to_no_layer_is_kept_with_its_operator():
    """As of a provider that compiles parts of the graph."""
    network = onnx.load_model_from_string(conv_net("z = Relu(a)", {"last.weight": (4, 8, 1, 1)}))
    optimised = onnx.GraphProto(node=[helper.make_node("Fused", ["x"], ["new"], name="fused_0")])
    runs = range(WARMING + 4)
    trace = [{"name": "model_run", "ts": 2000 * run, "dur": 1900} for run in runs]
    trace += [
        kernel("fused_0", "Fused", 2000 * run + 5, 1000 if run < WARMING else 50) for run in runs
    ]
    (part,) = parts_of(network.graph, optimised, trace)
    assert part == Part(name="fused_0", op="Fused", ms=0.05, layer="")
