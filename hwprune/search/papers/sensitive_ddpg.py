"""Method "sensitive+ddpg": after Yang et al. 2023 (doi 10.1007/s10462-023-10566-5).

The paper's text is closed. Its abstract says that sensitive layers are found by the ranks of their
feature maps and that an agent with a deterministic policy prunes the insensitive ones. The first
half is `search.sensitive`, in both readings (hwprune/saliency/sensitivity.py); by the time a
search begins, a sensitive group has one width. The second half is AMC's agent (He et al. 2018):
one step a group, one action, the share that stays, held back so far that the whole can still keep
the budget (`_most`), the score as reward of every step. AMC warms up for 100 of its 800 episodes.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from hwprune.candidate import Candidate
from hwprune.search.evaluator import Evaluator
from hwprune.search.papers.ddpg import Ddpg, Transition
from hwprune.search.papers.group_state import group_states
from hwprune.search.problem import SearchProblem
from hwprune.search.random_search import target_estimate

WARM_UP = 0.125
"""Share of the allowance that is spent on random actions."""
STALE = 50
"""Rounds of episodes in a row that propose nothing new, after which the search ends."""


def search(evaluator: Evaluator) -> None:
    """Play and learn until the allowance or all variation is exhausted."""
    problem = evaluator.problem
    if problem.space.size == 1:
        evaluator.ask([problem.space.widest])
        return
    walk = GroupWalk(problem)
    agent = Ddpg(walk.state_size, len(walk.groups), problem.seed)
    warm_up = max(2, int(WARM_UP * problem.evaluations))
    stale, count = 0, problem.at_once(1)
    while evaluator.left > 0 and stale < STALE:
        warming = len(evaluator.evaluations) < warm_up
        target = target_estimate(problem, evaluator.evaluations)
        episodes = [walk.play(agent, target, warming=warming) for _ in range(count)]
        candidates = [candidate for candidate, _ in episodes]
        stale = 0 if any(not evaluator.asked(c) for c in candidates) else stale + 1
        for (_, steps), found in zip(episodes, evaluator.ask(candidates), strict=False):
            reward = found.quality or 0.0
            agent.remember([step.transition(reward) for step in steps])
        if not warming:
            # AMC updates once for every step that was played.
            agent.learn(count * len(walk.groups))
    if stale == STALE:
        evaluator.ended = f"{STALE} rounds in a row proposed nothing new"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenStep:
    """A step whose reward is not known yet."""

    state: np.ndarray
    action: float
    after: np.ndarray
    over: bool

    def transition(self, reward: float) -> Transition:
        """AMC gives every step the reward of its episode."""
        return Transition(
            state=self.state, action=self.action, after=self.after, reward=reward, over=self.over
        )


class GroupWalk:
    """The way over the groups that have a choice, with AMC's state of each."""

    def __init__(self, problem: SearchProblem) -> None:
        self._problem = problem
        space = problem.space
        self.groups = [g for g, group in enumerate(space.groups) if len(group.choices) > 1]
        fixed = group_states(problem)[self.groups]
        self._costs = np.array([self._saved(group) for group in self.groups])
        whole = max(float(self._costs.sum()), 1e-9)
        told = np.concatenate([fixed, self._costs[:, None] / whole], axis=1)
        low, high = told.min(axis=0), told.max(axis=0)
        self._told = (told - low) / np.where(high > low, high - low, 1.0)
        self._rest = (self._costs.sum() - self._costs.cumsum()) / whole
        self.state_size = told.shape[1] + 3

    def play(
        self, agent: Ddpg, target: float, *, warming: bool
    ) -> tuple[Candidate, list[OpenStep]]:
        """One episode: its candidate and its steps.

        Args:
            target: the estimated cost that is to be kept.
            warming: whether actions are random.
        """
        groups = self._problem.space.groups
        widths, action = [group.choices[-1] for group in groups], 1.0
        steps: list[OpenStep] = []
        state = self._state(0, widths, action)
        for place, group in enumerate(self.groups):
            wished = agent.warm_up_action() if warming else agent.act(state)
            most = self._most(place, widths, target, agent.constants.least)
            options = [w for w in groups[group].choices if w <= most] or [groups[group].choices[0]]
            wanted = wished * groups[group].width
            widths[group] = min(options, key=lambda w, wanted=wanted: abs(w - wanted))  # type: ignore[misc]
            action = widths[group] / groups[group].width
            after = self._state(place + 1, widths, action)
            over = place == len(self.groups) - 1
            steps.append(OpenStep(state=state, action=action, after=after, over=over))
            state = after
        return Candidate(widths=tuple(widths)), steps

    def _state(self, place: int, widths: list[int], action: float) -> np.ndarray:
        """AMC's: the group, what was taken so far, what is left to take from, the last action."""
        reduced = 1 - self._problem.estimate(tuple(widths))
        # Behind the last group there is none to show: it is shown again.
        told = self._told[min(place, len(self.groups) - 1)]
        return np.concatenate([told, [reduced, self._rest[place - 1] if place else 1.0, action]])

    def _most(self, place: int, widths: list[int], target: float, least: float) -> int:
        """The largest width of a group with which the target can still be kept.

        Later groups are taken at the least that an action gives them.
        """
        groups = self._problem.space.groups
        trial = list(widths)
        for later in self.groups[place + 1 :]:
            options = groups[later].choices
            trial[later] = next(
                (w for w in options if w >= least * groups[later].width), options[-1]
            )
        group = self.groups[place]

        def cost(width: int) -> float:
            trial[group] = width
            return self._problem.estimate(tuple(trial))

        fitting = bisect_right(groups[group].choices, target, key=cost)
        return groups[group].choices[max(0, fitting - 1)]

    def _saved(self, group: int) -> float:
        """Estimated cost that goes with the least width of a group alone."""
        widths = list(self._problem.space.widest.widths)
        whole = self._problem.estimate(tuple(widths))
        widths[group] = self._problem.space.groups[group].choices[0]
        return whole - self._problem.estimate(tuple(widths))
