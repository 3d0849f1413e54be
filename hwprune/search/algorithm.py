"""The algorithm: constrained PPO that proposes the next batch while the last one is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.core import (
    COMPONENT_METRICS_LOGGER,
    COMPONENT_OPTIMIZER,
    COMPONENT_RL_MODULE,
    DEFAULT_MODULE_ID,
)
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.metrics import LEARNER_RESULTS

from hwprune.search.connector import COSTS
from hwprune.search.desk import Desk, Outcomes, Ticket
from hwprune.search.environment import PruningEnvironment
from hwprune.search.learner import MULTIPLIER, ConstrainedLearner
from hwprune.search.module import PruningModule
from hwprune.search.multiplier import Gains

LEARNER_STATE = (COMPONENT_RL_MODULE, COMPONENT_OPTIMIZER, MULTIPLIER)
SCALE = 10.0
"""Rewards and costs are in tenths of the base quality and of the limit: about 1 in size."""


class ConstrainedPPOConfig(PPOConfig):
    """PPO's configuration, with the multipliers' own."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or ConstrainedPPO)
        self.constraints = 1
        self.gains = Gains()
        self.std = 0.2
        self.last_std = 0.06
        self.hidden = 64

    def constrain(
        self, *, constraints: int, gains: Gains, std: float, last_std: float
    ) -> ConstrainedPPOConfig:
        """`std`, `last_std`: the policy's spread at the first and at the last evaluation."""
        self.constraints, self.gains = constraints, gains
        self.std, self.last_std = std, last_std
        return self

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The module with a critic for each cost."""
        return RLModuleSpec(
            module_class=PruningModule,
            model_config={
                "constraints": self.constraints,
                "hidden": self.hidden,
                "std": self.std,
                "last_std": self.last_std,
            },
        )

    def get_default_learner_class(self) -> type:
        """The learner that owns the multipliers."""
        return ConstrainedLearner

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        # Only this module's own keys: RLlib's defaults are for its catalogue.
        return {}


class ConstrainedPPO(PPO):
    """One iteration: sample and hand in batch k+1, then wait for batch k and learn from it.

    The policy that learns from a batch is one update ahead of the one that proposed it; PPO's
    ratio takes care of that, as it is held against the recorded probabilities.
    """

    desk: Desk
    pending: tuple[list[SingleAgentEpisode], Ticket] | None = None
    """A batch whose evaluations are under way."""
    outcomes: Outcomes | None = None
    """Of the batch last learned from."""

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        """The configuration this algorithm goes with."""
        return ConstrainedPPOConfig()

    @property
    def environment(self) -> PruningEnvironment:
        """The local runner's environment."""
        return self.env_runner.env.unwrapped

    def attach(self, desk: Desk) -> None:
        """Say where proposals are evaluated; once, after building."""
        self.desk = desk
        self.environment.attach(desk)

    @property
    def learner(self) -> ConstrainedLearner:
        """The one learner, in this process."""
        learner: ConstrainedLearner = self.learner_group._learner
        return learner

    def spread(self, left: float) -> float:
        """The policy's standard deviation with a share `left` of evaluations to come."""
        return float(self.learner.module[DEFAULT_MODULE_ID].unwrapped().spread(left))

    def learner_state(self) -> dict[str, Any]:
        """Weights, optimiser and multipliers, as dicts of arrays and numbers."""
        state = self.learner.get_state(not_components=COMPONENT_METRICS_LOGGER)
        return {key: state[key] for key in LEARNER_STATE}

    def set_learner_state(self, state: dict[str, Any]) -> None:
        """The inverse of `learner_state`; the environment runner follows."""
        self.learner.set_state(state)
        self._sync()

    def training_step(self) -> None:
        """Propose, then learn; without an allowance left it only learns."""
        proposed = self._propose() if self.desk.turn.left > 0 else None
        self.outcomes = None
        if self.pending is not None:
            episodes, ticket = self.pending
            self.outcomes = self.desk.resolve(ticket)
            write_outcomes(episodes, self.outcomes, self.desk.turn.problem.base_quality)
            self._learn(episodes)
        self.pending = proposed

    def _propose(self) -> tuple[list[SingleAgentEpisode], Ticket]:
        episodes = self.env_runner.sample(num_episodes=self.environment.num_envs)
        # RLlib keeps what it sampled for its own statistics, which know nothing of late rewards.
        self.env_runner.get_metrics()
        ticket = self.environment.ticket
        assert ticket is not None
        return episodes, ticket

    def _learn(self, episodes: Sequence[SingleAgentEpisode]) -> None:
        results = self.learner_group.update(
            episodes=list(episodes),
            num_epochs=self.config.num_epochs,
            minibatch_size=self.config.minibatch_size,
            shuffle_batch_per_epoch=self.config.shuffle_batch_per_epoch,
        )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self._sync()

    def _sync(self) -> None:
        self.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.learner_group,
            policies=[DEFAULT_MODULE_ID],
            inference_only=True,
        )


def write_outcomes(
    episodes: Sequence[SingleAgentEpisode], outcomes: Outcomes, base_quality: float
) -> None:
    """Write the rewards and costs that came late into the last steps of their episodes."""
    rewards = SCALE * (outcomes.quality / base_quality - 1.0)
    costs = SCALE * (outcomes.used - 1.0)
    for episode, reward, cost in zip(episodes, rewards, costs, strict=True):
        episode.set_rewards(new_data=np.array([reward]), at_indices=[-1])
        episode.get_infos(-1)[COSTS] = [float(c) for c in cost]
