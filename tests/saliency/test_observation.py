"""Criteria that differentiate a network do so whatever it puts out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hwprune.errors import NetworkError
from hwprune.saliency.criteria import CRITERIA
from hwprune.saliency.observation import along_directions
from tests.digits import digits
from tests.saliency.subjects import plain_cnn, subject, traced


class Arranged(nn.Module):
    """The plain network with its outputs in another arrangement."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.net, self.form = plain_cnn(), form

    def extra_repr(self) -> str:
        """Part of the repr, which tells traced networks apart."""
        return self.form

    def forward(self, images: torch.Tensor) -> Any:
        scores = self.net(images)
        return {
            "alone": scores,
            "dict": {"scores": scores},
            "with its class": {"class": scores.argmax(1), "scores": [scores]},
            "in two parts": {"left": scores[:, :5], "right": (scores[:, 5:],)},
            "class": {"class": scores.argmax(1)},
        }[self.form]


def scores_of(name: str, form: str) -> list[np.ndarray]:
    return CRITERIA[name](subject(traced(Arranged(form)), digits()))


@pytest.mark.parametrize("name", ["taylor", "kfac"])
def test_the_arrangement_of_outputs_changes_no_score(name: str) -> None:
    alone = scores_of(name, "alone")
    for form in ("dict", "with its class"):
        assert all(map(np.array_equal, alone, scores_of(name, form))), form
    # Other directions are drawn for two outputs; what they estimate is the same.
    for one, other in zip(alone, scores_of(name, "in two parts"), strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.95


@pytest.mark.parametrize("name", ["taylor", "kfac"])
def test_a_network_without_a_slope_is_refused(name: str) -> None:
    with pytest.raises(NetworkError, match="no output of the network has a gradient") as caught:
        scores_of(name, "class")
    assert "int64" in caught.value.given and "l1" in caught.value.next_step


def test_each_output_has_a_direction_of_its_own() -> None:
    one, two = (torch.ones(2, 3, requires_grad=True) for _ in range(2))
    draw = torch.Generator().manual_seed(3)
    along_directions({"one": one, "more": [two, None, torch.ones(4)]}, draw).backward()
    again = torch.Generator().manual_seed(3)
    assert torch.equal(one.grad, torch.randn(2, 3, generator=again))
    assert torch.equal(two.grad, torch.randn(2, 3, generator=again))
