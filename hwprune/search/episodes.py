"""A batch of episodes as arrays, and back: what a checkpoint keeps of a batch under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

OUTPUTS = (Columns.ACTION_LOGP, Columns.ACTION_DIST_INPUTS)
"""What the policy said when it proposed; PPO's ratio needs it."""


def to_arrays(episodes: Sequence[SingleAgentEpisode]) -> dict[str, np.ndarray]:
    """Observations [episodes, groups + 1, size], actions and outputs [episodes, groups, ...]."""
    outputs = {name: [e.get_extra_model_outputs(name) for e in episodes] for name in OUTPUTS}
    return {
        Columns.OBS: np.stack([e.get_observations() for e in episodes]),
        Columns.ACTIONS: np.stack([e.get_actions() for e in episodes]),
        **{name: np.stack(rows) for name, rows in outputs.items()},
    }


def to_episodes(arrays: Mapping[str, np.ndarray]) -> list[SingleAgentEpisode]:
    """Complete episodes whose rewards have not come yet."""
    return [
        SingleAgentEpisode(
            observations=list(observations),
            actions=list(arrays[Columns.ACTIONS][i]),
            rewards=[0.0] * len(arrays[Columns.ACTIONS][i]),
            infos=[{} for _ in observations],
            terminated=True,
            extra_model_outputs={name: list(arrays[name][i]) for name in OUTPUTS},
            len_lookback_buffer=0,
        ).to_numpy()
        for i, observations in enumerate(arrays[Columns.OBS])
    ]
