"""The gate catches plans made wrong on purpose; the whole of them: bench_mutation."""

from __future__ import annotations

import pytest

from tests.mutations import MUTATIONS, is_caught, is_equivalent, mutants
from tests.network.test_coverage import case


@pytest.mark.parametrize("kind", MUTATIONS)
@pytest.mark.parametrize("name", ["shuffled", "two ways", "group norm"])
def test_a_plan_made_wrong_is_caught(name: str, kind: str) -> None:
    base = case(name).base
    for wrong in mutants(base, kind, 2, seed=1):
        assert is_caught(wrong) or is_equivalent(base, wrong)
