from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwprune.saliency.nnrelief import nnrelief
from hwprune.saliency.observation import Observer
from tests.digits import digit_images, digits
from tests.saliency.subjects import plain_cnn, subject, tokens, traced


def test_shares_of_a_linear_reader_are_those_of_the_paper():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10))
    (scores,) = nnrelief(subject(traced(net), digits()))
    with torch.no_grad():
        mean = net[:3](digit_images("train")).abs().mean(0)
        flow = net[3].weight.abs() * mean
        share = flow / (flow.sum(1) + net[3].bias.abs())[:, None]
    assert scores == pytest.approx(share.sum(0).numpy(), rel=0.15)


def test_flow_through_a_convolution_is_the_norm_of_its_map(monkeypatch):
    net = plain_cnn()
    base = traced(net)
    scores, _ = nnrelief(subject(base, digits()))
    with torch.no_grad():
        mean = net[:3](digit_images("train")).abs().mean(0)
        flow = torch.stack(
            [
                F.conv2d(mean[None, c : c + 1], net[3].weight[:, c : c + 1].abs(), padding=1)[0]
                .flatten(1)
                .norm(dim=1)
                for c in range(8)
            ],
            dim=1,
        )
    assert scores == pytest.approx((flow / flow.sum(1, keepdim=True)).sum(0).numpy(), rel=0.1)
    monkeypatch.setattr("hwprune.saliency.nnrelief.FLOATS", 1)
    assert np.allclose(nnrelief(subject(base, digits()))[0], scores)


def test_a_channel_nobody_reads_is_worth_nothing():
    net = plain_cnn()
    with torch.no_grad():
        net[3].weight[:, 6] = 0.0
    scores, _ = nnrelief(subject(traced(net), digits()))
    assert scores[6] == 0 and np.delete(scores, 6).min() > 0


def test_linear_layers_over_tokens_read_as_well():
    base = tokens()
    given = subject(base, digits())
    _, inside = nnrelief(given)
    weight = given.module.get_parameter("down.weight").detach().abs()
    values = []
    (down,) = (n for n in given.module.graph.nodes if n.target == "down.weight")
    (turned,) = down.users
    (product,) = turned.users
    read = next(n for n in product.args if n is not turned)
    Observer(given.module, {read: values.append}).run(digit_images("train"))
    flow = weight * values[0].detach().abs().mean((0, 1))
    bias = given.module.get_parameter("down.bias").detach().abs()
    share = flow / (flow.sum(1) + bias)[:, None]
    assert inside == pytest.approx(share.sum(0).numpy(), rel=0.1)
