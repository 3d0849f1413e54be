"""Layers by name: by the path of their weights, else by their node, and fused ones together."""

from __future__ import annotations

import onnx

from hwprune_device.layers import Layers
from tests.channels.small_graphs import conv_net

BODY = (
    "b = Conv(a, block.one.weight) r = Relu(b) c = Conv(r, block.two.weight)"
    " s = Add(c, a) t = Transpose <perm=[1,0,2,3]>(last2.weight) z = Conv(s, t)"
)
SHAPES = {
    "block.one.weight": (8, 8, 1, 1),
    "block.two.weight": (8, 8, 1, 1),
    "last2.weight": (8, 8, 1, 1),
    "last.weight": (4, 8, 1, 1),
}


def layers() -> Layers:
    graph = onnx.load_model_from_string(conv_net(BODY, SHAPES)).graph
    for node in graph.node:
        node.name = f"{node.op_type}_{node.output[0]}"
    return Layers(graph)


def test_a_layer_has_the_path_of_its_weights_also_where_they_are_turned():
    found = layers()
    names = [found.name(value) for value in ("a", "b", "z", "y")]
    assert names == ["first", "block.one", "last2", "last"]


def test_what_has_no_weights_has_its_nodes_name():
    found = layers()
    assert [found.name(value) for value in ("r", "s")] == ["Relu_r", "Add_s"]
    assert found.made_by("Add_s") == "s" and found.made_by("Mul_s") == ""
    assert "s" in found and "block.one.weight" not in found


def test_a_fused_kernel_is_the_layer_that_multiplies_in_it():
    found = layers()
    assert found.behind("r", {"a"}) == "block.one"
    assert found.behind("s", {"a", "r"}) == "block.two"
    assert found.behind("s", {"a", "c"}) == "Add_s"


def test_a_kernel_of_several_layers_names_them_all():
    assert layers().behind("s", {"a"}) == "block.one + block.two"
