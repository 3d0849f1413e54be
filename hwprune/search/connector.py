"""The learner's connector: advantages of reward and costs, mixed by the multipliers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.evaluation.postprocessing import Postprocessing

from hwprune.search.multiplier import Multiplier

COST_TARGETS = "cost_targets"
"""Batch column [rows, constraints]: what the cost critic should have said."""
COSTS = "costs"
"""Key of the last step's info: excess of the proposal, scaled like the reward, [constraints]."""


class ConstrainedAdvantages(ConnectorV2):
    """Fills advantages and the targets of both critics; stands where RLlib's own GAE stands.

    Episodes come with one phantom row at their end. Undiscounted: reward and costs come with the
    last step.
    """

    def __init__(self, multiplier: Multiplier, *, lambda_: float = 1.0) -> None:
        super().__init__(None, None)
        self.multiplier = multiplier
        self.lambda_ = lambda_

    def __call__(
        self,
        *,
        rl_module: Any,
        episodes: list[SingleAgentEpisode],
        batch: dict[str, Any],
        **_: Any,
    ) -> dict[str, Any]:
        """Move the multipliers once, by the whole batch, then mix with the new ones."""
        rows = batch[DEFAULT_MODULE_ID]
        module = rl_module[DEFAULT_MODULE_ID].unwrapped()
        with torch.no_grad():
            values = module.compute_values(rows).cpu().numpy()[:, None]
            cost_values = module.compute_cost_values(rows).cpu().numpy()
        lengths = [len(episode) for episode in episodes]
        rewards = np.concatenate(
            [
                np.append(e.get_rewards()[: n - 1], 0.0)
                for e, n in zip(episodes, lengths, strict=True)
            ]
        )
        costs = episode_costs(episodes)
        price = self.multiplier.update(costs.mean(axis=0))
        gain, targets = advantages(rewards[:, None], values, lengths, self.lambda_)
        harm, cost_targets = advantages(
            _at_last_step(costs, lengths), cost_values, lengths, self.lambda_
        )
        mixed = mix(gain[:, 0], harm, price, rows[Columns.LOSS_MASK].cpu().numpy().astype(bool))
        device = rows[Columns.OBS].device
        for column, data in (
            (Postprocessing.ADVANTAGES, mixed),
            (Postprocessing.VALUE_TARGETS, targets[:, 0]),
            (COST_TARGETS, cost_targets),
        ):
            rows[column] = torch.as_tensor(data, dtype=torch.float32, device=device)
        return batch


def episode_costs(episodes: Sequence[SingleAgentEpisode]) -> np.ndarray:
    """The costs that whole episodes ended with, [episodes, constraints]."""
    return np.array([episode.get_infos(-1)[COSTS] for episode in episodes], float)


def _at_last_step(costs: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    """Costs [episodes, constraints] as rows: at each episode's last real step, 0 elsewhere."""
    rows = np.zeros((sum(lengths), costs.shape[1]))
    rows[np.cumsum(lengths) - 2] = costs
    return rows


def advantages(
    rewards: np.ndarray, values: np.ndarray, lengths: Sequence[int], lambda_: float
) -> tuple[np.ndarray, np.ndarray]:
    """Generalised advantages and value targets, undiscounted, [rows, columns] each.

    `lengths` count each episode's phantom row, whose value is never used (episodes terminate) and
    whose own advantage is 0.
    """
    gained = np.zeros_like(values, dtype=float)
    end = 0
    for length in lengths:
        end += length
        following, carried = np.zeros(values.shape[1]), np.zeros(values.shape[1])
        for row in range(end - 2, end - length - 1, -1):
            surprise = rewards[row] + following - values[row]
            carried = surprise + lambda_ * carried
            gained[row], following = carried, values[row]
    return gained, gained + values


def mix(gain: np.ndarray, harm: np.ndarray, price: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Advantage of reward less priced advantages of costs, normalised after over real rows.

    Normalising each on its own and mixing then never became feasible: it undoes the prices.
    """
    mixed = gain - harm @ price
    mean, std = mixed[real].mean(), mixed[real].std()
    return np.where(real, (mixed - mean) / max(1e-6, std), 0.0)
