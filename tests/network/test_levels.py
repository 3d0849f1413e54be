"""Sizes that the gate gives to the weights which it draws."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from hwprune.network.levels import Levelling


class Counted(nn.Module):
    """A linear layer beside a product of whole numbers, as exporters compute sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3, bias=False)
        self.register_buffer("three", torch.tensor(3))

    def forward(self, data: torch.Tensor, count: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.layer(data), torch.mul(count, self.three)


def test_a_layer_gets_a_size_of_one_and_whole_numbers_stay_what_they_are() -> None:
    levelling = Levelling(fx.symbolic_trace(Counted()), {"layer.weight"})
    result, count = levelling.run(torch.randn(16, 4) * 100, torch.tensor(5))
    assert float(result.detach().square().mean().sqrt()) == pytest.approx(1, rel=1e-3)
    assert levelling.factors["layer.weight"] < 0.1
    assert int(count) == 15
