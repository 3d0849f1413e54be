"""The algorithms of RLlib by name, and how any other is fitted to the problem."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.sac import SACConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from hwprune.errors import InputError
from hwprune.search.policy.environment import NAME
from hwprune.search.policy.lagrangian import Lagrangian
from hwprune.search.problem import ALGORITHMS
from hwprune.user_code import load_function


def _small(config: AlgorithmConfig, *, free_log_std: bool = False) -> AlgorithmConfig:
    """A network of two layers of 64; a few hundred episodes teach no larger one."""
    return config.rl_module(
        model_config=DefaultModelConfig(
            fcnet_hiddens=[64, 64],
            fcnet_activation="tanh",
            head_fcnet_hiddens=[],
            free_log_std=free_log_std,
            vf_share_layers=False,
        )
    )


def _ppo(steps: int) -> AlgorithmConfig:
    """Numbers as the study behind tests/benchmarks/bench_search.py left them."""
    return _small(PPOConfig(), free_log_std=True).training(
        # The reward comes with the last step: a discount would only weigh groups by their place.
        gamma=1.0,
        lambda_=1.0,
        lr=1e-3,
        num_epochs=16,
        minibatch_size=max(1, steps // 4),
        clip_param=0.3,
        vf_clip_param=float("inf"),
        vf_loss_coeff=1.0,
        entropy_coeff=0.0,
        use_kl_loss=False,
        grad_clip=1.0,
    )


def _sac(steps: int) -> AlgorithmConfig:
    return _small(SACConfig()).training(
        gamma=1.0,
        tau=0.02,
        actor_lr=1e-3,
        critic_lr=1e-3,
        alpha_lr=1e-3,
        initial_alpha=0.1,
        n_step=3,
        train_batch_size_per_learner=128,
        num_steps_sampled_before_learning_starts=steps,
        # Gradients from so many replayed steps for each new one.
        training_intensity=40.0,
        replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 200_000},
    )


CONFIGURATIONS: dict[str, Callable[[int], AlgorithmConfig]] = dict(
    zip(ALGORITHMS, (_ppo, _sac), strict=True)
)
"""Each takes the steps of a batch."""


def configured(
    algorithm: str,
    *,
    service: str,
    groups: int,
    episodes: int,
    runners: int,
    learners: int,
    seed: int,
) -> AlgorithmConfig:
    """The configuration of an algorithm, ready to be built.

    Args:
        algorithm: a name of ALGORITHMS, or `package.module:function` that gives an AlgorithmConfig
            of RLlib.
        service: name of the evaluation service.
        episodes: candidates of a batch, over all runners.
        runners, learners: remote ones; 0: in this process.

    Raises:
        InputError: no such algorithm, or the function gives something else.
    """
    steps = episodes * groups
    config = _named(algorithm, steps)
    if not is_off_policy(config):
        share = steps // max(1, learners)
        config.training(train_batch_size_per_learner=share)
        # RLlib refuses minibatches that are larger than a learner's share of the batch.
        config.minibatch_size = min(getattr(config, "minibatch_size", None) or share, share)
    return (
        config.environment(NAME, env_config={"service": service}, disable_env_checking=True)
        .env_runners(
            num_env_runners=runners,
            # As many as episodes, so that a batch's candidates are all asked for together.
            num_envs_per_env_runner=-(-episodes // max(1, runners)),
            gym_env_vectorize_mode=gymnasium.VectorizeMode.VECTOR_ENTRY_POINT,
            # Reward and costs come with the last step: part of an episode teaches nothing.
            batch_mode="complete_episodes",
            # By default RLlib gives a batch up after a minute; boards may take longer.
            sample_timeout_s=None,
        )
        .learners(num_learners=learners, learner_connector=partial(_connector, service))
        .fault_tolerance(restart_failed_env_runners=True)
        # So that `train` returns after one batch.
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=0)
        .debugging(seed=seed, log_level="ERROR")
    )


def is_off_policy(config: AlgorithmConfig) -> bool:
    """Whether the algorithm learns from a buffer, which others may add episodes to."""
    return hasattr(config, "replay_buffer_config")


def _named(algorithm: str, steps: int) -> AlgorithmConfig:
    if algorithm in CONFIGURATIONS:
        return CONFIGURATIONS[algorithm](steps)
    config = load_function(algorithm, InputError, what="algorithm")()
    if not isinstance(config, AlgorithmConfig):
        raise InputError(
            f"{algorithm} gives no configuration of an RLlib algorithm",
            given=type(config).__name__,
            possible="such as ray.rllib.algorithms.ppo.PPOConfig",
        )
    return config


def _connector(service: str, *_: Any) -> Lagrangian:
    """RLlib hands over the spaces of observations and actions."""
    return Lagrangian(service)
