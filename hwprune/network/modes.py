"""Train and eval mode of a module's parts, put back after work that changes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def kept_modes(module: nn.Module) -> Iterator[None]:
    """Put every part's mode back at the end, also where the work inside fails.

    `module.train(mode)` would give all parts one mode; a frozen BatchNorm has another than the
    rest.
    """
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
