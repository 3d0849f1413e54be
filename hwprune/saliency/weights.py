"""Criteria of a network's weights alone, and chance, which the others have to beat."""

from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.input_axes import input_axes
from hwprune.saliency.output_axes import GroupScores, by_weight, output_axes
from hwprune.saliency.registry import Subject, criterion
from hwprune_device.plan import Span

BETAS = np.logspace(-1.0, 1.5, 11)
"""Inverse temperatures of `gibbs`, in units of one over the group's mean energy."""
SHARES = np.linspace(0.1, 0.9, 9)
"""Shares p of channels that `gibbs` removes; the paper fixes one, a ranking has to serve all."""


@criterion("random", needs_data=False)
def random(subject: Subject) -> list[np.ndarray]:
    """Numbers drawn with the subject's seed."""
    rng = np.random.default_rng(subject.seed)
    return [rng.random(group.width) for group in subject.plan.groups]


@criterion("l1", needs_data=False)
def l1(subject: Subject) -> list[np.ndarray]:
    """Sum of absolute weights, by layer relative to its mean, summed over the group's layers.

    Li et al. 2017, Pruning Filters for Efficient ConvNets.
    """
    return by_weight(
        subject.module, subject.plan, lambda rows: rows.abs().sum(1), norms=False
    ).scores


@criterion("l2", needs_data=False)
def l2(subject: Subject) -> list[np.ndarray]:
    """Euclidean norm, by layer relative to its mean, summed over the group's layers."""
    return by_weight(
        subject.module, subject.plan, lambda rows: rows.norm(dim=1), norms=False
    ).scores


@criterion("bn_gamma", needs_data=False)
def bn_gamma(subject: Subject) -> list[np.ndarray]:
    """|γ|, by layer relative to its mean, summed over the group's BatchNorms.

    Liu et al. 2017, Network Slimming. A group that no BatchNorm follows is ranked by l1: it has
    no γ.
    """
    sums = by_weight(subject.module, subject.plan, lambda rows: rows.abs().sum(1), norms=True)
    return sums.filled(lambda: l1(subject))


@criterion("group_l2", needs_data=False)
def group_l2(subject: Subject) -> list[np.ndarray]:
    """Sum of squares over the weights that write a channel, its scales, and those that read it.

    Fang et al. 2023, DepGraph, its group norm. Layers are added as they are: a layer of large
    weights counts for more. The paper trains with a penalty on this norm before it prunes; nothing
    trains here.
    """
    sums = GroupScores(subject.plan)
    with torch.no_grad():
        for written in output_axes(subject.module, subject.plan):
            if written.is_weight:
                _add_squares(sums, written.spans, written.rows(written.parameter))
        for read in input_axes(subject.module, subject.plan):
            _add_squares(sums, read.spans, read.columns(read.parameter))
    return sums.scores


def _add_squares(sums: GroupScores, spans: tuple[Span, ...], rows: torch.Tensor) -> None:
    squares = rows.float().square().sum(1).cpu().numpy()
    sums.add(spans, squares, relative=False)


@criterion("fpgm", needs_data=False)
def fpgm(subject: Subject) -> list[np.ndarray]:
    """Sum of distances to the layer's other filters, relative to its mean, summed over layers.

    He et al. 2019, FPGM: a filter near the geometric median of its layer is one that the others
    can stand in for, however large it is; so of two equal filters both score low. Distances are
    Euclidean between filters as they are, as in the paper's code; scaling a filter that a
    BatchNorm follows changes them.
    """
    return by_weight(subject.module, subject.plan, _distances, norms=False).scores


def _distances(rows: torch.Tensor) -> torch.Tensor:
    # Without the matrix-product shortcut, whose rounding gives equal filters a distance.
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").sum(1)


@criterion("gibbs", needs_data=False)
def gibbs(subject: Subject) -> list[np.ndarray]:
    """Mean over β and p of 1 / (1 + exp(-β (e - Q_p))), 0..1.

    Labach & Valaee 2020 draw masks x from p(x) ~ exp(-β H(x)) at every training step while β
    rises. Here nothing trains: the chance that a channel stays is known in closed form, so it is
    averaged over the annealing instead of drawn. All weights of a channel, in all layers of its
    group, flip together.

    e is a channel's mean squared weight, by layer relative to its mean, summed over the group's
    layers; Q_p is its p-quantile in the group. This grows with e, so the order is that of the
    summed squares: cooling changes how far channels are apart, not who comes first.
    """
    sums = by_weight(subject.module, subject.plan, lambda rows: rows.square().mean(1), norms=False)
    # In units of the group's mean energy, so that one set of β is right for all.
    return [_kept(energy / max(float(energy.mean()), 1e-12)) for energy in sums.scores]


def _kept(energy: np.ndarray) -> np.ndarray:
    """Chance to stay, by channel."""
    distance = energy[:, None] - np.quantile(energy, SHARES)[None]
    # The logistic function by tanh, which does not overflow. [units, p, β].
    return (0.5 + 0.5 * np.tanh(0.5 * distance[:, :, None] * BETAS)).mean((1, 2))


@criterion("ricci", needs_data=False)
def ricci(subject: Subject) -> list[np.ndarray]:
    """Σ strength · -curvature over a channel's edges, by layer relative to its mean, summed.

    Strengths are the norms of kernels. Layers that write a group and layers that read it both
    count; one with a single channel at the other end has no curvature and says nothing. A channel
    whose edges bridge many others scores high, one tied to a single partner low.

    After Glass, Spasov & Lio 2020, RicciNets, who flow the Ollivier-Ricci curvature of a wiring
    graph: an optimal transport for every edge in each of 50 steps, which for two layers of 64
    channels is 4,096 problems a step. Adapted: no transport and no flow, but the lower bound
    -2 (1 - w/d_c - w/d_k)₊ of an edge of strength w between channels of degree d_c and d_k in a
    graph without triangles (Jost & Liu 2014), which a layer's graph is.
    """
    sums = GroupScores(subject.plan)
    with torch.no_grad():
        for written in output_axes(subject.module, subject.plan):
            # Biases and scales have no other end, and so no edges.
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
    # w/d_c and w/d_k of the bound, [channels, other end].
    own = strength / strength.sum(1, keepdim=True).clamp_min(1e-12)
    other = strength / strength.sum(0, keepdim=True).clamp_min(1e-12)
    return -2 * (1 - own - other).clamp_min(0)


def bridging(strength: torch.Tensor) -> torch.Tensor:
    """By channel, how much negatively curved strength it has."""
    return -(strength * curvature(strength)).sum(1)
