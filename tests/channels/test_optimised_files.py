"""Files that ONNX Runtime has quantised or optimised are cut, or say why they are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    quantize_dynamic,
    quantize_static,
)
from torch import nn

from hwprune.channels.base import make_base
from hwprune.network.gate import check_cut
from hwprune.network.onnx_file import imported
from hwprune.network.trace import trace
from hwprune_device.cut import Cutter
from hwprune_device.values import value_shapes
from tests.traced import run_onnx

GROUPS = [("first", 8), ("second", 12)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with a depthwise convolution and a BatchNorm, as a file of floats."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("files") / "plain.onnx"
    path.write_bytes(trace(_Plain().eval(), torch.zeros(1, 3, 8, 8)))
    return path


class _Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 12, 3)
        self.norm, self.each = nn.BatchNorm2d(12), nn.Conv2d(12, 12, 3, groups=12)
        self.last = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.second(torch.relu(self.first(x)))))
        return self.last(torch.relu(self.each(x)).mean((2, 3)))


class _Noise(CalibrationDataReader):
    def __init__(self) -> None:
        self._items: Iterator[dict[str, np.ndarray]] = iter([{"x": _inputs()}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._items, None)


def _inputs() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((1, 3, 8, 8)).astype(np.float32)


def _quantised(plain: Path, form: QuantFormat, *, per_channel: bool = False) -> bytes:
    path = plain.with_name(f"{form.name}{per_channel}.onnx")
    quantize_static(plain, path, _Noise(), quant_format=form, per_channel=per_channel)
    return imported(onnx.load(path))


@pytest.mark.parametrize("per_channel", [False, True])
def test_integer_weights_are_cut_with_their_scales_and_zero_points(
    plain: Path, per_channel: bool
) -> None:
    base = make_base(_quantised(plain, QuantFormat.QDQ, per_channel=per_channel))
    assert [(group.name, group.width) for group in base.plan.groups] == GROUPS
    assert check_cut(base) == ()
    cut = Cutter(base.onnx, base.plan).cut_to([5, 7])
    assert run_onnx(cut, torch.from_numpy(_inputs())).shape == (1, 4)
    proto = onnx.load_model_from_string(cut)
    shapes = value_shapes(proto)
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    nodes = {node.output[0]: node for node in proto.graph.node}
    second = next(node for node in proto.graph.node if node.name == "second/Conv")
    weight = nodes[second.input[1]]
    assert weight.op_type == "DequantizeLinear" and shapes[second.input[1]] == (7, 5, 3, 3)
    assert numpy_helper.to_array(tensors[weight.input[0]]).dtype == np.int8
    assert [shapes[name] for name in weight.input[1:]] == [(7,) if per_channel else ()] * 2


def test_costs_of_integer_weights_are_those_of_floats(plain: Path) -> None:
    floats = make_base(plain.read_bytes())
    integers = make_base(_quantised(plain, QuantFormat.QDQ))
    for widths in ([8, 12], [5, 7]):
        assert integers.cost_model.macs(widths) == floats.cost_model.macs(widths)
    cut = Cutter(integers.onnx, integers.plan).cut_to([5, 7])
    assert make_base(cut).architecture == integers.architecture_of([5, 7])


def test_layers_of_integers_say_what_file_to_give(plain: Path) -> None:
    path = plain.with_name("dynamic.onnx")
    quantize_dynamic(plain, path)
    for model in (_quantised(plain, QuantFormat.QOperator), imported(onnx.load(path))):
        plan = make_base(model).plan
        assert plan.groups == ()
        named = dict(plan.frozen)
        assert {"first", "second", "each", "last"} <= set(named)
        assert "it computes in integers; give the float network" in named["second"]


def test_fused_layers_say_how_to_save_the_file_without_fusion(plain: Path) -> None:
    options = onnxruntime.SessionOptions()
    path = plain.with_name("optimised.onnx")
    options.optimized_model_filepath = str(path)
    level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.graph_optimization_level = level
    onnxruntime.InferenceSession(plain.read_bytes(), options, ["CPUExecutionProvider"])
    named = dict(make_base(imported(onnx.load(path))).plan.frozen)
    assert {"first", "second", "each", "last"} <= set(named)
    assert "FusedConv" in named["second"] and "ORT_DISABLE_ALL" in named["second"]
