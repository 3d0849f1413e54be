from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linprog

from hwprune.saliency.ricci import bridging, curvature


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
