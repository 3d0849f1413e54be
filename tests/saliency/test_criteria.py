from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from hwprune.channels.base import make_base
from hwprune.errors import DataError
from hwprune.network.graph_module import to_module
from hwprune.network.trace import trace
from hwprune.saliency.criteria import CRITERIA
from hwprune.saliency.output_axes import output_axes
from hwprune.saliency.registry import Subject
from tests.digits import digits


def subject(base, data=None, seed=0):
    return Subject(module=to_module(base.onnx), plan=base.plan, data=data, seed=seed)


@cache
def planted(conv_type=nn.Conv2d, norm=True):
    """A network of which channels 2 and 5 do next to nothing."""
    torch.manual_seed(0)
    layers = [conv_type(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
    net = nn.Sequential(
        *(layers if norm else [layers[0], layers[2]]),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    with torch.no_grad():
        writers = net[0].weight if conv_type is nn.Conv2d else net[0].weight.transpose(0, 1)
        for channel in (2, 5):
            writers[channel] *= 1e-3
            net[0].bias[channel] *= 1e-3
            if norm:
                net[1].weight[channel] *= 1e-3
                net[1].bias[channel] *= 1e-3
    return make_base(trace(net, torch.zeros(1, 1, 8, 8)))


@pytest.mark.parametrize("name", ["l1", "l2", "bn_gamma", "taylor"])
def test_channels_that_do_nothing_come_last(name):
    (scores,) = CRITERIA[name](subject(planted(), digits()))
    assert set(np.argsort(scores)[:2].tolist()) == {2, 5}


@pytest.mark.parametrize("name", ["l1", "bn_gamma", "taylor"])
def test_groups_without_batchnorm_are_ranked_by_their_weights(name):
    (scores,) = CRITERIA[name](subject(planted(norm=False), digits()))
    assert set(np.argsort(scores)[:2].tolist()) == {2, 5}


def test_transposed_convolutions_write_along_their_second_axis():
    (scores,) = CRITERIA["l1"](subject(planted(nn.ConvTranspose2d)))
    assert set(np.argsort(scores)[:2].tolist()) == {2, 5}


@pytest.mark.parametrize("name", sorted(CRITERIA))
def test_every_group_gets_a_finite_score_for_each_unit(name, trained_digits):
    scores = CRITERIA[name](subject(trained_digits, digits()))
    assert [len(s) for s in scores] == list(trained_digits.plan.widths)
    assert all(np.isfinite(s).all() and len(set(s.tolist())) > 1 for s in scores)


def test_layers_that_only_read_a_group_do_not_score_it(trained_digits):
    layers = {a.layer for a in output_axes(to_module(trained_digits.onnx), trained_digits.plan)}
    assert {"conv1", "bn1", "conv3"} <= layers and "linear" not in layers


def test_a_criterion_leaves_the_network_as_it_is(trained_digits):
    given = subject(trained_digits, digits())
    before = {k: v.clone() for k, v in given.module.state_dict().items()}
    for criterion in CRITERIA.values():
        criterion(given)
    assert all(torch.equal(before[k], v) for k, v in given.module.state_dict().items())
    assert all(p.grad is None for p in given.module.parameters())


def test_taylor_asks_for_data(trained_digits):
    with pytest.raises(DataError, match="needs training data"):
        CRITERIA["taylor"](subject(trained_digits))


def test_random_follows_its_seed(trained_digits):
    one, same, other = (CRITERIA["random"](subject(trained_digits, seed=s)) for s in (1, 1, 2))
    assert np.array_equal(one[0], same[0]) and not np.array_equal(one[0], other[0])
