"""A file for batch 1 runs at any batch where that is the same, and at its own elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwprune.channels.base import make_base
from hwprune.network.gate import trusted_base
from hwprune.network.onnx_file import read_network
from tests.channels.small_graphs import parsed
from tests.network.test_onnx_file import exported, shuffled
from tests.traced import relative, run_onnx
from tests.unusual import Encoder, GroupNormed, TorchEncoder, UNet, Waves


class _ClassToken(nn.Module):
    """A row that is no input's joins those of the input: a file for batch 1 has it once."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.out = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.cat([self.token.expand(len(x), -1, -1), x], 1))


class _Mixing(nn.Module):
    """What comes out for an item hangs on the others."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x) / (1 + x.square().mean())


IMAGES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
FREE = {
    "views of channels": (shuffled, IMAGES),
    "group norm": (GroupNormed, IMAGES),
    "u-net": (UNet, IMAGES),
    "one axis": (Waves, IMAGES[:, :2].flatten(2)[:, :, :64]),
    "attention": (Encoder, torch.arange(30).reshape(3, 10)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FREE)
def test_a_batch_of_one_becomes_any_batch(name: str, tmp_path) -> None:
    make, data = FREE[name]
    torch.manual_seed(0)
    path = exported(make(), tmp_path / "net.onnx", 17, data=data[:1], dynamic_axes=None)
    base, left, record = trusted_base(read_network(path))
    assert [entry.any_batch for entry in base.inputs] == [True]
    alone = [run_onnx(path.read_bytes(), item) for item in data.split(1)]
    assert relative(run_onnx(base.onnx, data), np.concatenate(alone)) < 1e-5
    assert left == () and record.candidates > 1 and base.plan.groups


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [_ClassToken, _Mixing, TorchEncoder])
def test_a_batch_that_cannot_be_freed_stays_as_it_is(make, tmp_path) -> None:
    data = IMAGES[:, 0, :8, :6]
    path = exported(make(), tmp_path / "net.onnx", 17, data=data[:1], dynamic_axes=None)
    base = make_base(read_network(path))
    assert [(entry.any_batch, entry.shape) for entry in base.inputs] == [(False, (1, 8, 6))]
    assert relative(run_onnx(base.onnx, data[:1]), run_onnx(path.read_bytes(), data[:1])) < 1e-5


def test_a_reshape_that_infers_another_axis_is_turned(tmp_path) -> None:
    body = (
        "s = Constant<value_ints=[6, 4]>() a = Reshape(x, s) b = Relu(a)"
        " t = Constant<value_ints=[1, -1, 2]>() y = Reshape(b, t)"
    )
    model = parsed(f"g (float[1,6,2,2] x) => (float[1,12,2] y) {{ {body} }}")
    (tmp_path / "net.onnx").write_bytes(model)
    base = make_base(read_network(tmp_path / "net.onnx"))
    data = torch.randn(3, 6, 2, 2)
    alone = [run_onnx(model, item) for item in data.split(1)]
    assert base.inputs[0].any_batch
    assert (run_onnx(base.onnx, data) == np.concatenate(alone)).all()


def test_outputs_that_tell_no_items_apart_show_nothing(tmp_path) -> None:
    model = parsed("g (float[1,4] x) => (float[1,4] y) { n = Abs(x) m = Neg(n) y = Relu(m) }")
    (tmp_path / "net.onnx").write_bytes(model)
    assert not make_base(read_network(tmp_path / "net.onnx")).inputs[0].any_batch


def test_a_batch_told_on_another_axis_is_told_for_all_inputs(tmp_path) -> None:
    model = parsed(
        "g (float[batch,4] x, float[2,batch,4] state) => (float[batch,4] y, float[M,K,4] after)"
        " { after = Add(state, x) o = Constant<value_ints=[0]>()"
        " y = ReduceSum<keepdims=0>(after, o) }"
    )
    (tmp_path / "net.onnx").write_bytes(model)
    base = make_base(read_network(tmp_path / "net.onnx", [(1, 4), (2, 1, 4)]))
    assert [(i.shape, i.any_batch) for i in base.inputs] == [((1, 4), False), ((2, 1, 4), False)]
