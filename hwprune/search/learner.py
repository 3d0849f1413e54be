"""The learner: PPO whose advantages carry prices of constraints, with a critic for each cost."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.algorithms.ppo.ppo import PPOConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.connectors.learner import GeneralAdvantageEstimation
from ray.rllib.core.columns import Columns

from hwprune.search.connector import COST_TARGETS, ConstrainedAdvantages
from hwprune.search.multiplier import Multiplier

COST_LOSS = "cost_vf_loss"
MULTIPLIER = "multiplier"


class ConstrainedLearner(PPOTorchLearner):
    """Owns the multipliers: they move once a batch and travel with the learner's state."""

    def build(self) -> None:
        """Put constrained advantages in the place of RLlib's own.

        Raises:
            RuntimeError: RLlib's pipeline is not the one this was written for.
        """
        super().build()
        self.multiplier = Multiplier(self.config.constraints, self.config.gains)
        pipeline = self._learner_connector
        before = len(pipeline.connectors)
        pipeline.remove(GeneralAdvantageEstimation)
        pipeline.append(ConstrainedAdvantages(self.multiplier, lambda_=self.config.lambda_))
        # A name that is not there is only warned of by RLlib, and advantages would be doubled.
        if len(pipeline.connectors) != before:
            raise RuntimeError("this version of RLlib builds another learner pipeline")

    def compute_loss_for_module(
        self,
        *,
        module_id: str,
        config: PPOConfig,
        batch: dict[str, Any],
        fwd_out: dict[str, torch.Tensor],
    ) -> torch.Tensor:
        """PPO's own loss on the mixed advantages, and the cost critics' squared error."""
        loss = super().compute_loss_for_module(
            module_id=module_id, config=config, batch=batch, fwd_out=fwd_out
        )
        module = self.module[module_id].unwrapped()
        real = batch[Columns.LOSS_MASK]
        miss = (module.compute_cost_values(batch) - batch[COST_TARGETS])[real] ** 2
        cost_loss = miss.sum(dim=-1).mean()
        self.metrics.log_value((module_id, COST_LOSS), cost_loss, window=1)
        return loss + config.vf_loss_coeff * cost_loss

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's own state and the multipliers, which it does not know of."""
        return {**super().get_state(*args, **kwargs), MULTIPLIER: self.multiplier.state_dict()}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of `get_state`."""
        super().set_state(state)
        if MULTIPLIER in state:
            self.multiplier.load_state_dict(state[MULTIPLIER])
