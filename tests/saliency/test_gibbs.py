from __future__ import annotations

import numpy as np

from hwprune.saliency.gibbs import gibbs
from hwprune.saliency.l2 import l2
from tests.saliency.subjects import plain_cnn, subject, traced


def test_scores_are_chances_and_follow_the_norm_where_one_layer_writes():
    base = traced(plain_cnn())
    for chances, norms in zip(gibbs(subject(base)), l2(subject(base)), strict=True):
        assert 0 < chances.min() < 0.5 < chances.max() < 1
        assert np.array_equal(np.argsort(chances), np.argsort(norms))
