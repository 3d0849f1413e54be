"""The policy network: advice plus a learned correction, and critics for reward and costs."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchDiagGaussian
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn

from hwprune.search.environment import ADVICE, LEFT

LOWEST_STD = 0.02


class PruningModule(TorchRLModule, ValueFunctionAPI, InferenceOnlyAPI):
    """A diagonal Gaussian around (advice + correction), with a free standard deviation.

    The advice is read from the observation, so that the recorded probabilities of a batch stay
    true when the advice changes later. The standard deviation shrinks with the evaluations left.
    """

    def setup(self) -> None:
        """Keys of `model_config`: constraints, hidden, std, last_std."""
        size = self.observation_space.shape[0]
        config = self.model_config
        hidden = config["hidden"]
        self.action_dist_cls = TorchDiagGaussian
        self._correction = _tower(size, hidden, 1)
        # Without experience the policy is the advice.
        for parameter in self._correction[-1].parameters():
            nn.init.zeros_(parameter)
        self._log_std = nn.Parameter(torch.tensor(float(config["std"])).log())
        self._last_share = config["last_std"] / config["std"]
        self._value = _tower(size, hidden, 1)
        self._cost_values = _tower(size, hidden, config["constraints"])

    def get_non_inference_attributes(self) -> list[str]:
        """What the sampling copy does without."""
        return ["_value", "_cost_values"]

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        seen = batch[Columns.OBS]
        mean = seen[..., ADVICE, None] + self._correction(seen)
        std = self.spread(seen[..., LEFT, None])
        return {Columns.ACTION_DIST_INPUTS: torch.cat([mean, std.log()], dim=-1)}

    def spread(self, left: torch.Tensor | float) -> torch.Tensor:
        """The standard deviation with a share `left` of evaluations to come."""
        share = self._last_share + (1 - self._last_share) * left
        return (self._log_std.exp() * share).clamp_min(LOWEST_STD)

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        """Reward still to come, [rows]."""
        return self._value(batch[Columns.OBS]).squeeze(-1)

    def compute_cost_values(self, batch: dict[str, Any]) -> torch.Tensor:
        """Cost still to come, [rows, constraints]."""
        return self._cost_values(batch[Columns.OBS])


def _tower(size: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(size, hidden),
        nn.Tanh(),
        nn.Linear(hidden, hidden),
        nn.Tanh(),
        nn.Linear(hidden, outputs),
    )
