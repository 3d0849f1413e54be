"""How hard a network pulls on a channel that comes back (Zimmer 2024, RelChaNet).

RelChaNet selects the input features of a small network: during training it swaps features in with
weights near zero and keeps those whose first gradients are large, by a running maximum.

Adapted to channels of a trained network, of which nothing is trained: a random eighth of every
group's channels is taken away, the weights that read them set to zero, and the gradients of the
loss there are added up over a short window of images; then the next eighth, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.func import functional_call

from hwprune.saliency.input_axes import InputAxis, input_axes
from hwprune.saliency.output_axes import GroupScores
from hwprune.saliency.registry import Subject, criterion
from hwprune.saliency.sample import loss_of, taught
from hwprune.saliency.weights import l1
from hwprune.task.items import Inputs
from hwprune_device.plan import STAYS

ROUNDS = 2
"""Times that every channel comes back; the larger of its scores counts."""
WINDOWS = 8
IMAGES = 64
"""In a window, at most; each window sees its own."""


@criterion("relative_change")
def relative_change(subject: Subject) -> list[np.ndarray]:
    """Σ |Σ dL/dw| over the weights that read a channel and are zero, in spreads of the layer.

    As in the paper, a reader's scores are brought to mean 0 and spread 1 and the maximum over
    rounds is kept; then they are added over readers and moved so that the lowest in a group is 0.
    A group that only grouped convolutions read is ranked by l1.

    Raises:
        DataError: the subject has no task.
    """
    axes = list(input_axes(subject.module.eval(), subject.plan))
    if not axes:  # autograd refuses to differentiate by nothing
        return l1(subject)
    best = [torch.full((axis.parameter.shape[axis.axis],), -torch.inf) for axis in axes]
    images = _again_and_again(subject)
    rng = np.random.default_rng(subject.seed)
    for _ in range(ROUNDS):
        # By unit the window in which it is away; as many units in each, or one more.
        turns = [rng.permutation(group.width) % WINDOWS for group in subject.plan.groups]
        for known, found in zip(best, _round(subject, axes, turns, images), strict=True):
            spread = found.std(correction=0).clamp_min(1e-12)
            torch.maximum(known, (found - found.mean()) / spread, out=known)
    sums = GroupScores(subject.plan)
    for axis, values in zip(axes, best, strict=True):
        sums.add(axis.spans, values.numpy(), relative=False)
    # Scores are 0 or more by contract; a shift leaves the order as it is.
    sums.scores = [scores - scores.min() for scores in sums.scores]
    return sums.filled(lambda: l1(subject))


def _round(
    subject: Subject,
    axes: list[InputAxis],
    turns: list[np.ndarray],
    images: Iterator[tuple[Inputs, Any, int]],
) -> list[torch.Tensor]:
    """By axis and channel, the pull in the one window in which the channel was away."""
    pulls = [torch.zeros(axis.parameter.shape[axis.axis]) for axis in axes]
    for window in range(WINDOWS):
        batch = next(images)
        away = [_away(axis, turns, window) for axis in axes]
        for pull, gone, slope in zip(
            pulls, away, _slopes(subject, axes, away, batch), strict=True
        ):
            pull[gone] = slope[gone]
    return pulls


def _again_and_again(subject: Subject) -> Iterator[tuple[Inputs, Any, int]]:
    """Windows without end: in a small data set too every channel gets its turn."""
    while True:
        yield from taught(subject, ROUNDS * WINDOWS * IMAGES, IMAGES)


def _away(axis: InputAxis, turns: list[np.ndarray], window: int) -> torch.Tensor:
    """Which channels of an axis are away in this window: bool, by channel."""
    parts = [
        np.zeros(span.size, bool)
        if span.group == STAYS
        else np.repeat(
            turns[span.group][span.start : span.start + span.count] == window, span.repeat
        )
        for span in axis.spans
    ]
    return torch.from_numpy(np.concatenate(parts))


def _slopes(
    subject: Subject,
    axes: list[InputAxis],
    away: list[torch.Tensor],
    batch: tuple[Inputs, Any, int],
) -> list[torch.Tensor]:
    """Σ |dL/dw| by axis and channel, with the weights that read absent channels at zero."""
    weights = {}
    for axis, gone in zip(axes, away, strict=True):
        shape = [-1 if i == axis.axis else 1 for i in range(axis.parameter.ndim)]
        # A copy at zero, not the weight itself: a criterion leaves the network as it is.
        kept = axis.parameter.detach() * (~gone).reshape(shape)
        weights[axis.name] = kept.requires_grad_()
    inputs, targets, _ = batch
    loss = loss_of(subject)(functional_call(subject.module, weights, inputs), targets)
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return [
        axis.columns(torch.zeros_like(axis.parameter) if g is None else g).detach().abs().sum(1)
        for axis, g in zip(axes, found, strict=True)
    ]
