"""Boxes and the maps that a network gives for them: targets to learn, boxes to find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torchvision import ops

CLASSES = ("RBC", "WBC", "Platelets")
CLASS_WEIGHT = (1.0, 2.0, 4.0)
"""Of 100 boxes 85 are red cells, but the metric is the mean over classes."""
HEIGHT, WIDTH, STRIDE = 120, 160, 4
ROWS, COLUMNS = HEIGHT // STRIDE, WIDTH // STRIDE
SIGMA = 0.2
"""Of the bump that a box leaves in its heat map, in box sides; 0.1 and 0.15 gave a little less
held-out mAP50 (0.867 and 0.870 against 0.874)."""
LEAST_SCORE, MOST_BOXES, OVERLAP = 0.05, 60, 0.6

Targets = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Heat maps N classes ROWS COLUMNS; for each cell the box to give, N 4 ROWS COLUMNS, and how much
it counts, N ROWS COLUMNS."""


def cells() -> torch.Tensor:
    """Centres x y of all cells in pixels: [ROWS * COLUMNS, 2]."""
    rows, columns = torch.meshgrid(torch.arange(ROWS), torch.arange(COLUMNS), indexing="ij")
    return (torch.stack([columns, rows], -1).view(-1, 2) + 0.5) * STRIDE


def targets_of(boxes: Sequence[torch.Tensor]) -> Targets:
    """What the loss holds outputs against, for a batch of images.

    A box is a Gaussian bump of height 1 in the cell of its centre (Zhou et al. 2019), and cells
    of a bump give the box itself (Liu et al. 2020); a cell belongs to the box it is nearest to.
    """
    heat = torch.zeros(len(boxes), len(CLASSES), ROWS * COLUMNS)
    given = torch.zeros(len(boxes), 4, ROWS * COLUMNS)
    weight = torch.zeros(len(boxes), ROWS * COLUMNS)
    places = cells()
    for number, some in enumerate(boxes):
        if not len(some):
            continue
        corners, kinds = some[:, :4], some[:, 4].long()
        middle = (corners[:, :2] + corners[:, 2:]) / 2
        middle = ((middle / STRIDE).floor() + 0.5) * STRIDE
        sigma = (corners[:, 2:] - corners[:, :2]) * SIGMA
        bumps = torch.exp(-(((places - middle[:, None]) / sigma[:, None]) ** 2).sum(-1) / 2)
        bumps[bumps < 0.01] = 0
        heat[number].scatter_reduce_(0, kinds[:, None].expand_as(bumps), bumps, "amax")
        owner = bumps.argmax(0)
        given[number] = corners[owner].T
        own = F.one_hot(owner, len(some)).T * bumps
        # All boxes of a class count alike, however many cells they have.
        own *= (torch.tensor(CLASS_WEIGHT)[kinds] / own.sum(1).clamp_min(1e-6))[:, None]
        weight[number] = own.sum(0)
    grid = (ROWS, COLUMNS)
    return heat.unflatten(2, grid), given.unflatten(2, grid), weight.unflatten(1, grid)


def boxes_of(distances: torch.Tensor) -> torch.Tensor:
    """Raw distances N 4 ROWS COLUMNS to x0 y0 x1 y1 in pixels: each side 8 pixels times exp."""
    centre = cells().T.view(1, 2, ROWS, COLUMNS).to(distances.device)
    sides = 2 * STRIDE * torch.exp(distances.float().clamp(-6, 4))
    return torch.cat([centre - sides[:, :2], centre + sides[:, 2:]], 1)


def decode(outputs: Any) -> list[dict[str, torch.Tensor]]:
    """Boxes, scores and labels of each image, best first: peaks of the heat maps, less doubles."""
    heat, corners = torch.sigmoid(outputs[0]), boxes_of(outputs[1])
    # A cell is a peak where none of its eight neighbours is higher.
    heat = heat * (heat == F.max_pool2d(heat, 3, 1, 1))
    found = []
    for scores, boxes in zip(heat.flatten(1), corners.flatten(2), strict=True):
        # Twice as many as are kept, because doubles go below.
        best, places = scores.topk(2 * MOST_BOXES)
        best, places = best[best > LEAST_SCORE], places[best > LEAST_SCORE]
        labels, cells = places // (ROWS * COLUMNS), places % (ROWS * COLUMNS)
        sides = ops.clip_boxes_to_image(boxes[:, cells].T, (HEIGHT, WIDTH))
        kept = ops.batched_nms(sides, best, labels, OVERLAP)[:MOST_BOXES]
        found.append({"boxes": sides[kept], "scores": best[kept], "labels": labels[kept]})
    return found
