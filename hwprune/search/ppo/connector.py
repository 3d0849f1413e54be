"""Returns and advantages: of the reward, and of each constraint's cost, by one pass over a batch.

With γ = 1, λ = 1 and everything paid in the last step, the return of every step of an episode is
its final reward, and its advantage that return less what the critic believed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.evaluation.postprocessing import Postprocessing

COST_TARGETS = "cost_targets"
COST_ADVANTAGES = "cost_advantages"
COSTS = "costs"
"""Key of an episode's custom data: its costs as shares of the limits, [constraints]."""
WEIGHT = "weight"
"""Key of an episode's custom data: 1 if it was measured, less if it was only imagined."""


class Outcomes(ConnectorV2):
    """Puts targets and advantages of reward and costs into the learner's batch."""

    def __call__(
        self,
        *,
        rl_module: MultiRLModule,
        batch: dict[str, Any],
        episodes: list[Any],
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Add the columns; every tensor has the phantom step that RLlib appends to an episode."""
        for name, columns in batch.items():
            module = rl_module[name].unwrapped()
            with torch.no_grad():
                values = module.compute_values(columns)
                cost_values = module.compute_cost_values(columns)
            lengths = [len(e) for e in episodes]
            rewards = [e.get_rewards(slice(0, n - 1)).sum() for e, n in zip(episodes, lengths)]  # noqa: B905
            costs = np.array([e.custom_data[COSTS] for e in episodes], np.float32)
            weights = [e.custom_data[WEIGHT] for e in episodes]
            repeat = torch.tensor(lengths)
            target = torch.tensor(rewards, dtype=values.dtype).repeat_interleave(repeat)
            cost_target = torch.from_numpy(costs).repeat_interleave(repeat, dim=0)
            columns[Postprocessing.VALUE_TARGETS] = target
            columns[Postprocessing.ADVANTAGES] = target - values
            columns[COST_TARGETS] = cost_target
            columns[COST_ADVANTAGES] = cost_target - cost_values
            columns[WEIGHT] = torch.tensor(weights).float().repeat_interleave(repeat)
        return batch


def mixed_advantage(columns: dict[str, Any], multipliers: np.ndarray) -> torch.Tensor:
    """Reward advantage less Σ λ times cost advantage, normalised after mixing.

    Each normalised on its own and then mixed never became feasible; phantom steps take no part.
    """
    prices = torch.tensor(multipliers, dtype=torch.float32)
    mixed = columns[Postprocessing.ADVANTAGES] - columns[COST_ADVANTAGES] @ prices
    real = columns[Columns.LOSS_MASK]
    centre, spread = mixed[real].mean(), mixed[real].std().clamp_min(1e-4)
    return (mixed - centre) / spread * columns[WEIGHT]
