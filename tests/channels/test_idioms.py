"""Ways to write things in torch that graphs know nothing of: shared heads, changes in place."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwprune.channels.base import make_base
from hwprune.network.gate import check_cut
from hwprune.network.silencing import silenced
from hwprune.network.trace import trace
from hwprune_device.cut import Cutter
from tests.traced import relative, run_onnx


class _Attention(nn.Module):
    """Six heads of queries, fewer of keys and values."""

    def __init__(self, heads: int, form: str) -> None:
        super().__init__()
        self.heads, self.form = heads, form
        self.into, self.query = nn.Linear(10, 16), nn.Linear(16, 6 * 8)
        self.key, self.value = nn.Linear(16, heads * 8), nn.Linear(16, heads * 8)
        self.out, self.last = nn.Linear(6 * 8, 16), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.into(x))
        batch, length, _ = x.shape
        query, key, value = (
            layer(x).view(batch, length, -1, 8).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        if self.form == "repeated":
            key, value = (part.repeat_interleave(6 // self.heads, 1) for part in (key, value))
        seen = F.scaled_dot_product_attention(
            query, key, value, enable_gqa=self.form == "by torch"
        )
        return self.last(x + self.out(seen.transpose(1, 2).reshape(batch, length, -1)))


@pytest.mark.parametrize(
    "form, heads, width, unit",
    [
        ("repeated", 2, 2, 24),
        ("repeated", 3, 3, 16),
        ("by torch", 1, 6, 8),
        pytest.param("repeated", 1, 6, 8, marks=pytest.mark.heavy),
        pytest.param("by torch", 2, 2, 24, marks=pytest.mark.heavy),
        pytest.param("by torch", 3, 3, 16, marks=pytest.mark.heavy),
    ],
)
def test_heads_that_share_keys_are_cut_with_them(
    heads: int, width: int, unit: int, form: str
) -> None:
    module = _Attention(heads, form).eval()
    base = make_base(trace(module, torch.randn(1, 5, 10)))
    assert [(g.name, g.width, g.unit) for g in base.plan.groups] == [
        ("into", 16, 1),
        ("query", width, unit),
    ]
    assert check_cut(base, module) == ()


class _InPlace(nn.Module):
    """Some channels of a map are changed where they are."""

    def __init__(self, part: slice) -> None:
        super().__init__()
        self.part = part
        self.first, self.last = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 2, 1)
        self.other = nn.Conv2d(3, 6, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = F.relu(self.first(x))
        wide[:, self.part] += F.relu(self.other(x))
        return self.last(wide)


@pytest.mark.parametrize(
    "part, widths",
    [(slice(None, 6), [6, 10]), (slice(4, 10), [4, 6, 6]), (slice(10, None), [10, 6])],
)
def test_channels_that_are_added_to_in_place_are_cut(part: slice, widths: list[int]) -> None:
    module = _InPlace(part).eval()
    base = make_base(trace(module, torch.randn(1, 3, 8, 8)))
    assert [group.width for group in base.plan.groups] == widths
    assert check_cut(base, module) == ()
    operators = {node.op_type for node in onnx.load_model_from_string(base.onnx).graph.node}
    assert operators == {"Conv", "Relu", "Slice", "Add", "Transpose", "Concat"}


class _Gated(nn.Module):
    """A cell whose state starts with zeros of the input's batch, run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gates = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(14, 24, 3, padding=1)
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = F.relu(self.first(x))
        state = held = x.new_zeros(x.shape[0], 6, 8, 8)
        for _ in range(2):
            parts = self.gates(torch.cat([seen, state], 1)).chunk(4, 1)
            held = parts[0].sigmoid() * held + parts[1].sigmoid() * parts[2].tanh()
            state = parts[3].sigmoid() * held.tanh()
        return self.last(state)


def test_state_of_zeros_is_cut_with_what_is_added_to_it() -> None:
    example = torch.randn(2, 3, 8, 8)
    base = make_base(trace(_Gated().eval(), example))
    assert [(g.name, g.width) for g in base.plan.groups] == [("first", 8), ("gates", 6)]
    keep = [np.array([0, 2, 3, 7]), np.array([1, 4, 5])]
    cut = run_onnx(Cutter(base.onnx, base.plan).cut(keep), example)
    assert relative(cut, run_onnx(silenced(base.onnx, base.plan, keep), example)) < 1e-5
