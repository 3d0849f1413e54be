"""PPO-Lagrangian with a critic each for reward and cost, as Malik et al. 2022 have it.

RLlib's PPO has one critic and one advantage. The paper's has two of each, scaled differently, and
its multiplier sees the raw cost; what RLlib has to offer for that is a module, a connector and a
learner of one's own around this loss, so here is the loss with its loop in plain torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hwprune.search.papers.scale import ReturnScale, RunningScale


@dataclass(frozen=True, slots=True, kw_only=True)
class PpoConstants:
    """Those of the paper's published commands."""

    lr: float = 3e-4
    steps: int = 128
    """Of each episode side by side, in a rollout. Episodes go on from one rollout to the next."""
    minibatch: int = 64
    epochs: int = 10
    clip: float = 0.2
    target_kl: float = 0.1
    """An update ends early at 1.5 times this."""
    discount: float = 0.99
    reward_lambda: float = 0.95
    cost_lambda: float = 1.0
    gradient_norm: float = 0.5
    hidden: int = 32
    dual_start: float = 1.0
    dual_lr: float = 1.0


class Episodes(Protocol):
    """Episodes of equal length that are played side by side."""

    count: int
    observation_size: int
    action_size: int

    def observe(self) -> np.ndarray:
        """[count, observation_size]."""

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool] | None:
        """Rewards and raw costs of a step, [count] each, and whether it was the last of all.

        After the last one new episodes begin. None where nothing may be played any more.

        Args:
            actions: [count, action_size], any numbers.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rollout:
    """Steps of episodes side by side; arrays are [steps, episodes] and on."""

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    """Scaled; costs as well."""
    costs: np.ndarray
    over: np.ndarray
    """Whether the step was its episode's last, [steps]."""
    raw_cost: float
    """Mean of a step."""


class DualVariable:
    """A price softplus(z); z takes one Adam step a rollout, up where the cost is over its budget.

    Source: `dual_variable.py` of the paper's repository, with its learning rate of 1.
    """

    def __init__(self, *, start: float = 1.0, lr: float = 1.0) -> None:
        """`start`: the price before the first rollout, above 0."""
        # The inverse of softplus.
        self._z = torch.tensor(math.log(math.expm1(start)), requires_grad=True)
        self._optimizer = torch.optim.Adam([self._z], lr=lr)

    @property
    def value(self) -> float:
        """The price, above 0."""
        return float(F.softplus(self._z.detach()))

    def update(self, cost: float, budget: float) -> None:
        """One step of ascent on price × (cost − budget); both in the cost's own unit."""
        self._optimizer.zero_grad()
        (-F.softplus(self._z) * (cost - budget)).backward()
        self._optimizer.step()


