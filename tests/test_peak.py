"""The peak: a maximum stays one when a group changes or moments are left out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwprune.changes import Changes
from hwprune.peak import Peak


def drawn(seed: int, moments: int, groups: int) -> tuple[Peak, np.ndarray, np.random.Generator]:
    chance = np.random.default_rng(seed)
    per_unit = chance.integers(0, 4, (moments, groups)).astype(float)
    peak = Peak(fixed=chance.integers(0, 9, moments).astype(float), per_unit=per_unit)
    return peak, chance.integers(1, 40, (5, groups)), chance


sizes = {"seed": st.integers(0, 10**6), "moments": st.integers(1, 12), "groups": st.integers(1, 6)}


@given(**sizes)
def test_a_changed_group_gives_what_the_changed_network_gives(seed, moments, groups):
    peak, widths, chance = drawn(seed, moments, groups)
    changes = Changes(
        row=chance.integers(0, 5, 20),
        group=chance.integers(0, groups, 20),
        width=chance.integers(1, 40, 20),
    )
    found = peak.changed(widths, changes)
    assert np.allclose(found, peak.terms(changes.apply(widths)))


@given(**sizes)
def test_moments_that_never_hold_most_change_nothing(seed, moments, groups):
    peak, widths, _ = drawn(seed, moments, groups)
    less = peak.essential()
    assert 1 <= len(less.fixed) <= moments
    assert np.array_equal(less.terms(widths), peak.terms(widths))
