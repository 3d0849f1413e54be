"""How all tests are run: many inputs, two processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# No deadlines: on a machine that others use, a slow example says nothing. Where CI is set the
# examples are the same each time, so that what lands does not hang on luck; elsewhere new ones
# are looked for.
settings.register_profile("hwprune", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("hwprune")

HERE = Path(__file__).parent
WITHOUT_RAY = ("channels", "hwprune_device", "network", "report", "saliency", "task", "testing")


@pytest.hookimpl(tryfirst=True)  # xdist looks at the marks next
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2 --dist loadgroup`: one process for tests that share a Ray, one for the rest.

    Half of the time is waiting. Each keeps the order of a single process, so that what a test
    leaves behind is met by the same tests.
    """
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        item.add_marker(pytest.mark.xdist_group("rest" if folder in WITHOUT_RAY else "ray"))


@pytest.fixture(autouse=True)
def denormals_are_kept() -> Iterator[None]:
    """ONNX Runtime has a thread flush them for good, and later tests count on them."""
    yield
    torch.set_flush_denormal(False)