class PpoLagrangian:
    """One Gaussian policy with a spread that does not depend on the state, and two critics."""

    def __init__(
        self, episodes: Episodes, seed: int, constants: PpoConstants | None = None
    ) -> None:
        self.constants = constants or PpoConstants()
        self.dual = DualVariable(start=self.constants.dual_start, lr=self.constants.dual_lr)
        self._episodes = episodes
        self._chance = torch.Generator().manual_seed(seed)
        sizes, actions = (episodes.observation_size, self.constants.hidden), episodes.action_size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy = _network(*sizes, actions, gain=0.01)
            self.reward_critic = _network(*sizes, 1, gain=1.0)
            self.cost_critic = _network(*sizes, 1, gain=1.0)
        self.log_std = nn.Parameter(torch.zeros(actions))
        self._weights = [
            *self.policy.parameters(),
            *self.reward_critic.parameters(),
            *self.cost_critic.parameters(),
            self.log_std,
        ]
        # eps as Stable-Baselines3 has it, which the paper's code is built on.
        self._optimizer = torch.optim.Adam(self._weights, lr=self.constants.lr, eps=1e-5)
        self._seen = RunningScale(episodes.observation_size)
        discount = self.constants.discount
        self._of_reward = ReturnScale(episodes.count, discount)
        self._of_cost = ReturnScale(episodes.count, discount)

    def learn(self, budget: float) -> None:
        """Play and learn until nothing may be played any more.

        Args:
            budget: the mean raw cost of a step that is allowed.
        """
        while (rollout := self.play()) is not None:
            self.dual.update(rollout.raw_cost, budget)
            self.update(rollout)

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Draw actions [n, actions] for observations [n, observations]."""
        seen = torch.as_tensor(self._seen.standardised(observations), dtype=torch.float32)
        with torch.no_grad():
            mean = self.policy(seen)
            noise = torch.randn(mean.shape, generator=self._chance)
            return np.asarray(mean + noise * self.log_std.exp())

    def play(self) -> Rollout | None:
        """A rollout; None where it could not be played to its end."""
        rows: list[tuple[np.ndarray, ...]] = []
        raw: list[float] = []
        for _ in range(self.constants.steps):
            observations = self._episodes.observe()
            self._seen.see(observations)
            actions = self.act(observations)
            found = self._episodes.step(actions)
            if found is None:
                return None
            rewards, costs, over = found
            raw.append(float(costs.mean()))
            rows.append(
                (
                    self._seen.standardised(observations),
                    actions,
                    self._of_reward.scaled(rewards, over=over),
                    self._of_cost.scaled(costs, over=over),
                    np.array(over),
                )
            )
        observed, acted, rewarded, cost, over_at = (
            np.stack(column) for column in zip(*rows, strict=True)
        )
        return Rollout(
            observations=observed,
            actions=acted,
            rewards=rewarded,
            costs=cost,
            over=over_at,
            raw_cost=float(np.mean(raw)),
        )

    def update(self, rollout: Rollout) -> None:
        """Several passes over a rollout; ends early where the policy has moved far."""
        constants = self.constants
        batch = self._batch(rollout)
        before = self._log_probability(batch["observations"], batch["actions"]).detach()
        for _ in range(constants.epochs):
            order = torch.randperm(len(before), generator=self._chance)
            moved = []
            for chosen in order.split(constants.minibatch):
                part = {name: values[chosen] for name, values in batch.items()}
                loss, moved_by = self._loss(part, before[chosen])
                self._optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self._weights, constants.gradient_norm)
                self._optimizer.step()
                moved.append(moved_by)
            if np.mean(moved) > 1.5 * constants.target_kl:
                break

    def _loss(
        self, part: dict[str, torch.Tensor], before: torch.Tensor
    ) -> tuple[torch.Tensor, float]:
        """The paper's loss, and about how far the policy has moved (KL divergence)."""
        price, clip = self.dual.value, self.constants.clip
        gain = part["reward advantages"]
        gain = (gain - gain.mean()) / (gain.std(unbiased=False) + 1e-8)
        # Costs are centred alone: the multiplier is what they are weighed by.
        harm = part["cost advantages"] - part["cost advantages"].mean()
        change = self._log_probability(part["observations"], part["actions"]) - before
        ratio = change.exp()
        clipped = ratio.clamp(1 - clip, 1 + clip)
        of_policy = -torch.min(ratio * gain, clipped * gain).mean() + price * (ratio * harm).mean()
        values = self.reward_critic(part["observations"]).squeeze(-1)
        costs = self.cost_critic(part["observations"]).squeeze(-1)
        of_critics = (values - part["returns"]).square().mean()
        of_critics = of_critics + (costs - part["cost returns"]).square().mean()
        # Divided, so that a high price turns the step and does not lengthen it.
        return of_policy / (1 + price) + 0.5 * of_critics, float(-change.detach().mean())

    def _batch(self, rollout: Rollout) -> dict[str, torch.Tensor]:
        """Every step of a rollout by itself, with its advantages."""
        constants = self.constants
        seen = torch.as_tensor(rollout.observations, dtype=torch.float32)
        # Episodes go on behind a rollout: the critics say what is still to come of them.
        after = self._seen.standardised(self._episodes.observe())
        last = torch.as_tensor(after, dtype=torch.float32)
        found = {"observations": seen, "actions": torch.as_tensor(rollout.actions)}
        for name, critic, given, decay in (
            ("reward advantages", self.reward_critic, rollout.rewards, constants.reward_lambda),
            ("cost advantages", self.cost_critic, rollout.costs, constants.cost_lambda),
        ):
            with torch.no_grad():
                values = np.asarray(critic(torch.cat([seen, last[None]])).squeeze(-1))
            gained = advantages(given, values, rollout.over, constants.discount, decay)
            returns = "returns" if critic is self.reward_critic else "cost returns"
            found[name] = torch.as_tensor(gained)
            found[returns] = torch.as_tensor(gained + values[:-1])
        return {name: values.flatten(0, 1).float() for name, values in found.items()}

    def _log_probability(self, observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        normal = torch.distributions.Normal(self.policy(observations), self.log_std.exp())
        return normal.log_prob(actions).sum(-1)


def advantages(
    rewards: np.ndarray, values: np.ndarray, over: np.ndarray, discount: float, decay: float
) -> np.ndarray:
    """Generalised advantage estimates (Schulman et al. 2016), [steps, episodes].

    Args:
        rewards: [steps, episodes].
        values: [steps + 1, episodes]; the last is of what comes after the rollout.
        over: whether a step ends its episodes, [steps].
        decay: λ.
    """
    found, ahead = np.zeros_like(rewards), np.zeros(rewards.shape[1])
    for step in reversed(range(len(rewards))):
        goes_on = 0.0 if over[step] else 1.0
        error = rewards[step] + discount * goes_on * values[step + 1] - values[step]
        ahead = error + discount * decay * goes_on * ahead
        found[step] = ahead
    return found


def _network(inputs: int, hidden: int, outputs: int, *, gain: float) -> nn.Sequential:
    """Two hidden layers of tanh, orthogonal as Stable-Baselines3 begins."""
    layers = [nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)]
    for layer, size in zip(layers, (2**0.5, 2**0.5, gain), strict=True):
        nn.init.orthogonal_(layer.weight, size)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
