"""Exponential moving average of a network's weights."""

from __future__ import annotations

import torch
from torch import nn


class WeightAverage:
    """An average over training steps; its last values are often better than the weights' own.

    BatchNorm statistics are averaged too, because they have to fit the averaged weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._decay = decay
        self._steps = 0
        self.state = {name: tensor.clone() for name, tensor in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take one step's weights in; early on they weigh more, so that the start is forgotten."""
        self._steps += 1
        # 0.18 at first, 0.9 after 80 steps: as TensorFlow's ExponentialMovingAverage starts.
        keep = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor, 1 - keep)
            else:
                # Counters of whole numbers have no mean.
                self.state[name].copy_(tensor)

    def restore(self, state: dict[str, torch.Tensor], steps: int) -> None:
        """Go on from a stored average after so many steps."""
        self._steps = steps
        for name, tensor in self.state.items():
            tensor.copy_(state[name])
