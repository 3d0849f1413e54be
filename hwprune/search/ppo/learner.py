"""The learner: PPO's loss on mixed advantages, the cost critic's loss, and the multipliers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.connectors.learner import GeneralAdvantageEstimation
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.evaluation.postprocessing import Postprocessing

from hwprune.search.ppo.connector import (
    COST_TARGETS,
    COSTS,
    WEIGHT,
    Outcomes,
    mixed_advantage,
)
from hwprune.search.ppo.multiplier import Multiplier

MULTIPLIER = "multiplier"


class LagrangianLearner(PPOTorchLearner):
    """PPO whose advantages pay for costs at the current multipliers."""

    def build(self) -> None:
        """Replace RLlib's advantages by ours; called by RLlib."""
        super().build()
        self.multiplier = Multiplier(int(self.config.constraints))
        pieces = self._learner_connector.connectors
        before = len(pieces)
        place = next(
            i for i, piece in enumerate(pieces) if isinstance(piece, GeneralAdvantageEstimation)
        )
        pieces[place] = Outcomes(
            self._module_spec.rl_module_specs["default_policy"].observation_space,
            self._module_spec.rl_module_specs["default_policy"].action_space,
        )
        # RLlib's own insert_before only warns when it finds nothing.
        assert len(pieces) == before

    def pay(self, episodes: list[SingleAgentEpisode]) -> None:
        """Move the multipliers by a batch's measured episodes; once a batch, before any update."""
        measured = [e.custom_data[COSTS] for e in episodes if e.custom_data[WEIGHT] >= 1]
        if measured:
            self.multiplier.update(np.mean(measured, axis=0))

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        """PPO's loss on the mixed advantage, and the cost critic's."""
        own = dict(batch)
        own[Postprocessing.ADVANTAGES] = mixed_advantage(batch, self.multiplier.values)
        loss = super().compute_loss_for_module(
            module_id=module_id, config=config, batch=own, fwd_out=fwd_out
        )
        module = self.module[module_id].unwrapped()
        error = module.compute_cost_values(batch) - batch[COST_TARGETS]
        real = batch[Columns.LOSS_MASK]
        cost_loss = (error[real] ** 2).mean()
        self.metrics.log_value((module_id, "cost_critic_loss"), cost_loss, window=1)
        return loss + config.vf_loss_coeff * cost_loss

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state knows nothing of multipliers: they are added."""
        return {**super().get_state(*args, **kwargs), MULTIPLIER: self.multiplier.to_json()}

    def set_state(self, state: dict[str, Any]) -> None:
        """The inverse of `get_state`."""
        super().set_state({k: v for k, v in state.items() if k != MULTIPLIER})
        if MULTIPLIER in state:
            self.multiplier.restore(state[MULTIPLIER])
