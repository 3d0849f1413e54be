"""Sensitivity of the loss to a channel's weights (Lee et al. 2019, SNIP; Hayou et al. 2021).

SNIP scores single weights by |w dL/dw| before training. Hayou et al., Robust Pruning at
Initialisation, show that one threshold over all layers can erase a layer, and normalise by layer.

Adapted: a channel's score is the derivative by a gate on all of its weights, |Σ w dL/dw|; groups
are cut to widths of their own, so no layer can be erased and nothing is thresholded; their
re-scaling of kept weights is left to BatchNorm's re-calibration; and the network is the trained
one, whose loss on training images hardly has a slope: the method is meant for networks at their
start.
"""

from __future__ import annotations

import numpy as np
import torch

from hwprune.saliency.output_axes import GroupScores, output_axes
from hwprune.saliency.registry import Subject, criterion
from hwprune.saliency.sample import loss_of, taught

IMAGES = 1024
BATCH = 64


@criterion("snip")
def snip(subject: Subject) -> list[np.ndarray]:
    """|Σ w dL/dw| over a channel's weights, by layer relative to its mean, summed over layers.

    L is the task's loss over all items together, as in SNIP, not that of single batches.

    Raises:
        DataError: the subject has no task.
    """
    module = subject.module.eval()
    axes = [a for a in output_axes(module, subject.plan) if a.is_weight and not a.is_norm]
    slopes = [torch.zeros_like(axis.parameter) for axis in axes]
    lose = loss_of(subject)
    for inputs, targets, count in taught(subject, IMAGES, BATCH):
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
