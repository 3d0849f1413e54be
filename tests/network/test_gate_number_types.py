"""The gate judges networks of any type of number: right plans pass, wrong ones are found."""

from __future__ import annotations

import dataclasses
import functools

import onnx
import pytest
import torch
from torch import nn

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.errors import NetworkError
from hwprune.network.gate import check_cut, trusted_base
from hwprune.network.trace import trace


class Typed(nn.Module):
    """Three convolutions between borders of other types."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.second, self.last = nn.Conv2d(12, 8, 3, padding=1), nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        return self.last(torch.relu(self.second(x)))


class Answers(Typed):
    """Says yes or no for each pixel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).sigmoid() > 0.5


class Classes(Typed):
    """Names the class of each pixel, in bytes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).argmax(1).to(torch.uint8)


class Pixels(Typed):
    """Takes bytes as a camera gives them, height and width first, and gives such."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x.permute(0, 3, 1, 2).float() / 255)
        return (y.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


class HalfInside(Typed):
    """Computes in float16 between borders of float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.half()).float()


IMAGE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
KINDS = {
    "float64": (lambda: Typed().double(), IMAGE.double()),
    "float16": (lambda: Typed().half(), IMAGE.half()),
    "float16 inside": (lambda: HalfInside().half(), IMAGE),
    "bfloat16": (lambda: Typed().bfloat16(), IMAGE.bfloat16()),
    "yes or no": (Answers, IMAGE),
    "places": (Classes, IMAGE),
    "bytes": (Pixels, (IMAGE.permute(0, 2, 3, 1) * 50 + 128).clamp(0, 255).to(torch.uint8)),
}


@functools.cache
def network(kind: str) -> tuple[nn.Module, BaseNetwork]:
    torch.manual_seed(0)
    make, example = KINDS[kind]
    module = make().eval()
    return module, make_base(trace(module, example))


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_plan_passes(kind: str) -> None:
    module, base = network(kind)
    assert {group.name: group.width for group in base.plan.groups} == {"first": 12, "second": 8}
    assert check_cut(base, module) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_passes_and_says_how_exactly(kind: str) -> None:
    base, left, record = trusted_base(network(kind)[1].onnx)
    assert left == () and record.candidates > 1 and record.worst_error < 1e-12
    assert base.plan.widths == (12, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_swapped_place_of_a_channel_is_found(kind: str) -> None:
    """Shapes fit, and of a norm's shift the wrong channels are taken."""
    base = network(kind)[1]
    axis = next(a for a in base.plan.axes if a.initializer == "norm.bias")
    (span,) = axis.spans
    first = dataclasses.replace(span, count=5)
    rest = dataclasses.replace(span, start=5, count=span.count - 5)
    wrong = dataclasses.replace(axis, spans=(rest, first))
    axes = tuple(wrong if a is axis else a for a in base.plan.axes)
    plan = dataclasses.replace(base.plan, axes=axes)
    assert check_cut(dataclasses.replace(base, plan=plan)) == ("first",)


@pytest.mark.parametrize("kind", KINDS)
def test_another_module_is_refused(kind: str) -> None:
    module, base = network(kind)
    torch.manual_seed(1)
    other = type(module)().to(next(module.parameters()).dtype)
    with pytest.raises(NetworkError, match="does not compute what the module computes"):
        check_cut(base, other)


def test_bytes_that_pick_rows_of_a_table_stay_in_it() -> None:
    table = nn.Sequential(nn.Embedding(3, 8), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = table

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.table(x.long())

    base = make_base(trace(Words(), torch.zeros(2, 5, dtype=torch.uint8)))
    assert onnx.load_model_from_string(base.onnx).graph.input[0].type.tensor_type.elem_type == 2
    assert check_cut(base) == ()
