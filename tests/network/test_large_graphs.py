"""Reading and analysing take time that grows as the network does, and bounded memory."""

from __future__ import annotations

import time

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from hwprune.channels.base import make_base
from hwprune.network.onnx_file import read_network
from tests.channels.small_graphs import parsed


def _chain(path, blocks: int):  # type: ignore[no-untyped-def]
    """Four nodes a block: a convolution, two activations, a product; none has a name."""
    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for k in range(blocks):
        shape = (4, 3 if k == 0 else 4, 1, 1)
        array = rng.standard_normal(shape).astype(np.float32)
        weights.append(numpy_helper.from_array(array, f"w{k}"))
        nodes += [
            helper.make_node("Conv", [last, f"w{k}"], [f"a{k}"]),
            helper.make_node("Relu", [f"a{k}"], [f"b{k}"]),
            helper.make_node("Sigmoid", [f"b{k}"], [f"c{k}"]),
            helper.make_node("Mul", [f"b{k}", f"c{k}"], [f"d{k}"]),
        ]
        last = f"d{k}"
    ends = [
        helper.make_tensor_value_info(name, 1, ["N", size, 8, 8])
        for name, size in (("x", 3), (last, 4))
    ]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


@pytest.mark.heavy
def test_ten_times_the_nodes_take_about_ten_times_as_long(tmp_path) -> None:
    spent = []
    for blocks in (200, 2000):
        path = _chain(tmp_path / f"{blocks}.onnx", blocks)
        start = time.process_time()
        base = make_base(read_network(path))
        costs = base.cost_model.group_costs()
        spent.append(time.process_time() - start)
        assert len(costs) == blocks - 1 and costs[1].params == 3 * 4 * 2
    # Any part that is quadratic makes it a hundred times.
    assert spent[1] < 25 * spent[0]


@pytest.mark.heavy
def test_a_constant_too_large_to_work_out_stays_computed(tmp_path) -> None:
    text = """g (float[N,4] x) => (float y) {
        s = Constant<value_ints=[40000,40000]>() f = ConstantOfShape<value = float[1] {0.5}>(s)
        m = ReduceSum<keepdims=0>(f) y = Add(x, m) }"""
    (tmp_path / "net.onnx").write_bytes(parsed(text))
    assert len(read_network(tmp_path / "net.onnx")) < 10_000
