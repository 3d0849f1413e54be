"""Inputs for networks with any number of them."""

from __future__ import annotations

import torch

from hwprune.channels.base import BaseNetwork

_WORDS = 2
"""Integer inputs are drawn from 0 and 1: every embedding has those."""


def random_inputs(
    base: BaseNetwork, *, seed: int, batch: int = 2, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, ...]:
    """Inputs of a network, drawn with a seed: normal numbers, or small integers where it asks.

    A network of fixed batch gets that batch. `dtype` is that of the floats.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = []
    for entry in base.inputs:
        shape = (batch, *entry.shape[1:]) if entry.any_batch else entry.shape
        if entry.dtype.startswith("float"):
            inputs.append(torch.randn(shape, generator=generator, dtype=dtype))
        else:
            numbers = torch.randint(0, _WORDS, shape, generator=generator)
            inputs.append(numbers.to(getattr(torch, entry.dtype)))
    return tuple(inputs)
