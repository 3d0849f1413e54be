"""Share of time a channel stays in a Gibbs distribution that cools (Labach & Valaee 2020).

Gibbs pruning draws masks x from p(x) ~ exp(-β H(x)) at every training step while β rises. Here
nothing trains: the chance that a channel stays is known in closed form, so it is averaged over the
annealing instead of drawn. All weights of a channel, in all layers of its group, flip together.
"""

from __future__ import annotations

import numpy as np

from hwprune.saliency.output_axes import by_weight
from hwprune.saliency.registry import Subject, criterion

BETAS = np.logspace(-1.0, 1.5, 11)
"""Inverse temperatures, in units of one over the group's mean energy."""
SHARES = np.linspace(0.1, 0.9, 9)
"""Shares p of channels to remove; the paper fixes one, a ranking has to serve all."""


@criterion("gibbs", needs_data=False)
def gibbs(subject: Subject) -> list[np.ndarray]:
    """Mean over β and p of 1 / (1 + exp(-β (e - Q_p))), 0..1.

    e is a channel's mean squared weight, by layer relative to its mean, summed over the group's
    layers; Q_p is its p-quantile in the group. This grows with e, so the order is that of the
    summed squares: cooling changes how far channels are apart, not who comes first.
    """
    sums = by_weight(subject.module, subject.plan, lambda rows: rows.square().mean(1), norms=False)
    return [_kept(energy / max(float(energy.mean()), 1e-12)) for energy in sums.scores]


def _kept(energy: np.ndarray) -> np.ndarray:
    """Chance to stay, by channel."""
    distance = energy[:, None] - np.quantile(energy, SHARES)[None]
    return (0.5 + 0.5 * np.tanh(0.5 * distance[:, :, None] * BETAS)).mean((1, 2))
