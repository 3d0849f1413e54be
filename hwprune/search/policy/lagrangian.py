"""The Lagrangian: rewards less priced costs, for any algorithm of RLlib that learns of episodes.

A learner connector of RLlib. Reward and costs come undiscounted with the last step, so charging
the reward is the same as mixing the two advantages, and one critic will do; that PPO normalises
advantages after the mixing matters, as normalising each on its own undoes the prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import ray
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from hwprune.search.policy.environment import BUDGET, COSTS
from hwprune.search.policy.service import find_service


class Lagrangian(ConnectorV2):
    """Charges episodes at the prices of the service, which are the same for all learners."""

    def __init__(self, service: str) -> None:
        super().__init__(None, None)
        self._service = service

    def __call__(
        self,
        *,
        rl_module: Any,
        batch: dict[str, Any],
        episodes: list[SingleAgentEpisode],
        **_: Any,
    ) -> dict[str, Any]:
        """Ask for the prices once, then charge every episode."""
        prices = ray.get(find_service(self._service).prices.remote())
        for episode in episodes:
            charge(episode, prices)
        return batch


def charge(episode: SingleAgentEpisode, prices: Mapping[str, np.ndarray]) -> None:
    """Take the priced costs from the reward of the step that they came with.

    RLlib may have appended a step that repeats the last info: the first with costs counts.
    """
    for step, info in enumerate(episode.get_infos()):
        if info and COSTS in info:
            cost = float(prices[info[BUDGET]] @ info[COSTS]) if info[BUDGET] in prices else 0.0
            charged = episode.get_rewards(step - 1) - cost
            episode.set_rewards(new_data=charged, at_indices=step - 1)
            return
