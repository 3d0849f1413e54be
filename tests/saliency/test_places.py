from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwprune.errors import NetworkError
from hwprune.saliency.places import graph_module, written_places
from hwprune.saliency.registry import Subject
from tests.digits import digits
from tests.saliency.subjects import plain_cnn, subject, tokens, traced


def places(base, behind):
    given = subject(base, digits())
    return written_places(graph_module(given), given, behind)


@pytest.mark.parametrize(("behind", "called"), [("norm", "1"), ("activation", "relu")])
def test_a_layer_is_seen_behind_its_norm_or_its_activation(behind, called):
    first = places(traced(plain_cnn()), behind)[0]
    said = first.node.target if behind == "norm" else first.node.target.__name__
    assert (first.layer, said, first.shape) == ("0", called, (1, 8, 8, 8))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.inner, self.outer = (nn.Conv2d(6, 6, 3, padding=1) for _ in range(2))
        self.head = nn.Linear(6, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        inner = self.inner(x)
        x = F.relu(x + self.outer(inner * torch.sigmoid(inner)))
        return self.head(x.mean((2, 3)))


def test_a_stream_is_seen_where_it_is_read_and_a_gated_activation_behind_its_gate():
    found = {p.layer: p.node.target for p in places(traced(Residual()), "activation")}
    assert found["stem"] is F.relu and found["outer"] is F.relu
    assert found["inner"] in (torch.mul, F.silu)
    assert len(found) == 3


def test_tokens_have_their_channels_last():
    found = {p.layer: p for p in places(tokens(), "activation")}
    value = torch.zeros(2, *found["up"].shape[1:])
    assert found["up"].axis == -1 and found["up"].channels(value).shape == (2, 32, 16)


def test_a_module_that_is_no_twin_is_refused():
    with pytest.raises(NetworkError, match="cannot be observed"):
        graph_module(Subject(module=plain_cnn(), plan=traced(plain_cnn()).plan, task=None, seed=0))
