from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwprune.saliency.kfac import kfac
from tests.digits import digit_images, digits
from tests.saliency.subjects import subject, traced


@pytest.mark.parametrize("norm", [False, True])
def test_it_is_the_change_of_the_outputs_where_the_network_is_linear(norm):
    torch.manual_seed(0)
    images = digit_images("train")
    layers = [nn.Flatten(), nn.Linear(64, 12), nn.Linear(12, 10)]
    if norm:
        layers.insert(2, nn.BatchNorm1d(12))
    net = nn.Sequential(*layers)
    with torch.no_grad():
        net.train()(images)
        net.eval()
        hidden = net[:-1](images)
        if norm:
            # BatchNorm's next calibration takes the mean of what goes away into account.
            hidden = hidden - hidden.mean(0)
        brute = [
            float((hidden[:, c, None] * net[-1].weight[:, c]).square().sum(1).mean())
            for c in range(12)
        ]
    (scores,) = kfac(subject(traced(net), digits()))
    assert np.array(scores) == pytest.approx(np.array(brute), rel=0.35)
    assert np.corrcoef(scores, brute)[0, 1] > 0.97


def test_scaling_that_batchnorm_takes_back_changes_nothing():
    from tests.saliency.subjects import plain_cnn

    plain, scaled = plain_cnn(), plain_cnn()
    with torch.no_grad():
        scaled[0].weight[2] *= 10
        scaled[1].running_mean[2] *= 10
        scaled[1].running_var[2] *= 100
    one, other = (kfac(subject(traced(net), digits()))[0] for net in (plain, scaled))
    assert other == pytest.approx(one, rel=1e-2)
