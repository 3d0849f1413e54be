from __future__ import annotations

import json

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprune.saliency.activations import hrank
from hwprune.saliency.feature_rank import LayerRanks, feature_ranks, matrix_ranks
from tests.digits import digits
from tests.saliency.subjects import plain_cnn, subject, traced


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 16), st.integers(2, 16), st.integers(0, 16), st.integers(0, 99))
def test_ranks_are_those_of_torch(height, width, rank, seed):
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(3, 2, height, rank, generator=generator)
    maps = left @ torch.randn(3, 2, rank, width, generator=generator)
    assert torch.equal(matrix_ranks(maps), torch.linalg.matrix_rank(maps))


def test_a_constant_map_has_rank_one_and_an_empty_one_none():
    maps = torch.stack([torch.full((8, 8), 3.0), torch.zeros(8, 8), torch.eye(8)])[None]
    assert matrix_ranks(maps).tolist() == [[1, 0, 8]]


def test_constant_maps_come_last():
    net = plain_cnn()
    with torch.no_grad():
        net[1].weight[[1, 4]] = 0.0
        net[1].bias[[1, 4]] = 9.0
    scores, _ = hrank(subject(traced(net), digits()))
    assert set(np.argsort(scores)[:2].tolist()) == {1, 4}
    assert scores[1] == 1 / 8


def test_layers_come_with_their_size_and_survive_json(trained_digits):
    layers = feature_ranks(subject(trained_digits, digits()))
    assert layers[0].layer == "conv1"
    assert {layer.size for layer in layers} == {(8, 8), (4, 4)}
    again = LayerRanks.from_json(json.loads(json.dumps(layers[0].to_json())))
    assert again.spans == layers[0].spans and np.array_equal(again.ranks, layers[0].ranks)
    assert all((layer.shares >= 0).all() and (layer.shares <= 1).all() for layer in layers)
