from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.group_l2 import group_l2
from tests.saliency.subjects import plain_cnn, subject, traced


def test_what_writes_a_channel_and_what_reads_it_count_alike():
    net = plain_cnn()
    writers, readers = net[0].weight, net[3].weight
    with torch.no_grad():
        writers.copy_(torch.ones_like(writers))
        readers.copy_(torch.ones_like(readers))
        writers[2] *= 0.1
        readers[:, 5] *= 0.1
    scores, *_ = group_l2(subject(traced(net)))
    assert set(np.argsort(scores)[:2].tolist()) == {2, 5}


def test_scores_are_sums_of_squares_over_all_that_goes_with_a_channel():
    net = plain_cnn()
    writers, readers = net[0].weight, net[3].weight
    scores, *_ = group_l2(subject(traced(net)))
    expected = writers.square().flatten(1).sum(1)
    expected = expected + net[1].weight.square()
    expected = expected + readers.transpose(0, 1).square().flatten(1).sum(1)
    np.testing.assert_allclose(scores, expected.detach().numpy(), rtol=1e-5)
