"""A small base network for tests of the farm."""

from __future__ import annotations

from functools import cache

from hwprune.channels.base import BaseNetwork, make_base
from tests.hwprune_device.chain import chain


@cache
def base_network() -> BaseNetwork:
    """Three convolutions of 16, 32 and 32 channels on 16 x 16."""
    return make_base(chain())
