"""Curvature along a channel by Kronecker factors (Wang et al. 2019, EigenDamage, its kron-OBD).

K-FAC takes a layer's curvature as A ⊗ G, with A = E[a aᵀ] of its inputs and G = E[g gᵀ] of the
gradients at its outputs, so setting the weights w of channel c to zero costs ½ G_cc w A wᵀ. That
quadratic form is the mean square of what the channel puts out, so A is never built; EigenDamage's
code squares w before it multiplies, which drops the correlations between inputs that this keeps.

Adapted: the curvature is that of the outputs' mean square error (Gauss-Newton), because that of
the loss is next to nothing on images a network has learnt; BatchNorm in eval mode is taken as part
of the layer; and EigenDamage's change to an eigenbasis is left out, since it prunes no channels.
Ebrahimi & Klabjan 2021 prune neurons by K-FAC during training; nothing trains here.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from hwprune.saliency.l1 import l1
from hwprune.saliency.observation import with_gradients
from hwprune.saliency.output_axes import GroupScores
from hwprune.saliency.places import graph_module, written_places
from hwprune.saliency.registry import Subject, criterion
from hwprune.saliency.sample import batches

IMAGES = 512
BATCH = 32


@criterion("kfac")
def kfac(subject: Subject) -> list[np.ndarray]:
    """Positions · E[g²] · E[z²] of a channel's outputs z behind BatchNorm, summed over layers.

    E is over images and positions; g is the gradient of the outputs along a random direction,
    normal and drawn for each image. All layers have one unit. A group that cannot be seen anywhere
    is ranked by l1.

    Raises:
        DataError: the subject has no data.
    """
    graph = graph_module(subject)
    assert subject.data is not None
    places = written_places(graph, subject, subject.data.example(), "norm")
    generator = torch.Generator().manual_seed(subject.seed)
    outputs = [torch.zeros(()) for _ in places]
    gradients = [torch.zeros(()) for _ in places]
    seen = 0
    for images, _ in batches(subject, IMAGES, BATCH):
        for i, (z, g) in enumerate(with_gradients(graph, places, images, generator)):
            outputs[i] = outputs[i] + _sum_of_squares(z)
            gradients[i] = gradients[i] + _sum_of_squares(g)
        seen += len(images)
    sums = GroupScores(subject.plan)
    for place, z2, g2 in zip(places, outputs, gradients, strict=True):
        positions = math.prod(place.shape) / len(z2)
        sums.add(place.spans, (z2 * g2).numpy() / (positions * seen**2), relative=False)
    return sums.filled(lambda: l1(subject))


def _sum_of_squares(values: torch.Tensor) -> torch.Tensor:
    """By channel, over images and positions."""
    return values.square().transpose(0, 1).flatten(1).sum(1).double()
