"""Curvature along a channel by Kronecker factors (Wang et al. 2019, EigenDamage, its kron-OBD).

K-FAC takes a layer's curvature as A ⊗ G, with A = E[a aᵀ] of its inputs and G = E[g gᵀ] of the
gradients at its outputs, so setting the weights w of channel c to zero costs ½ G_cc w A wᵀ. That
quadratic form is the mean square of what the channel puts out, so A is never built; EigenDamage's
code squares w before it multiplies, which drops the correlations between inputs that this keeps.

Adapted: the curvature is that of the outputs' mean square error (Gauss-Newton), because that of
the loss is next to nothing on images a network has learnt. BatchNorm in eval mode is taken as part
of the layer. Where a network has BatchNorm, A is the covariance, not the second moment: what a
channel puts out on average is taken up when BatchNorm is re-calibrated after the cut.
EigenDamage's change to an eigenbasis is left out, since it prunes no channels. Ebrahimi & Klabjan
2021 prune neurons by K-FAC during training; nothing trains here.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from hwprune.saliency.observation import with_gradients
from hwprune.saliency.output_axes import GroupScores
from hwprune.saliency.places import graph_module, written_places
from hwprune.saliency.registry import Subject, criterion
from hwprune.saliency.sample import batches
from hwprune.saliency.weights import l1

IMAGES = 512
BATCH = 32


@criterion("kfac")
def kfac(subject: Subject) -> list[np.ndarray]:
    """Positions · E[g²] · Var[z] of a channel's outputs z behind BatchNorm, summed over layers.

    E and Var are over images and positions; g is the gradient of the outputs along a random
    direction, normal and drawn for each image. Without BatchNorm in the network Var[z] is E[z²].
    All layers have one unit. A group that cannot be seen anywhere is ranked by l1.

    Raises:
        DataError: the subject has no task.
    """
    graph = graph_module(subject)
    places = written_places(graph, subject, "norm")
    if not places:  # autograd refuses to differentiate by nothing
        return l1(subject)
    centred = any(isinstance(layer, _BatchNorm) for layer in graph.modules())
    generator = torch.Generator().manual_seed(subject.seed)
    # By place: sums over images and positions of z, z² and g², [3, C].
    moments = [torch.zeros(3, 1, dtype=torch.float64) for _ in places]
    seen = 0
    for inputs in batches(subject, IMAGES, BATCH):
        for i, (z, g) in enumerate(with_gradients(graph, places, inputs, generator)):
            moments[i] = moments[i] + torch.stack([_sum(z), _sum(z.square()), _sum(g.square())])
        seen += len(inputs[0])
    sums = GroupScores(subject.plan)
    for place, total in zip(places, moments, strict=True):
        # The shape is of one image, so this is H W, or L tokens.
        positions = math.prod(place.shape) / total.shape[1]
        z, z2, g2 = total / (positions * seen)
        # Rounding may leave a variance of a constant channel below zero.
        spread = (z2 - z.square()).clamp_min(0) if centred else z2
        sums.add(place.spans, (positions * g2 * spread).numpy(), relative=False)
    return sums.filled(lambda: l1(subject))


def _sum(values: torch.Tensor) -> torch.Tensor:
    """By channel, over images and positions."""
    return values.transpose(0, 1).flatten(1).sum(1).double()
