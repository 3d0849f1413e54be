"""Criteria that differentiate: the outputs, or the loss, by what a channel is scaled with."""

from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.observation import along_directions
from hwprune.saliency.output_axes import GroupScores, OutputAxis, output_axes
from hwprune.saliency.registry import Subject, criterion
from hwprune.saliency.sample import batches, loss_of, taught
from hwprune.task.items import Inputs
from hwprune_device.plan import Span

IMAGES = 1024
TAYLOR_BATCH = 16
"""Effects of opposite sign cancel out inside a batch, so it is small."""
SNIP_BATCH = 64
Written = tuple[str, tuple[Span, ...]]
"""A layer, and the channels along an axis of its weights."""


@criterion("taylor")
def taylor(subject: Subject) -> list[np.ndarray]:
    """Expected squared first-order change of the outputs, summed over the group's layers.

    After Molchanov et al. 2019, who differentiate the loss. On its own training images a trained
    network has next to none, so that ranking hangs on the few images it gets wrong: ResNet-56 on
    CIFAR-10 with every inner group cut by half keeps 40 % after re-calibration that way, 49 % by
    l1, and 56 % by the outputs.

    Each batch is differentiated once along a random direction of its outputs (normal, one for each
    image), whose mean square is the squared change itself. Where BatchNorm follows, its γ and β
    alone are summed: scaling both is scaling the channel, which is what a cut does.

    Raises:
        DataError: the subject has no task.
        NetworkError: no output has a gradient.
    """
    axes = _gates(list(output_axes(subject.module, subject.plan)))
    generator = torch.Generator().manual_seed(subject.seed)
    totals: dict[Written, torch.Tensor] = {}
    for inputs in batches(subject, IMAGES, TAYLOR_BATCH):
        for written, effect in _effects(subject, axes, inputs, generator).items():
            totals[written] = totals.get(written, torch.zeros(())) + effect.square()
    sums = GroupScores(subject.plan)
    for (_, spans), total in totals.items():
        # One unit for all layers: what matters to the outputs more also counts for more.
        sums.add(spans, total.numpy(), relative=False)
    return sums.scores


def _gates(axes: list[OutputAxis]) -> list[OutputAxis]:
    """The BatchNorms of groups that have one, and all layers of groups that have none."""
    with_norm = {span.group for axis in axes if axis.is_norm for span in axis.spans}
    return [
        axis
        for axis in axes
        if axis.is_norm or any(s.group not in with_norm for s in axis.spans if s.group >= 0)
    ]


def _effects(
    subject: Subject, axes: list[OutputAxis], inputs: Inputs, generator: torch.Generator
) -> dict[Written, torch.Tensor]:
    """Σ weight * gradient by layer and channel, for one batch and random directions."""
    # In eval mode BatchNorm is a scale and shift, so an image's gradient is its own.
    module = subject.module.eval()
    change = along_directions(module(*inputs), generator)
    gradients = torch.autograd.grad(change, [axis.parameter for axis in axes], allow_unused=True)
    effects: dict[Written, torch.Tensor] = {}
    for axis, gradient in zip(axes, gradients, strict=True):
        known = gradient if gradient is not None else torch.zeros_like(axis.parameter)
        product = axis.rows(axis.parameter.detach() * known).sum(1)
        # A recurrent layer's gates, states and biases lie along axes of different sizes.
        written = (axis.layer, axis.spans)
        effects[written] = effects.get(written, torch.zeros(())) + product
    return effects


@criterion("snip")
def snip(subject: Subject) -> list[np.ndarray]:
    """|Σ w dL/dw| over a channel's weights, by layer relative to its mean, summed over layers.

    SNIP (Lee et al. 2019) scores single weights by |w dL/dw| before training. Hayou et al. 2021,
    Robust Pruning at Initialisation, show that one threshold over all layers can erase a layer,
    and normalise by layer. Adapted: the derivative is that by a gate on all weights of a channel;
    groups are cut to widths of their own, so no layer can be erased and nothing is thresholded;
    their re-scaling of kept weights is left to BatchNorm's re-calibration; and the network is the
    trained one, whose loss on training images hardly has a slope: the method is meant for networks
    at their start.

    L is the task's loss over all items together, as in SNIP, not that of single batches.

    Raises:
        DataError: the subject has no task.
    """
    module = subject.module.eval()
    axes = [a for a in output_axes(module, subject.plan) if a.is_weight and not a.is_norm]
    slopes = [torch.zeros_like(axis.parameter) for axis in axes]
    lose = loss_of(subject)
    for inputs, targets, count in taught(subject, IMAGES, SNIP_BATCH):
        # Times the batch's items, so that the slopes add up to those of a sum over all.
        loss = lose(module(*inputs), targets) * count
        found = torch.autograd.grad(loss, [axis.parameter for axis in axes], allow_unused=True)
        for slope, gradient in zip(slopes, found, strict=True):
            if gradient is not None:
                slope += gradient
    sums = GroupScores(subject.plan)
    for axis, slope in zip(axes, slopes, strict=True):
        pull = axis.rows(axis.parameter.detach() * slope).sum(1).abs()
        sums.add(axis.spans, pull.numpy())
    return sums.scores
