from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.fpgm import fpgm
from tests.saliency.subjects import plain_cnn, subject, traced


def test_a_filter_in_the_middle_of_the_others_goes_first_however_large_it_is():
    net = plain_cnn()
    with torch.no_grad():
        net[0].weight += 5.0
        net[0].weight[6] = net[0].weight[torch.arange(8) != 6].mean(0)
    scores, _ = fpgm(subject(traced(net)))
    assert int(np.argmin(scores)) == 6


def test_of_filters_spread_alike_the_doubled_ones_go_first():
    net = plain_cnn()
    with torch.no_grad():
        # Orthogonal filters of one length: all are equally far from each other.
        net[0].weight.copy_(torch.eye(9)[:8].reshape(8, 1, 3, 3))
        net[0].weight[5] = net[0].weight[1]
    scores, _ = fpgm(subject(traced(net)))
    assert set(np.argsort(scores)[:2].tolist()) == {1, 5}
    assert scores[1] == scores[5]
