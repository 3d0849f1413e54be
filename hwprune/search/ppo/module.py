"""The policy network: a Gaussian around the table's advice, and critics of reward and costs."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn


def _mlp(size: int, out: int, scale: float) -> nn.Sequential:
    last = nn.Linear(64, out)
    with torch.no_grad():
        last.weight.mul_(scale)
        last.bias.zero_()
    return nn.Sequential(nn.Linear(size, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), last)


class PruneModule(TorchRLModule, ValueFunctionAPI, InferenceOnlyAPI):
    """Mean = advice + what was learned; the standard deviation is one free number a group.

    `model_config`: `groups`, `constraints` and `std`.
    """

    def setup(self) -> None:
        """Build the networks; called by RLlib."""
        size = self.observation_space.shape[0]
        groups = int(self.model_config["groups"])
        self._places = slice(size - groups - 3, size - 3)
        self.deviation = _mlp(size, 1, 0.01)
        start = float(torch.log(torch.tensor(float(self.model_config["std"]))))
        self.log_std = nn.Parameter(torch.full((groups,), start))
        if not self.inference_only:
            self.reward_critic = _mlp(size, 1, 0.1)
            self.cost_critic = _mlp(size, int(self.model_config["constraints"]), 0.1)

    def get_non_inference_attributes(self) -> list[str]:
        """What an acting copy does without."""
        return ["reward_critic", "cost_critic"]

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        seen = batch[Columns.OBS]
        mean = seen[..., -1:] + self.deviation(seen)
        log_std = (seen[..., self._places] * self.log_std).sum(-1, keepdim=True)
        return {Columns.ACTION_DIST_INPUTS: torch.cat([mean, log_std], dim=-1)}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        """Believed reward from here on; [N]."""
        return self.reward_critic(batch[Columns.OBS]).squeeze(-1)

    def compute_cost_values(self, batch: dict[str, Any]) -> torch.Tensor:
        """Believed costs from here on, as shares of the limits; [N, constraints]."""
        return self.cost_critic(batch[Columns.OBS])
