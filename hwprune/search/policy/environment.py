"""The environment: one episode a candidate, one step a channel group.

Registered with RLlib by `NAME`; its configuration is `{"service": name}`, the evaluation service
to ask. So it can be made on any node of a cluster, and with any algorithm of RLlib that knows
continuous actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import ray
from ray.tune.registry import register_env

from hwprune.search.policy.service import Outcome, find_service
from hwprune.search.policy.view import Costs, View

NAME = "hwprune-pruning"
COSTS = "costs"
"""Key of the last step's info: excess over the limits, scaled like the reward, [constraints]."""
BUDGET = "budget"
"""Key of the last step's info: name of the budget that the candidate is for."""
REACH = 2.5
"""Actions go from -REACH to REACH, so that a policy that starts with a standard deviation of 1, as
RLlib's do, starts with 0.4 of the way from the usual cut to the widest or the least."""


class PruningEnvironment(gymnasium.Env[np.ndarray, np.ndarray]):
    """One candidate at a time.

    Observation: features of the group; of its neighbours in the channel graph; which group it is
    (one-hot); what its neighbours keep so far; share used of each limit by what is chosen, all
    other groups at their least; the limits, as shares of what the unpruned network takes; the
    action before.

    Action: where in its choices the group is cut, from -REACH (its least width) over 0 (the
    uniform cut) to REACH (its widest). Reward and `info["costs"]` come with the last step.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._service = find_service(config["service"])
        self._view: View = ray.get(self._service.view.remote())
        groups, columns = self._view.features.shape
        size = 2 * columns + groups + 1 + 2 * self._view.constraints + 1
        self.observation_space = gymnasium.spaces.Box(-10.0, 10.0, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-REACH, REACH, (1,), np.float32)
        self._costs: Costs | None = None
        self._least = np.array([choices[0] for choices in self._view.choices])
        self._full = np.array([choices[-1] for choices in self._view.choices])
        self._widths = self._least.copy()
        self._group = 0
        self._before = 0.0
        self._coming: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a candidate; there is no chance in this environment, so `seed` changes nothing."""
        super().reset(seed=seed)
        self._costs = ray.get(self._service.costs.remote())
        self._widths, self._group, self._before = self._least.copy(), 0, 0.0
        self._coming = None
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Choose the width of one group; the last step waits for the candidate's evaluation."""
        over = self._group == len(self._full) - 1
        if over:
            # Before `_take`, which moves on to the next group.
            self.ask_ahead(action)
            outcome: Outcome | None = ray.get(self._coming)
            self._take(action)
            if outcome is None:
                return self._observe(), 0.0, True, False, {}
            return self._observe(), outcome.reward, True, False, info_of(outcome)
        self._take(action)
        return self._observe(), 0.0, False, False, {}

    def ask_ahead(self, action: np.ndarray) -> None:
        """Ask for the evaluation that the last step will wait for, if this action is the last."""
        if self._group == len(self._full) - 1 and self._coming is None:
            widths = (*self._widths[:-1].tolist(), self.width_of(self._group, float(action[0])))
            self._coming = self._service.evaluate.remote(widths)

    def width_of(self, group: int, action: float) -> int:
        """The width that an action stands for."""
        choices, start = self._view.choices[group], self._view.start[group]
        way = np.clip(action / REACH, -1.0, 1.0)
        # `start` may lie anywhere between the ends, so each side has a scale of its own.
        place = start + way * (1 - start if way > 0 else 1 + start)
        return int(choices[int(np.rint((place + 1) / 2 * (len(choices) - 1)))])

    def action_of(self, group: int, width: int) -> float:
        """The action that stands for a width: the inverse of `width_of`."""
        choices, start = self._view.choices[group], float(self._view.start[group])
        top = max(1, len(choices) - 1)
        way = 2 * int(np.searchsorted(choices, width)) / top - 1 - start
        room = 1 - start if way > 0 else 1 + start
        return REACH * way / room if room else 0.0

    def _take(self, action: np.ndarray) -> None:
        self._widths[self._group] = self.width_of(self._group, float(action[0]))
        self._before = float(action[0]) / REACH
        self._group += 1

    def _observe(self) -> np.ndarray:
        """The observation now; after the last group it shows none."""
        view, groups = self._view, len(self._full)
        used, budgets = np.zeros(view.constraints), np.ones(view.constraints)
        if self._costs is not None:
            used, budgets = self._costs.used(self._widths, view.choices), self._costs.budgets
        own, which, kept = np.zeros((2, view.features.shape[1])), np.zeros(groups), 0.0
        if self._group < groups:
            weights = view.neighbours[self._group]
            own = np.stack([view.features[self._group], weights @ view.features])
            which[self._group] = 1.0
            chosen = weights * (np.arange(groups) < self._group)
            kept = float(chosen @ (self._widths / self._full))
        row = [*own.reshape(-1), *which, kept, *used, *np.log2(budgets), self._before]
        return np.clip(np.array(row, np.float32), -10.0, 10.0)


class SideBySide(gymnasium.vector.SyncVectorEnv):
    """Several candidates at once: all ask for their evaluations before the first one waits."""

    def step(self, actions: Any) -> Any:
        """Take one step in each environment."""
        for env, action, begins in zip(self.envs, actions, self._autoreset_envs, strict=True):
            inner: Any = env.unwrapped
            # With an environment that ended, gymnasium spends this step on its reset.
            if not begins:
                inner.ask_ahead(action)
        return super().step(actions)


def played(environment: PruningEnvironment, widths: Sequence[int]) -> Any:
    """The episode that a policy would have played to choose these widths; its outcome is to come.

    Returns observations [groups + 1, size] and actions [groups, 1].
    """
    observation, _ = environment.reset()
    observations, actions = [observation], []
    for group, width in enumerate(widths):
        actions.append(np.array([environment.action_of(group, width)], np.float32))
        environment._take(actions[-1])
        observations.append(environment._observe())
    return np.stack(observations), np.stack(actions)


def info_of(outcome: Outcome) -> dict[str, Any]:
    """What comes with the last step besides the reward."""
    return {COSTS: outcome.costs, BUDGET: outcome.budget}


def make(config: Mapping[str, Any]) -> gymnasium.Env[Any, Any] | gymnasium.vector.VectorEnv:
    """One environment, or, where RLlib says `num_envs`, so many side by side."""
    if "num_envs" in config:
        return SideBySide([lambda: PruningEnvironment(config)] * config["num_envs"])
    return PruningEnvironment(config)


def register() -> None:
    """Make `NAME` known to the Ray that runs, on all of its nodes."""
    register_env(NAME, make)
