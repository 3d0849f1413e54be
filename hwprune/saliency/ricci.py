"""Ricci curvature of the graph of channels (after Glass, Spasov & Lio 2020, RicciNets).

RicciNets flows the Ollivier-Ricci curvature of a wiring graph and cuts edges; each of its 50 steps
solves an optimal transport for every edge. Between two layers of channels every channel is joined
with every other: 64 by 64 of them are 4,096 such problems, about a minute a step with a linear
programming solver, and wider layers have more and larger ones.

Adapted: no transport and no flow. The curvature of an edge with strength w between channels of
degree d_c and d_k has the lower bound -2 (1 - w/d_c - w/d_k)₊ in a graph without triangles (Jost &
Liu 2014), which a layer's graph is. It costs one look at the weights.
"""

from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.input_axes import input_axes
from hwprune.saliency.l1 import l1
from hwprune.saliency.output_axes import GroupScores, output_axes
from hwprune.saliency.registry import Subject, criterion


@criterion("ricci", needs_data=False)
def ricci(subject: Subject) -> list[np.ndarray]:
    """Σ strength · -curvature over a channel's edges, by layer relative to its mean, summed.

    Strengths are the norms of kernels. Layers that write a group and layers that read it both
    count; one with a single channel at the other end has no curvature and says nothing. A channel
    whose edges bridge many others scores high, one tied to a single partner low.
    """
    sums = GroupScores(subject.plan)
    with torch.no_grad():
        for written in output_axes(subject.module, subject.plan):
            if written.parameter.ndim > 1:
                score = bridging(strengths(written.parameter, written.axis))
                sums.add(written.spans, score.numpy())
        for read in input_axes(subject.module, subject.plan):
            score = bridging(strengths(read.parameter, read.axis))
            sums.add(read.spans, score.numpy())
    return sums.filled(lambda: l1(subject))


def strengths(weight: torch.Tensor, axis: int) -> torch.Tensor:
    """The norms of a weight's kernels: [channels of the axis, channels at the other end]."""
    moved = weight.movedim(axis, 0)
    return moved.reshape(*moved.shape[:2], -1).norm(dim=2)


def curvature(strength: torch.Tensor) -> torch.Tensor:
    """The lower bound of each edge's Ollivier-Ricci curvature, -2..0; of the strength's shape."""
    own = strength / strength.sum(1, keepdim=True).clamp_min(1e-12)
    other = strength / strength.sum(0, keepdim=True).clamp_min(1e-12)
    return -2 * (1 - own - other).clamp_min(0)


def bridging(strength: torch.Tensor) -> torch.Tensor:
    """By channel, how much negatively curved strength it has."""
    return -(strength * curvature(strength)).sum(1)
