"""A cut network computes exactly what the physically cut torch module computes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune.network.cut_module import cut_module
from hwprune_device.cut import Cutter
from tests.traced import NETWORKS, random_keep, random_widths, relative, run_onnx, traced


@pytest.mark.parametrize("name", NETWORKS)
def test_cut_graph_computes_what_the_cut_module_computes(name: str) -> None:
    network = traced(name)
    cutter = Cutter(network.base.onnx, network.base.plan)
    for seed in range(2):
        keep = random_keep(network.base, seed, least=0.1)
        model = cutter.cut(keep)
        onnx.checker.check_model(model, full_check=True)
        with torch.no_grad():
            expected = cut_module(network.module, network.base.plan, keep)(network.example)
        assert relative(run_onnx(model, network.example), expected.numpy()) < 1e-5


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_units_of_option_a_network_can_be_kept(seed: int) -> None:
    network = traced("cifar_resnet20")
    keep = random_keep(network.base, seed)
    model = Cutter(network.base.onnx, network.base.plan).cut(keep)
    with torch.no_grad():
        expected = cut_module(network.module, network.base.plan, keep)(network.example)
    assert relative(run_onnx(model, network.example), expected.numpy()) < 1e-5


def test_uncut_network_is_the_base_network() -> None:
    network = traced("cifar_resnet20")
    model = Cutter(network.base.onnx, network.base.plan).cut_to(network.base.widths)
    given, base = (onnx.load_model_from_string(m).graph for m in (model, network.base.onnx))
    assert list(given.node) == list(base.node)
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in given.initializer}
    for tensor in base.initializer:
        np.testing.assert_array_equal(arrays[tensor.name], onnx.numpy_helper.to_array(tensor))


def test_cut_to_widths_keeps_the_first_units() -> None:
    network = traced("digits_cnn")
    cutter = Cutter(network.base.onnx, network.base.plan)
    widths = random_widths(network.base, 3)
    assert cutter.cut_to(widths) == cutter.cut([np.arange(width) for width in widths])


def test_cuts_do_not_leak_into_the_next_one() -> None:
    network = traced("short_mobilenet")
    cutter = Cutter(network.base.onnx, network.base.plan)
    first = cutter.cut(random_keep(network.base, 1))
    cutter.cut(random_keep(network.base, 2))
    assert cutter.cut(random_keep(network.base, 1)) == first


def test_cut_graph_carries_no_shapes_of_the_base() -> None:
    network = traced("digits_cnn")
    model = Cutter(network.base.onnx, network.base.plan).cut_to([1] * len(network.base.widths))
    assert not onnx.load_model_from_string(model).graph.value_info


def test_one_graph_runs_at_any_batch() -> None:
    network = traced("digits_cnn")
    model = Cutter(network.base.onnx, network.base.plan).cut_to(random_widths(network.base, 3))
    for batch in (1, 3):
        assert run_onnx(model, network.example[:1].expand(batch, -1, -1, -1)).shape == (batch, 10)


@pytest.mark.parametrize(
    "units", [[0, 0], [1, 0], [-1, 2], [23, 24], [[0, 1]]], ids=lambda u: str(u)
)
def test_units_that_are_not_in_the_group_are_refused(units: list[int]) -> None:
    network = traced("digits_cnn")
    keep = [np.array(units), *random_keep(network.base, 0)[1:]]
    with pytest.raises(ValueError, match="group 'conv1' keeps some of its"):
        Cutter(network.base.onnx, network.base.plan).cut(keep)


def test_too_few_groups_are_refused() -> None:
    network = traced("digits_cnn")
    with pytest.raises(ValueError, match="3 groups were given, the plan has"):
        Cutter(network.base.onnx, network.base.plan).cut_to([1, 2, 3])
