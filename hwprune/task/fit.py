"""Whether a network's outputs fit the targets of its data."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch

from hwprune.errors import NetworkError


def check_shape(targets: torch.Tensor, possible: str) -> Callable[[object], None]:
    """A check that outputs have as many numbers an item as targets N … have."""
    wanted = prod(targets.shape[1:])

    def check(outputs: object) -> None:
        shape = list(getattr(outputs, "shape", ()))
        if not shape or prod(shape[1:]) != wanted:
            raise NetworkError(
                "the network's output does not fit the data's targets",
                given=f"output {shape or type(outputs).__name__}, "
                f"targets {['N', *targets.shape[1:]]}",
                possible=possible,
            )

    return check
