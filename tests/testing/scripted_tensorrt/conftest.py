"""A rig for each test; its context is popped at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.testing.scripted_tensorrt.rig import Rig


@pytest.fixture
def rig() -> Iterator[Any]:
    made: list[Rig] = []

    def make(*given: Any, **named: Any) -> Rig:
        made.append(Rig(*given, **named))
        return made[-1]

    yield make
    for one in made:
        one.context.pop()
