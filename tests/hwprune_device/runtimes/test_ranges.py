"""Ranges of activations: the same from ONNX Runtime and from ONNX's own evaluator."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest

from hwprune_device.precision.quantized import quantized_tensors
from hwprune_device.runtimes.onnxrt.options import DENORMALS
from hwprune_device.runtimes.ranges import observe_ranges
from tests.hwprune_device.networks import heard_and_read, heard_and_read_inputs
from tests.hwprune_device.precision.graphs import chain, weights


@pytest.fixture(autouse=True)
def keep_denormals(monkeypatch):
    """Of the tests' own process: flushing them would change arithmetic for all tests after."""
    monkeypatch.setenv(DENORMALS, "keep")


def test_observed_ranges_are_the_largest_values_of_all_batches(monkeypatch):
    base = chain()
    batches = [[weights(2, 3, 8, 8, seed=s)] for s in range(3)]
    found = observe_ranges(base, batches)
    assert found["x"] == pytest.approx(max(float(np.abs(b).max()) for (b,) in batches))
    assert tuple(found) == quantized_tensors(base)
    # A board without ONNX Runtime gets the same from ONNX's own evaluator.
    monkeypatch.setitem(sys.modules, "hwprune_device.runtimes.onnxrt.runtime", None)
    slow = observe_ranges(base, batches)
    assert slow == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("slow", [False, True])
def test_a_network_of_several_inputs_and_a_fixed_batch_is_seen_whole(monkeypatch, slow: bool):
    if slow:
        monkeypatch.setitem(sys.modules, "hwprune_device.runtimes.onnxrt.runtime", None)
    any_batch, in_twos = (
        onnx.load_model_from_string(heard_and_read(batch, names=("scores",)))
        for batch in (None, 2)
    )
    inputs = heard_and_read_inputs(5)
    found = observe_ranges(in_twos, [inputs])
    assert found["signal"] == pytest.approx(float(np.abs(inputs[0]).max()))
    assert found == pytest.approx(observe_ranges(any_batch, [inputs]), rel=1e-5)
    with pytest.raises(ValueError, match="takes 2 inputs"):
        observe_ranges(in_twos, [inputs[:1]])


def test_without_inputs_there_are_no_ranges():
    with pytest.raises(ValueError, match="at least one batch"):
        observe_ranges(chain(), [])
