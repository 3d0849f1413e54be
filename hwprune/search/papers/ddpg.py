"""DDPG with AMC's constants (He et al. 2018): a deterministic actor, target networks, replay."""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class DdpgConstants:
    """Those of AMC's code."""

    hidden: int = 300
    actor_lr: float = 1e-4
    critic_lr: float = 1e-3
    follow: float = 0.01
    """How far target networks follow with each update (τ)."""
    discount: float = 1.0
    minibatch: int = 64
    replay: int = 100
    """Transitions kept, for each step of an episode."""
    noise: float = 0.5
    """Standard deviation of the first actions after the warm-up."""
    noise_decay: float = 0.95
    """By episode."""
    least: float = 0.2
    """Of an action; the most is 1."""
    average: float = 0.5
    """How far the moving average of rewards follows the mean of a minibatch."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transition:
    """One step of an episode."""

    state: np.ndarray
    action: float
    after: np.ndarray
    reward: float
    over: bool


class Ddpg:
    """An agent whose action is one number, a share that stays."""

    def __init__(
        self, state_size: int, steps: int, seed: int, constants: DdpgConstants | None = None
    ) -> None:
        """`steps`: of an episode."""
        self.constants = constants or DdpgConstants()
        self._chance = np.random.default_rng(seed)
        self._noises = torch.Generator().manual_seed(seed)
        hidden = self.constants.hidden
        # Weights come of this seed alone, and torch's own generator stays where it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.actor = nn.Sequential(
                nn.Linear(state_size, hidden),
                nn.ReLU(),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Linear(hidden, 1),
                nn.Sigmoid(),
            )
            self.critic = Critic(state_size, hidden)
        self._actor_target = copy.deepcopy(self.actor)
        self._critic_target = copy.deepcopy(self.critic)
        self._of_actor = torch.optim.Adam(self.actor.parameters(), lr=self.constants.actor_lr)
        self._of_critic = torch.optim.Adam(self.critic.parameters(), lr=self.constants.critic_lr)
        self._replay: deque[Transition] = deque(maxlen=self.constants.replay * steps)
        self._average: float | None = None
        self._noise = self.constants.noise

    def warm_up_action(self) -> float:
        """Any action, all alike."""
        return float(self._chance.uniform(self.constants.least, 1.0))

    def act(self, state: np.ndarray) -> float:
        """The actor's action with truncated normal noise."""
        with torch.no_grad():
            mean = float(self.actor(torch.as_tensor(state, dtype=torch.float32)))
        # The noise decays towards 0, and trunc_normal_ divides by it.
        noise, least = max(self._noise, 1e-6), self.constants.least
        drawn = torch.empty(1)
        # From a mean outside its bounds torch draws something else, and warns.
        mean = max(mean, least)
        nn.init.trunc_normal_(drawn, mean, noise, least, 1.0, generator=self._noises)
        return float(drawn)

    def remember(self, episode: list[Transition]) -> None:
        """Keep an episode to learn from."""
        self._replay.extend(episode)

    def learn(self, updates: int) -> None:
        """So many updates, then less noise; once for every episode after the warm-up."""
        for _ in range(updates):
            self._update()
        self._noise *= self.constants.noise_decay

    def _update(self) -> None:
        picks = self._chance.integers(0, len(self._replay), self.constants.minibatch)
        chosen = [self._replay[int(pick)] for pick in picks]
        states, after = _rows([t.state for t in chosen]), _rows([t.after for t in chosen])
        actions = _rows([[t.action] for t in chosen])
        goes_on = _rows([[0.0 if t.over else 1.0] for t in chosen])
        rewards = _rows([[t.reward] for t in chosen]) - self._centre(chosen)
        with torch.no_grad():
            ahead = self._critic_target(after, self._actor_target(after))
            wanted = rewards + self.constants.discount * goes_on * ahead
        of_critic = (self.critic(states, actions) - wanted).square().mean()
        _descend(self._of_critic, of_critic)
        _descend(self._of_actor, -self.critic(states, self.actor(states)).mean())
        for target, network in (
            (self._actor_target, self.actor),
            (self._critic_target, self.critic),
        ):
            with torch.no_grad():
                for old, new in zip(target.parameters(), network.parameters(), strict=True):
                    old.lerp_(new, self.constants.follow)

    def _centre(self, chosen: list[Transition]) -> float:
        """The moving average of rewards, which is taken out of them."""
        mean = float(np.mean([t.reward for t in chosen]))
        if self._average is None:
            self._average = mean
        self._average += self.constants.average * (mean - self._average)
        return self._average


class Critic(nn.Module):
    """The value of an action in a state; the two are added up in the first layer."""

    def __init__(self, state_size: int, hidden: int) -> None:
        super().__init__()
        self.of_state = nn.Linear(state_size, hidden)
        self.of_action = nn.Linear(1, hidden)
        self.inner = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, 1)

    def forward(self, states: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """[n, states] and [n, 1] -> [n, 1]."""
        first = torch.relu(self.of_state(states) + self.of_action(actions))
        found: torch.Tensor = self.value(torch.relu(self.inner(first)))
        return found


def _rows(values: object) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
