"""The algorithm: RLlib's PPO with our environment, network and learner, one batch behind.

A batch is sampled and its best episodes are sent to board and scorers; while they work, the batch
before it is waited for and learned from. PPO's ratio uses the recorded log-probabilities, so
learning from episodes one update old is sound.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from hwprune.search.ppo.connector import COSTS, WEIGHT
from hwprune.search.ppo.environment import AnnouncedEnvironment, Course, announce
from hwprune.search.ppo.learner import LagrangianLearner
from hwprune.search.ppo.module import PruneModule
from hwprune.search.ppo.quiet import quiet

MODULE = "default_policy"
RECORDED = ("action_logp", "action_dist_inputs")
"""What the acting policy said of each action; PPO's ratio needs it."""
Outcome = tuple[float, list[float], float]
"""Of one episode: reward, costs as shares of the limits, and weight in the loss."""


class LagrangianConfig(PPOConfig):
    """PPO's configuration with the number of constraints."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or LagrangianPpo)
        self.constraints = 1

    def training(self, *, constraints: Any = NotProvided, **keys: Any) -> LagrangianConfig:
        """PPO's training keys, and `constraints`."""
        super().training(**keys)
        if constraints is not NotProvided:
            self.constraints = constraints
        return self

    def get_default_learner_class(self) -> type:
        """Ours."""
        return LagrangianLearner


class LagrangianPpo(PPO):
    """PPO that samples and learns in two steps of its own."""

    @classmethod
    def get_default_config(cls) -> LagrangianConfig:
        """RLlib asks for it."""
        return LagrangianConfig()

    def sample(self) -> list[SingleAgentEpisode]:
        """One batch of whole episodes, rewards and costs still open."""
        runner = self.env_runner_group.local_env_runner
        return list(runner.sample(num_episodes=runner.num_envs))

    def learn(self, episodes: list[SingleAgentEpisode], outcomes: list[Outcome]) -> None:
        """Write outcomes into a batch's episodes and learn from them."""
        for episode, (reward, costs, weight) in zip(episodes, outcomes, strict=True):
            episode.set_rewards(new_data=[reward], at_indices=[len(episode) - 1])
            episode.custom_data[COSTS] = costs
            episode.custom_data[WEIGHT] = weight
        self.learner.pay(episodes)
        self.learner_group.update(
            episodes=episodes,
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: 0},
            num_epochs=self.config.num_epochs,
            minibatch_size=self.config.minibatch_size,
            shuffle_batch_per_epoch=True,
        )
        self.sync()

    def sync(self) -> None:
        """Let the environment's policy be the learner's."""
        self.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.learner_group, inference_only=True
        )

    def calm(self, most: float) -> None:
        """Limit the standard deviation of exploration."""
        module = self.learner.module[MODULE].unwrapped()
        with torch.no_grad():
            module.log_std.clamp_(max=math.log(most))

    def save_learner(self) -> dict[str, Any]:
        """Weights, optimiser and multipliers, as tensors and plain data."""
        learner = self.learner
        optimizer = learner.get_optimizer(module_id=MODULE).state_dict()
        return {
            "module": learner.module[MODULE].unwrapped().state_dict(),
            "optimizer": [[number, dict(values)] for number, values in optimizer["state"].items()],
            "multiplier": learner.multiplier.to_json(),
        }

    def load_learner(self, state: dict[str, Any]) -> None:
        """The inverse of `save_learner`, on an algorithm built alike."""
        learner = self.learner
        learner.module[MODULE].unwrapped().load_state_dict(state["module"])
        optimizer = learner.get_optimizer(module_id=MODULE)
        whole = optimizer.state_dict()
        whole["state"] = {int(number): values for number, values in state["optimizer"]}
        optimizer.load_state_dict(whole)
        learner.multiplier.restore(state["multiplier"])
        self.sync()

    def save_episodes(self, episodes: list[SingleAgentEpisode]) -> dict[str, Any]:
        """A sampled batch as arrays, [episodes, steps, …]."""
        return {
            "observations": np.stack([e.get_observations() for e in episodes]),
            "actions": np.stack([e.get_actions() for e in episodes]),
            **{
                key: np.stack([e.get_extra_model_outputs(key) for e in episodes])
                for key in RECORDED
            },
        }

    def load_episodes(self, state: dict[str, Any]) -> list[SingleAgentEpisode]:
        """The inverse of `save_episodes`."""
        arrays = {key: np.asarray(value) for key, value in state.items()}
        space = self.env_runner_group.local_env_runner.env
        episodes = []
        for row in range(len(arrays["actions"])):
            episode = SingleAgentEpisode(
                observation_space=space.single_observation_space,
                action_space=space.single_action_space,
                observations=list(arrays["observations"][row]),
                actions=list(arrays["actions"][row]),
                rewards=[0.0] * len(arrays["actions"][row]),
                terminated=True,
                extra_model_outputs={key: list(arrays[key][row]) for key in RECORDED},
                len_lookback_buffer=0,
            )
            episodes.append(episode.to_numpy())
        return episodes

    @property
    def learner(self) -> LagrangianLearner:
        """The one local learner."""
        return self.learner_group._learner


def build(
    course: Course, *, constraints: int, episodes: int, std: float, seed: int
) -> LagrangianPpo:
    """A ready algorithm, all in this process."""
    torch.set_num_threads(1)
    rows = episodes * course.groups
    number = announce(course)
    config = (
        LagrangianConfig()
        .environment(AnnouncedEnvironment, env_config={"course": number})
        .env_runners(
            num_env_runners=0,
            num_envs_per_env_runner=episodes,
            gym_env_vectorize_mode="vector_entry_point",
            batch_mode="complete_episodes",
        )
        .learners(num_learners=0)
        .training(
            constraints=constraints,
            gamma=1.0,
            lambda_=1.0,
            lr=1e-3,
            train_batch_size_per_learner=rows,
            minibatch_size=max(32, rows // 4),
            num_epochs=8,
            clip_param=0.3,
            vf_clip_param=float("inf"),
            vf_loss_coeff=0.5,
            entropy_coeff=0.0,
            use_kl_loss=False,
            grad_clip=0.5,
        )
        .rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=PruneModule,
                model_config={"groups": course.groups, "constraints": constraints, "std": std},
            )
        )
        .debugging(seed=seed, log_level="ERROR")
    )
    with quiet():
        return config.build_algo()
