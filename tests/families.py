"""Networks of the coverage list, traced once, for tests that need many kinds."""

from __future__ import annotations

import functools

import torch

from hwprune.channels.base import BaseNetwork, make_base
from hwprune.network.trace import trace
from tests.traced import randomise_norms
from tests.unusual import UNUSUAL

FAMILIES = tuple(UNUSUAL)


@functools.cache
def family(name: str) -> BaseNetwork:
    """A network of this name, with the groups that its analysis found."""
    make, inputs = UNUSUAL[name]
    torch.manual_seed(0)
    module = make().eval()
    randomise_norms(module)
    return make_base(trace(module, inputs))
