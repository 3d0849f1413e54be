"""How all tests are run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

# No deadlines: on a machine that others use, a slow example says nothing. Where CI is set the
# examples are the same each time, so that what lands does not hang on luck; elsewhere new ones
# are looked for.
settings.register_profile("hwprune", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("hwprune")


@pytest.fixture(autouse=True)
def denormals_are_kept() -> Iterator[None]:
    """ONNX Runtime has a thread flush them for good, and later tests count on them."""
    yield
    torch.set_flush_denormal(False)
