"""The training loss: labels, and a teacher's soft labels beside them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from hwprune.recipe import Recipe


def training_loss(
    outputs: torch.Tensor, labels: torch.Tensor, taught: torch.Tensor | None, recipe: Recipe
) -> torch.Tensor:
    """Cross-entropy with smoothed labels, mixed with distillation (Hinton et al. 2015).

    Args:
        outputs: logits N K of the network that is trained.
        labels: N.
        taught: logits N K of the teacher, or None to train on labels alone.
        recipe: `distillation` is the teacher's share d: (1 - d) * hard + d * T² * KL.
    """
    outputs = outputs.float()
    hard = F.cross_entropy(outputs, labels, label_smoothing=recipe.label_smoothing)
    if taught is None:
        return hard
    heat = recipe.temperature
    soft = F.kl_div(
        F.log_softmax(outputs / heat, dim=1),
        F.log_softmax(taught.float() / heat, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    # T² keeps the gradient of the soft part as large as at T = 1.
    return (1 - recipe.distillation) * hard + recipe.distillation * heat**2 * soft
