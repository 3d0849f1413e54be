"""Gates on channels that are learned by gradient: hard ahead, soft behind (straight-through)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from hwprune.finetune.training import seeded
from hwprune.network.graph_module import to_module
from hwprune.pipeline.prepare import Prepared
from hwprune.saliency.output_axes import output_axes
from hwprune.task.items import as_inputs
from hwprune_device.plan import STAYS, Span

BATCH, LR = 128, 0.05


class Gates:
    """A number for each unit; at a step the highest of each group are open, the others shut.

    A gate multiplies scale and shift of every BatchNorm behind a layer that writes the unit, so a
    shut channel is 0 wherever it is read. Weights stay as they are; BatchNorm sees the batch.
    """

    def __init__(
        self,
        prepared: Prepared,
        widths: Sequence[int],
        start: Sequence[np.ndarray],
        *,
        seed: int,
    ) -> None:
        """`start`: the numbers before anything is learned."""
        self._task, self._widths, self._seed = prepared.task, widths, seed
        self._module = to_module(prepared.base.onnx).train()
        names = {id(p): name for name, p in self._module.named_parameters()}
        axes = output_axes(self._module, prepared.base.plan)
        self._gated = [(names[id(a.parameter)], a.spans) for a in axes if a.is_norm]
        self._fixed = {name: p.detach() for name, p in self._module.named_parameters()}
        self._logits = [nn.Parameter(torch.tensor(row, dtype=torch.float32)) for row in start]
        self._optimizer = torch.optim.Adam(self._logits, lr=LR)
        self._passes = 0

    @property
    def values(self) -> list[np.ndarray]:
        """The numbers as they are now."""
        return [logits.detach().numpy().copy() for logits in self._logits]

    def learn(self, until_s: float) -> None:
        """Steps on training items until a time on `time.monotonic`."""
        assert self._task.batches is not None and self._task.loss is not None
        self._passes += 1
        with seeded(self._seed * 100_003 + self._passes):
            passes = itertools.repeat(self._task.batches("train", BATCH))
            for given, targets in itertools.chain.from_iterable(passes):
                if time.monotonic() >= until_s:
                    return
                pairs = zip(self._logits, self._widths, strict=True)
                opened = [self._opened(logits, width) for logits, width in pairs]
                weights = dict(self._fixed)
                for name, spans in self._gated:
                    weights[name] = self._fixed[name] * _along(spans, opened)
                outputs = torch.func.functional_call(self._module, weights, as_inputs(given))
                self._optimizer.zero_grad()
                self._task.loss(outputs, targets).backward()
                self._optimizer.step()

    @staticmethod
    def _opened(logits: torch.Tensor, width: int) -> torch.Tensor:
        soft = torch.sigmoid(logits)
        hard = torch.zeros_like(soft)
        hard[logits.topk(width).indices] = 1.0
        return hard + soft - soft.detach()


def _along(spans: Sequence[Span], opened: Sequence[torch.Tensor]) -> torch.Tensor:
    """The gates of an axis's channels."""
    pieces = []
    for span in spans:
        if span.group == STAYS:
            pieces.append(torch.ones(span.size))
        else:
            gates = opened[span.group][span.start : span.start + span.count]
            pieces.append(gates.repeat_interleave(span.repeat))
    return torch.cat(pieces)
