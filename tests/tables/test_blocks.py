"""Blocks of a network between their neighbours: whole, small enough, and run by a real runtime."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune.channels.base import BaseNetwork
from hwprune.layer import channels
from hwprune.tables.blocks import COPIES, Window, windows_of
from hwprune_device.cut import Cutter
from tests.tables import small_nets

NETWORKS = {
    name: getattr(small_nets, name)
    for name in ("chain", "residual", "repeated", "vectors", "tokens")
}
SIDES = ("inputs", "outputs")
by_name = pytest.mark.parametrize("name", NETWORKS)


def run(base: BaseNetwork, widths: tuple[int, ...], batch: int = 1) -> list[np.ndarray]:
    """Outputs of a candidate in ONNX Runtime, its first channels kept."""
    keep = [np.arange(width) for width in widths]
    session = onnxruntime.InferenceSession(
        Cutter(base.onnx, base.plan).cut(keep), providers=["CPUExecutionProvider"]
    )
    chance = np.random.default_rng(0)
    feeds = {
        entry.name: chance.standard_normal((batch, *entry.shape[1:])).astype(np.float32)
        for entry in base.inputs
    }
    return session.run(None, feeds)


@cache
def windows(name: str) -> list[Window]:
    return windows_of(NETWORKS[name]())


@by_name
def test_every_kind_of_layer_of_the_network_is_in_a_window(name):
    """Windows of equal blocks are measured once, so a layer is told by what it is."""

    def told(of: BaseNetwork) -> set[tuple]:
        full = np.array([of.widths])
        layers = of.cost_model.layers()
        sides = (channels([getattr(k, side) for k in layers], full)[0] for side in SIDES)
        return {(k.kind, *counts) for k, *counts in zip(layers, *sides, strict=True)}

    met = set().union(*(told(window.base) for window in windows(name)))
    assert told(NETWORKS[name]()) <= met


@by_name
def test_every_block_is_counted_once(name):
    found = windows(name)
    blocks = {"chain": 4, "residual": 8, "repeated": 8, "vectors": 4, "tokens": 4}[name]
    assert sum(window.count for window in found) == blocks
    assert len({window.base.architecture for window in found}) == len(found)


def test_blocks_that_are_alike_are_measured_once():
    found = {window.name: window.count for window in windows("repeated") if window.count}
    # Six alike in a row, of which the first one and the last two have other neighbours.
    assert found == {"0": 1, "2": 1, "4": 3, "10": 1, "12": 1, "16": 1}


@by_name
def test_a_window_is_named_by_a_layer_of_its_own(name):
    layers = {layer.name for layer in NETWORKS[name]().cost_model.layers()}
    assert {window.name for window in windows(name) if window.count} <= layers


@by_name
def test_what_feeds_and_drains_a_window_is_measured_alone(name):
    ends = [window for window in windows(name) if not window.count]
    assert ends
    for window in ends:
        assert len(window.base.cost_model.layers()) == 2
        assert len(window.base.plan.groups) == 1


@by_name
def test_copies_have_one_copys_widths_in_turn_and_no_more_than_its_weights_and_work(name):
    base = NETWORKS[name]()
    for window in windows(name):
        assert 1 <= window.copies <= COPIES
        assert window.measured.widths == window.base.widths * window.copies
        names = [group.name for group in window.measured.plan.groups]
        assert len(set(names)) == len(names)
        one = window.base.cost_model
        all_ = window.measured.cost_model
        assert all_.macs(window.measured.widths) == window.copies * one.macs(window.base.widths)
        weights, work = base.cost_model.params(base.widths), base.cost_model.macs(base.widths)
        if window.copies > 1:
            assert all_.params(window.measured.widths) <= 1.5 * weights
            assert all_.macs(window.measured.widths) <= 1.5 * work


@by_name
def test_a_window_cut_to_any_widths_runs_and_each_copy_gives_the_same(name):
    for window in windows(name):
        for share in (1.0, 0.3):
            widths = tuple(max(1, round(share * width)) for width in window.base.widths)
            one = run(window.base, widths)
            many = run(window.measured, widths * window.copies)
            assert len(many) == window.copies * len(one)
            for number, output in enumerate(many):
                assert np.isfinite(output).all()
                np.testing.assert_allclose(output, one[number % len(one)], rtol=1e-5, atol=1e-6)


@settings(max_examples=10)
@given(st.data())
def test_a_window_cut_group_by_group_runs(data):
    window = data.draw(st.sampled_from(windows("residual")))
    widths = tuple(data.draw(st.integers(1, width)) for width in window.base.widths)
    assert all(np.isfinite(output).all() for output in run(window.base, widths))


def test_a_network_of_one_block_has_no_window():
    assert windows_of(small_nets.alone()) == []


def test_the_input_of_the_network_stays_the_input_of_its_first_window():
    for name, make in NETWORKS.items():
        first = windows(name)[0]
        assert [entry.shape for entry in first.base.inputs] == [
            entry.shape for entry in make().inputs
        ]


def test_windows_of_tokens_and_vectors_keep_their_axes():
    for window in windows("tokens"):
        assert all(len(entry.shape) == 3 for entry in window.base.inputs)
    for window in windows("vectors"):
        assert all(len(entry.shape) == 2 for entry in window.base.inputs)


def test_windows_are_networks_that_onnx_accepts():
    for name in NETWORKS:
        for window in windows(name):
            onnx.checker.check_model(onnx.load_model_from_string(window.measured.onnx))
