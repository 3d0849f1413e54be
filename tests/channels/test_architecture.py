"""The architecture hash sees structure: nothing else, and all of it."""

from __future__ import annotations

import random

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from hwprune.channels.architecture import architecture_hash
from hwprune.network.cut_module import cut_module
from hwprune.network.trace import trace
from hwprune_device.cut import Cutter
from tests.traced import NETWORKS, random_keep, random_widths, traced


def _shuffled(model: bytes, seed: int) -> bytes:
    """Nodes in a random topological order, initializers in any, all names new."""
    rng = random.Random(seed)
    proto = onnx.load_model_from_string(model)
    graph = proto.graph
    names = {value.name for value in graph.input} | {t.name for t in graph.initializer}
    done, waiting, order = set(names) | {""}, list(graph.node), []
    while waiting:
        ready = [node for node in waiting if done.issuperset(node.input)]
        node = rng.choice(ready)
        waiting.remove(node)
        order.append(node)
        done.update(node.output)
    names.update(output for node in order for output in node.output)
    fresh = [f"t{number}" for number in range(len(names))]
    rng.shuffle(fresh)
    new = {"": "", **dict(zip(sorted(names), fresh, strict=True))}
    nodes = [
        onnx.helper.make_node(
            node.op_type,
            [new[value] for value in node.input],
            [new[value] for value in node.output],
            name=f"n{rng.random()}",
        )
        for node in order
    ]
    for node, old in zip(nodes, order, strict=True):
        node.attribute.extend(sorted(old.attribute, key=lambda _: rng.random()))
    initializers = [
        numpy_helper.from_array(numpy_helper.to_array(t), new[t.name]) for t in graph.initializer
    ]
    rng.shuffle(initializers)
    for value in (*graph.input, *graph.output):
        value.name = new[value.name]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(initializers)
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_and_names_do_not_matter(seed: int) -> None:
    network = traced("digits_cnn")
    model = Cutter(network.base.onnx, network.base.plan).cut(random_keep(network.base, seed))
    assert architecture_hash(_shuffled(model, seed)) == architecture_hash(model)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_any_changed_width_is_another_architecture(seed: int, data: st.DataObject) -> None:
    network = traced("cifar_resnet20")
    widths = list(random_widths(network.base, seed))
    group = data.draw(st.integers(0, len(widths) - 1))
    others = [w for w in range(1, network.base.widths[group] + 1) if w != widths[group]]
    changed = [*widths[:group], data.draw(st.sampled_from(others)), *widths[group + 1 :]]
    assert network.base.architecture_of(widths) != network.base.architecture_of(changed)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_which_units_are_kept_does_not_matter(seed: int) -> None:
    network = traced("cifar_resnet20")
    keep = random_keep(network.base, seed)
    cutter = Cutter(network.base.onnx, network.base.plan)
    widths = [len(units) for units in keep]
    assert architecture_hash(cutter.cut(keep)) == architecture_hash(cutter.cut_to(widths))


@pytest.mark.parametrize("name", NETWORKS)
def test_hash_from_widths_is_the_hash_of_the_cut_graph(name: str) -> None:
    network = traced(name)
    cutter = Cutter(network.base.onnx, network.base.plan)
    assert network.base.architecture == architecture_hash(network.base.onnx)
    for seed in range(3):
        widths = random_widths(network.base, seed)
        assert network.base.architecture_of(widths) == architecture_hash(cutter.cut_to(widths))


@pytest.mark.parametrize(
    "name",
    ["digits_cnn", pytest.param("cifar_resnet20", marks=pytest.mark.heavy)],
)
def test_exporting_the_cut_module_gives_the_same_architecture(name: str) -> None:
    network = traced(name)
    keep = random_keep(network.base, 5)
    module = cut_module(network.module, network.base.plan, keep)
    cut = Cutter(network.base.onnx, network.base.plan).cut(keep)
    assert architecture_hash(trace(module, network.example)) == architecture_hash(cut)


def test_hash_is_a_whole_sha256() -> None:
    assert len(bytes.fromhex(traced("digits_cnn").base.architecture)) == 32


def test_attributes_are_structure() -> None:
    proto = onnx.load_model_from_string(traced("digits_cnn").base.onnx)
    conv = next(node for node in proto.graph.node if node.op_type == "Conv")
    next(a for a in conv.attribute if a.name == "dilations").ints[0] = 2
    assert architecture_hash(proto.SerializeToString()) != traced("digits_cnn").base.architecture
