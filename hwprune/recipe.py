"""How a network is trained: the recipe of fine-tuning and of training from scratch."""

from __future__ import annotations

from dataclasses import dataclass

from hwprune.number import AboveZero, Amount, Count, Positive, Seed, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """SGD with momentum on a cosine schedule, with optional distillation, EMA and bf16."""

    epochs: Count = 10
    """Passes over the training items."""
    least_steps: Count = 0
    """More epochs where these are fewer steps: a few hundred inputs are passed over in no time."""
    batch_size: Positive = 128
    """Items a step."""
    lr: AboveZero = 0.05
    """Peak learning rate, reached after the warm-up."""
    warmup_epochs: Amount = 0.5
    """In which the learning rate rises."""
    momentum: Share = 0.9
    """Of SGD, with Nesterov's step."""
    weight_decay: Amount = 5e-4
    """Not applied to biases and BatchNorm."""
    distillation: Share = 0.0
    """Share of the loss that imitates the unpruned network, 0..1; all of it where the task has no
    loss of its own."""
    temperature: AboveZero = 3.0
    """Softening of class scores in the imitation (Hinton et al., 2015)."""
    bf16: bool | None = None
    """bf16 autocast; None: where the processor has it in hardware."""
    ema_decay: Share | None = None
    """Exponential moving average of the weights; None for none."""
    seed: Seed = 0
    """Of shuffling and augmentation."""
