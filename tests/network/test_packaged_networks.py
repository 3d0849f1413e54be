"""Trained networks that strangers deploy, as their packages ship them: read, normed, cut, run."""

from __future__ import annotations

import functools

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from hwprune.channels.base import BaseNetwork
from hwprune.network.gate import trusted_base
from hwprune.network.gate_record import GateRecord
from hwprune.network.graph_module import to_module, to_onnx
from hwprune.network.norms import with_norms
from hwprune.network.onnx_file import read_network
from hwprune.network.recalibration import recalibrate
from hwprune_device.cut import Cutter
from hwprune_device.output_structure import leaves_of
from hwprune_device.values import is_weight
from tests.network.packaged import PACKAGED, onnx_file
from tests.traced import relative

pytestmark = pytest.mark.heavy
CLOSE = 1e-3
"""Relative, in float32: the text detectors' own rounding on text is 5e-5 to float64."""


@functools.cache
def read(name: str) -> tuple[bytes, BaseNetwork, GateRecord]:
    """The network of the file with BatchNorm put back, and what the gate says of it."""
    network = PACKAGED[name]
    model = read_network(onnx_file(network), [network.shape])
    normed = with_norms(model, [(network.inputs(8, seed),) for seed in range(2)])
    base, left, record = trusted_base(normed)
    assert left == ()
    return model, base, record


def _run(model: bytes, data: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: data})


def _in_torch(model: bytes, data: np.ndarray) -> list[np.ndarray]:
    with torch.inference_mode():
        return [found.numpy() for found in leaves_of(to_module(model)(torch.from_numpy(data)))]


def _apart(given: list[np.ndarray], expected: list[np.ndarray]) -> float:
    return max(relative(a, b) for a, b in zip(given, expected, strict=True))


def _parameters(model: bytes) -> int:
    graph = onnx.load_model_from_string(model).graph
    return sum(int(np.prod(t.dims)) for t in graph.initializer if is_weight(t))


@pytest.mark.parametrize("name", PACKAGED)
def test_read_and_normed_it_computes_what_the_file_does(name: str) -> None:
    network = PACKAGED[name]
    model, base, _ = read(name)
    data = network.inputs(3, 9)
    expected = _run(onnx_file(network).read_bytes(), data)
    assert base.inputs[0].any_batch and base.input_shape == network.shape
    assert _apart(_run(model, data), expected) < CLOSE
    assert _apart(_run(base.onnx, data), expected) < CLOSE
    assert _apart(_in_torch(base.onnx, data), expected) < CLOSE


@pytest.mark.parametrize("name", PACKAGED)
def test_cut_to_half_it_runs_alike_in_torch_and_in_onnx_runtime(name: str) -> None:
    network = PACKAGED[name]
    model, base, record = read(name)
    assert record.candidates and not record.untried
    assert len(base.plan.groups) == network.groups
    half = [np.arange(0, group.width, 2) for group in base.plan.groups]
    cut = Cutter(base.onnx, base.plan).cut(half)
    assert _parameters(cut) < network.kept * _parameters(model)
    module, data = to_module(cut), network.inputs(3, 9)
    recalibrate(module, [(torch.from_numpy(network.inputs(16, 1)),)])
    cut = to_onnx(module, cut)
    given = _in_torch(cut, data)
    assert _apart(given, _run(cut, data)) < CLOSE
    assert all(np.isfinite(found).all() and found.std() > 0 for found in given)
