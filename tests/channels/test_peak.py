"""Peak activations counted from the graph, against what ONNX Runtime's allocator gives out."""

from __future__ import annotations

import numpy as np
import pytest

from hwprune.channels.peak import count_peak
from hwprune_device.cut import Cutter
from hwprune_device.job import Target
from hwprune_device.runtimes.onnxrt.runtime import OnnxRuntime
from tests.traced import traced

FILLED = 16
"""Channels that fill a block on every processor: nothing is copied then."""


@pytest.mark.parametrize(
    "name", ["cifar_resnet20", pytest.param("resnet18", marks=pytest.mark.heavy)]
)
def test_networks_whose_channels_fill_blocks_take_what_is_counted(name):
    base = traced(name).base
    peak, cutter = count_peak(base.onnx, base.plan), Cutter(base.onnx, base.plan)
    chance = np.random.default_rng(0)
    for _ in range(6):
        widths = [
            min(g.width, FILLED * int(chance.integers(1, 1 + max(1, g.width // FILLED))))
            for g in base.plan.groups
        ]
        network = OnnxRuntime().load(cutter.cut_to(widths), Target(), {"batch": 1}, lambda: None)
        network.weigh()
        network.close()
        counted = peak.terms(np.array([widths]))[0, 0] / 1e6
        # The network's input is the caller's, and some kernels keep a few KB for themselves.
        assert network.memory.activations_mb == pytest.approx(counted, rel=0.1)


def test_a_network_that_concatenates_and_one_with_numbers_in_its_graph_are_counted():
    for name in ("short_mobilenet", "flatten_vgg"):
        base = traced(name).base
        peak = count_peak(base.onnx, base.plan)
        assert (peak.per_unit >= 0).all() and peak.per_unit.max() > 0
