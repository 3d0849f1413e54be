"""A network that remembers what it gave: the share scored first is not computed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

KEPT_BYTES = 512 << 20
"""Of inputs and outputs; what comes later is computed each time."""


class Replay:
    """Calls a network, and answers from memory while the same inputs come in the same order.

    A task that is asked for a larger share of a part starts anew with its first items. `rewind`
    before each of its scores.
    """

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run
        self._calls: list[tuple[tuple[Any, ...], Any]] = []
        self._bytes = 0
        self._at = 0

    def rewind(self) -> None:
        """The next call is the first again."""
        self._at = 0

    def __call__(self, *inputs: Any) -> Any:
        """The network's outputs for a batch."""
        known = self._calls[self._at] if self._at < len(self._calls) else None
        self._at += 1
        if known is not None and _same(known[0], inputs):
            return known[1]
        outputs = self._run(*inputs)
        if known is not None:
            self._calls[self._at - 1] = inputs, outputs
        # Only the call after the last one kept: a gap would put later calls in the wrong place.
        elif self._at == len(self._calls) + 1:
            held = tree_leaves((inputs, outputs))
            self._bytes += sum(v.nbytes for v in held if isinstance(v, torch.Tensor))
            if self._bytes <= KEPT_BYTES:
                self._calls.append((inputs, outputs))
        return outputs


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(
        a is b or (isinstance(a, torch.Tensor) and a.shape == b.shape and torch.equal(a, b))
        for a, b in zip(one, other, strict=True)
    )
