"""What a graph computes of constants is worked out while it is small, and left alone before."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwprune.channels.shape_values import shape_values
from hwprune.network import folding_limit
from hwprune.network.folding_limit import EACH
from hwprune.network.onnx_file import read_network

Node = onnx.NodeProto
HUGE = 10**9


def node(op: str, *inputs: str, **attributes: object) -> Node:
    return helper.make_node(op, list(inputs), ["grown"], name=op, **attributes)


GROWING: dict[str, tuple[Node, dict[str, np.ndarray]]] = {
    "product": (
        node("Mul", "a", "b"),
        {"a": np.ones((20_000, 1), np.int64), "b": np.ones((1, 20_000), np.int64)},
    ),
    "tile": (node("Tile", "a", "n"), {"a": np.ones(1, np.int64), "n": np.array([HUGE])}),
    "expand": (node("Expand", "a", "n"), {"a": np.ones(1, np.int64), "n": np.array([HUGE])}),
    "range": (
        node("Range", "a", "n", "b"),
        {"a": np.array(0), "n": np.array(HUGE), "b": np.array(1)},
    ),
    "filled": (
        node("ConstantOfShape", "n", value=helper.make_tensor("v", TensorProto.INT64, [1], [3])),
        {"n": np.array([HUGE])},
    ),
    "pad": (node("Pad", "a", "n"), {"a": np.ones(1, np.int64), "n": np.array([HUGE, 0])}),
    "one hot": (
        node("OneHot", "a", "n", "b"),
        {"a": np.array([1, 2]), "n": np.array(HUGE), "b": np.array([0, 1])},
    ),
    "gather": (
        node("Gather", "a", "b"),
        {"a": np.ones((2, 50_000), np.int64), "b": np.zeros(20_000, np.int64)},
    ),
}


def model_of(grown: list[Node], constants: dict[str, np.ndarray], last: str) -> onnx.ModelProto:
    """x plus the largest number of what is computed of constants."""
    nodes = [
        *grown,
        helper.make_node("ReduceMax", [last], ["most"], name="most", keepdims=0),
        helper.make_node("Cast", ["most"], ["number"], name="number", to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "number"], ["y"], name="sum"),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in "xy"]
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", GROWING)
def test_what_would_grow_without_limit_stays_computed(name: str, tmp_path: Path) -> None:
    grown, constants = GROWING[name]
    file = tmp_path / "g.onnx"
    model = model_of([grown], constants, "grown")
    # What the file says of a size is not believed.
    model.graph.value_info.append(helper.make_tensor_value_info("grown", TensorProto.INT64, [1]))
    onnx.save(model, file)
    found: list[bytes] = []
    assert peak_of(lambda: found.append(read_network(file))) < 2 * EACH
    ops = [n.op_type for n in onnx.load_model_from_string(found[0]).graph.node]
    assert grown.op_type in ops


def test_many_constants_are_worked_out_up_to_a_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding_limit, "ALL", 2**20)
    size = 2**14  # numbers of 8 bytes
    sizes = {f"n{k}": np.array([size]) for k in range(12)} | {"a": np.ones(1, np.int64)}
    tiles = [helper.make_node("Tile", ["a", f"n{k}"], [f"t{k}"], name=f"t{k}") for k in range(12)]
    total = helper.make_node("Sum", [f"t{k}" for k in range(12)], ["grown"], name="grown")
    onnx.save(model_of([*tiles, total], sizes, "grown"), tmp_path / "g.onnx")
    proto = onnx.load_model_from_string(read_network(tmp_path / "g.onnx"))
    assert 0 < sum(n.op_type == "Tile" for n in proto.graph.node) < 12


def test_masks_and_grids_of_real_networks_are_worked_out(tmp_path: Path) -> None:
    """A causal mask of 1024 x 1024, made of a range, as exporters write it."""
    wide = helper.make_node("Range", ["a", "n", "b"], ["row"], name="row")
    column = helper.make_node("Unsqueeze", ["row", "b"], ["column"], name="column")
    mask = helper.make_node("Sub", ["row", "column"], ["grown"], name="mask")
    axis = np.array([1])
    numbers = {"a": np.array(0), "n": np.array(1024), "b": np.array(1), "axis": axis}
    column.input[1] = "axis"
    onnx.save(model_of([wide, column, mask], numbers, "grown"), tmp_path / "g.onnx")
    proto = onnx.load_model_from_string(read_network(tmp_path / "g.onnx"))
    assert [n.op_type for n in proto.graph.node] == ["Add"]


@pytest.mark.parametrize("name", GROWING)
def test_sizes_that_are_computed_are_followed_without_making_them(name: str) -> None:
    grown, constants = GROWING[name]
    graph = model_of([grown], constants, "grown").graph
    found: list[dict[str, np.ndarray]] = []
    assert peak_of(lambda: found.append(shape_values(graph, {}))) < 2**22
    assert "grown" not in found[0]
