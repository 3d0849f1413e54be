"""The environment: one step a group, all episodes side by side, a candidate each."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Mapping
from typing import Any, Protocol

import gymnasium as gym
import numpy as np


class Course(Protocol):
    """What the environment asks about the problem while episodes go on."""

    groups: int
    features: np.ndarray

    def begin(self, episodes: int) -> None:
        """New episodes start."""

    def advice(self, group: int) -> np.ndarray:
        """What the table would choose now, as actions in [-1, 1]; [episodes]."""

    def room(self, group: int) -> np.ndarray:
        """Share of the budget left to spend above the smallest widths; [episodes]."""

    def choose(self, group: int, actions: np.ndarray) -> None:
        """Take the groups' actions in [-1, 1]; [episodes]."""


class PruneEnvironment(gym.vector.VectorEnv):
    """Widths of one group after another; rewards and costs are written in once they are measured.

    Observation: the group's features, its one-hot (without it a policy never gets below a 5 %
    gap), the budget left, the last action, and the table's advice as the last number.
    """

    metadata = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, course: Course, num_envs: int) -> None:
        self.course = course
        self.num_envs = num_envs
        size = course.features.shape[1] + course.groups + 3
        self.single_observation_space = gym.spaces.Box(-4.0, 4.0, (size,), np.float32)
        self.single_action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = gym.vector.utils.batch_space(
            self.single_observation_space, num_envs
        )
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self._group = 0
        self._last = np.zeros(num_envs)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all episodes at the first group."""
        self._group = 0
        self._last = np.zeros(self.num_envs)
        self.course.begin(self.num_envs)
        return self._observe(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Choose widths for the current group of every episode."""
        chosen = np.clip(np.asarray(actions, float).reshape(self.num_envs), -1.0, 1.0)
        self.course.choose(self._group, chosen)
        self._last = chosen
        self._group += 1
        over = self._group == self.course.groups
        done = np.full(self.num_envs, over)
        nothing = np.zeros(self.num_envs)
        return self._observe(), nothing, done, np.zeros(self.num_envs, bool), {}

    def _observe(self) -> np.ndarray:
        group = min(self._group, self.course.groups - 1)
        place = np.zeros(self.course.groups)
        place[group] = 1.0
        fixed = np.concatenate([self.course.features[group], place])
        moving = np.stack(
            [2 * self.course.room(group) - 1, self._last, self.course.advice(group)], axis=1
        )
        rows = np.concatenate([np.tile(fixed, (self.num_envs, 1)), moving], axis=1)
        return np.clip(rows, -4.0, 4.0).astype(np.float32)


_ANNOUNCED: weakref.WeakValueDictionary[int, Course] = weakref.WeakValueDictionary()
_NUMBERS = itertools.count()


def announce(course: Course) -> int:
    """A number under which an environment of this process finds its course.

    RLlib serialises an environment's configuration, and a course waits for futures and threads.
    """
    number = next(_NUMBERS)
    _ANNOUNCED[number] = course
    return number


class AnnouncedEnvironment(PruneEnvironment):
    """An environment as RLlib makes it: from a context with `course` and `num_envs`."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        super().__init__(_ANNOUNCED[context["course"]], context["num_envs"])
