"""Method "cg": the coarse-grained agent of Malik et al. 2022 (arXiv 2110.08558), on widths.

One policy walks over the network and says of each step how much goes; reward and cost come with
the last step. In the paper a step is a convolution, what goes is a share of its weights, wherever
they lie, and the cost is the share of weights that are left. Here a step is a channel group, what
goes is a share of its channels, and the cost is the share of the tightest limit that is used, in
percent; the agent, its state, the dual variable and all constants are the paper's. The paper plays
2,353 to 5,000 episodes and tunes the network before every reward; a search scores candidates right
after the cut, and there are as many episodes as it has evaluations.
"""

from __future__ import annotations

import numpy as np

from hwprune.evaluation import Evaluation
from hwprune.search.evaluator import Evaluator
from hwprune.search.papers.group_state import group_states
from hwprune.search.papers.ppo_lagrangian import PpoLagrangian

AT_ONCE = 3
"""Episodes that are played side by side, as in the paper."""
MOST = (0.9, 0.05)
"""The largest share that may go, and by how much it rises until the last episode."""
BUDGET = 100.0
"""Percent of the limit."""
FAILED = 200.0
"""The cost of what could not be measured, in the same unit."""
STALE = 100
"""Rounds in a row that propose nothing new, after which the search ends."""


def search(evaluator: Evaluator) -> None:
    """Learn until the allowance or all variation is exhausted."""
    PpoLagrangian(WidthEpisodes(evaluator), evaluator.problem.seed).learn(BUDGET)


class WidthEpisodes:
    """Episodes over the channel groups of a problem."""

    action_size = 1

    def __init__(self, evaluator: Evaluator) -> None:
        problem = evaluator.problem
        self.count = problem.at_once(AT_ONCE)
        self._evaluator = evaluator
        self._states = group_states(problem)
        self.observation_size = self._states.shape[1] + 1
        self._gone = np.zeros((self.count, 0))
        self._stale = 0

    def observe(self) -> np.ndarray:
        """The group at hand, and the sum of the actions so far."""
        group = self._states[self._gone.shape[1]]
        so_far = self._gone.sum(axis=1, keepdims=True)
        return np.concatenate([np.tile(group, (self.count, 1)), so_far], axis=1)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool] | None:
        """The share of the group at hand that goes, by episode; see `Episodes.step`."""
        most, rise = MOST
        problem, evaluator = self._evaluator.problem, self._evaluator
        # The share of the allowance that is used stands for the paper's episode number.
        most += rise * (1 - evaluator.left / problem.evaluations)
        self._gone = np.concatenate([self._gone, np.clip(actions, 0.0, most)], axis=1)
        if self._gone.shape[1] < len(self._states):
            return np.zeros(self.count), np.zeros(self.count), False
        candidates = [problem.space.nearest(list(1 - row)) for row in self._gone]
        self._gone = np.zeros((self.count, 0))
        is_new = any(not evaluator.asked(candidate) for candidate in candidates)
        self._stale = 0 if is_new else self._stale + 1
        found = evaluator.ask(candidates)
        if self._stale == STALE:
            evaluator.ended = f"{STALE} rounds in a row proposed nothing new"
        if self._stale == STALE or len(found) < self.count:
            return None
        rewards = np.array([100 * (e.quality or 0.0) for e in found])
        # The multiplier sees the mean cost of a step, and only an episode's last step has one.
        costs = np.array([len(self._states) * _percent(e) for e in found])
        return rewards, costs, True


def _percent(evaluation: Evaluation) -> float:
    """Of the tightest limit that is used."""
    return FAILED if evaluation.failure else 100 * (1 + evaluation.worst_excess)
