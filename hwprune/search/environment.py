"""The environment: one step a group, one episode a proposal, all episodes of a batch side by side.

All episodes have the same length, so the last step hands in the whole batch at once, and returns
without waiting: rewards and costs are written into the episodes later, when boards and scorers
have answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from hwprune.search.desk import Desk, Ticket

SPENT, BEFORE, LEFT, ADVICE = -4, -3, -2, -1
"""Places of an observation's last four numbers."""


class PruningEnvironment(gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """A batch of proposals.

    Observation: the group's features, which group it is (one-hot), share of the budget spent,
    action before, share of evaluations left, advised action. Action: [-1, 1], from the group's
    smallest to its largest allowed width; clipped.
    """

    metadata: dict[str, Any] = {"autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, config: Mapping[str, Any]) -> None:
        """`config`: `features` [groups][features] and `num_envs`, the episodes of a batch."""
        self.features = np.asarray(config["features"], np.float32)
        self.num_envs = int(config["num_envs"])
        groups, columns = self.features.shape
        size = columns + groups + 4
        self.single_observation_space = gymnasium.spaces.Box(-10.0, 10.0, (size,), np.float32)
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        batch = gymnasium.vector.utils.batch_space
        self.observation_space = batch(self.single_observation_space, self.num_envs)
        self.action_space = batch(self.single_action_space, self.num_envs)
        self.ticket: Ticket | None = None
        """What the last complete batch handed in."""
        self._desk: Desk | None = None
        self._group = 0
        self._widths = np.zeros((self.num_envs, groups), int)
        self._left = np.zeros(self.num_envs, int)
        self._start = np.ones(self.num_envs, int)
        self._before = np.zeros(self.num_envs)

    def attach(self, desk: Desk) -> None:
        """Say where proposals go. Apart from the constructor, since RLlib copies its arguments."""
        self._desk = desk

    @property
    def groups(self) -> int:
        """Steps of an episode."""
        return len(self.features)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a batch; there is no chance in this environment, so `seed` changes nothing."""
        self._group = 0
        self._before[:] = 0.0
        if self._desk is not None:
            self._start = self._desk.advisor.begin(self.num_envs)
        self._left = self._start.copy()
        return self._observe(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Choose the width of one group in every episode; the last step hands the batch in."""
        if self._desk is None:
            raise RuntimeError("attach a desk before the first step")
        advisor = self._desk.advisor
        self._before = np.clip(np.asarray(actions, float).reshape(-1), -1.0, 1.0)
        index = advisor.index_of(self._group, self._before)
        self._widths[:, self._group] = advisor.widths_of(self._group, index)
        self._left = self._left - advisor.spend(self._group, index)
        self._group += 1
        over = self._group == self.groups
        if over:
            self.ticket = self._desk.submit(self._widths.copy())
        nothing = np.zeros(self.num_envs, bool)
        rewards = np.zeros(self.num_envs)
        return self._observe(), rewards, np.full(self.num_envs, over), nothing, {}

    def _observe(self) -> np.ndarray:
        """[episodes, observation]; what comes after the last group shows no group."""
        rows = np.zeros(self.observation_space.shape or (), np.float32)
        if self._group < self.groups and self._desk is not None:
            columns = self.features.shape[1]
            rows[:, :columns] = self.features[self._group]
            rows[:, columns + self._group] = 1.0
            rows[:, SPENT] = 1.0 - self._left / np.maximum(1, self._start)
            rows[:, BEFORE] = self._before
            rows[:, LEFT] = self._desk.left
            rows[:, ADVICE] = self._desk.advisor.advise(self._group, self._left)
        return np.clip(rows, -10.0, 10.0)
