"""How a network is trained: the recipe of fine-tuning and of training from scratch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """SGD with momentum on a cosine schedule, with optional distillation, EMA and bf16."""

    epochs: int = 10
    least_steps: int = 0
    """More epochs where these are fewer steps: a few hundred inputs are passed over in no time."""
    batch_size: int = 128
    lr: float = 0.05
    """Peak learning rate, reached after the warm-up."""
    warmup_epochs: float = 0.5
    momentum: float = 0.9
    weight_decay: float = 5e-4
    """Not applied to biases and BatchNorm."""
    distillation: float = 0.0
    """Share of the loss that imitates the unpruned network, 0..1; all of it where the task has no
    loss of its own."""
    temperature: float = 3.0
    """Softening of class scores in the imitation (Hinton et al., 2015)."""
    bf16: bool | None = None
    """bf16 autocast; None: where the processor has it in hardware."""
    ema_decay: float | None = None
    """Exponential moving average of the weights; None for none."""
    seed: int = 0
