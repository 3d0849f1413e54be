from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linprog

from hwprune.saliency.weights import bridging, curvature, fpgm, gibbs, group_l2, l2
from tests.saliency.subjects import plain_cnn, subject, traced


def test_group_l2_counts_what_writes_a_channel_and_what_reads_it_alike():
    net = plain_cnn()
    writers, readers = net[0].weight, net[3].weight
    with torch.no_grad():
        writers.copy_(torch.ones_like(writers))
        readers.copy_(torch.ones_like(readers))
        writers[2] *= 0.1
        readers[:, 5] *= 0.1
    scores, *_ = group_l2(subject(traced(net)))
    assert set(np.argsort(scores)[:2].tolist()) == {2, 5}


def test_group_l2_is_the_sum_of_squares_over_all_that_goes_with_a_channel():
    net = plain_cnn()
    writers, readers = net[0].weight, net[3].weight
    scores, *_ = group_l2(subject(traced(net)))
    expected = writers.square().flatten(1).sum(1)
    expected = expected + net[1].weight.square()
    expected = expected + readers.transpose(0, 1).square().flatten(1).sum(1)
    np.testing.assert_allclose(scores, expected.detach().numpy(), rtol=1e-5)


def test_fpgm_a_filter_in_the_middle_of_the_others_goes_first_however_large_it_is():
    net = plain_cnn()
    with torch.no_grad():
        net[0].weight += 5.0
        net[0].weight[6] = net[0].weight[torch.arange(8) != 6].mean(0)
    scores, _ = fpgm(subject(traced(net)))
    assert int(np.argmin(scores)) == 6


def test_fpgm_of_filters_spread_alike_the_doubled_ones_go_first():
    net = plain_cnn()
    with torch.no_grad():
        # Orthogonal filters of one length: all are equally far from each other.
        net[0].weight.copy_(torch.eye(9)[:8].reshape(8, 1, 3, 3))
        net[0].weight[5] = net[0].weight[1]
    scores, _ = fpgm(subject(traced(net)))
    assert set(np.argsort(scores)[:2].tolist()) == {1, 5}
    assert scores[1] == scores[5]


def test_gibbs_scores_are_chances_and_follow_the_norm_where_one_layer_writes():
    base = traced(plain_cnn())
    for chances, norms in zip(gibbs(subject(base)), l2(subject(base)), strict=True):
        assert 0 < chances.min() < 0.5 < chances.max() < 1
        assert np.array_equal(np.argsort(chances), np.argsort(norms))


def exact(strength: np.ndarray, c: int, k: int) -> float:
    """Ollivier-Ricci curvature of an edge of a bipartite graph, by optimal transport."""
    rows, columns = strength.shape
    one = strength[c] / strength[c].sum()
    two = strength[:, k] / strength[:, k].sum()
    # From partners of c to partners of k: one step between any two, as all are joined.
    cost = np.ones((columns, rows))
    equal = [np.kron(np.eye(columns), np.ones(rows)), np.kron(np.ones(columns), np.eye(rows))]
    done = linprog(cost.ravel(), A_eq=np.concatenate(equal), b_eq=np.concatenate([one, two]))
    return 1 - done.fun


def test_the_bound_is_below_the_curvature_that_transport_gives():
    strength = np.random.default_rng(0).random((4, 5))
    bound = curvature(torch.from_numpy(strength)).numpy()
    assert all(bound[c, k] <= exact(strength, c, k) + 1e-9 for c in range(4) for k in range(5))


def test_a_channel_without_strength_bridges_nothing_and_many_edges_bridge_more_than_one():
    strength = torch.ones(4, 6)
    strength[1] = 0.0
    strength[2] = torch.tensor([6.0, 0, 0, 0, 0, 0])
    score = bridging(strength)
    assert score[1] == 0 and score[2] < score[0]
