from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.relative_change import relative_change
from tests.digits import digits
from tests.saliency.subjects import dead, plain_cnn, subject, traced


def test_nothing_pulls_on_a_channel_that_is_always_zero():
    scores, _ = relative_change(subject(dead(), digits()))
    assert int(np.argmin(scores)) == 3


def test_the_pull_is_on_what_the_channel_carries_not_on_the_weights_that_read_it():
    plain, louder = plain_cnn(), plain_cnn()
    with torch.no_grad():
        louder[1].weight[4] *= 30
        louder[1].bias[4] *= 30
        louder[3].weight[:, 4] /= 30
    before, _ = relative_change(subject(traced(plain), digits()))
    after, _ = relative_change(subject(traced(louder), digits()))
    assert int(np.argmax(after)) == 4 and np.argmax(before) != 4
