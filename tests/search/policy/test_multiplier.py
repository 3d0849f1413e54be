"""The multipliers: prices rise while a constraint is broken, and never leave their bounds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprune.search.policy.multiplier import Gains, Multiplier

excesses = st.lists(
    st.tuples(st.floats(-5, 5), st.floats(-5, 5)).map(list), min_size=1, max_size=30
)
PLAIN = Gains(start=1.0, proportional=0.0, integral=0.5, derivative=0.0)


@given(excesses)
def test_prices_stay_within_their_bounds(batches):
    multiplier = Multiplier(2, Gains(highest=3.0))
    for excess in batches:
        values = multiplier.update(excess)
        assert np.all(values >= 0) and np.all(values <= 3.0)


@given(st.floats(0.01, 3), st.integers(2, 20))
def test_the_price_of_a_constraint_that_stays_broken_rises(excess, batches):
    multiplier = Multiplier(1)
    values = [float(multiplier.update([excess])[0]) for _ in range(batches)]
    assert values == sorted(values)
    assert values[-1] > Gains().start


def test_the_price_of_a_constraint_that_is_kept_falls_to_nothing():
    multiplier = Multiplier(1)
    for _ in range(20):
        multiplier.update([-0.5])
    assert multiplier.values[0] == 0.0


def test_constraints_have_prices_of_their_own():
    multiplier = Multiplier(3)
    values = multiplier.update([1.0, 0.0, -1.0])
    assert values[0] > values[1] > values[2]


def test_without_proportional_and_derivative_it_is_plain_dual_ascent():
    multiplier = Multiplier(1, PLAIN)
    assert multiplier.update([2.0])[0] == pytest.approx(2.0)
    assert multiplier.update([-1.0])[0] == pytest.approx(1.5)


def test_a_long_break_does_not_wind_up():
    multiplier = Multiplier(1, Gains(start=0.0, proportional=0.0, derivative=0.0, highest=1.0))
    for _ in range(100):
        multiplier.update([1.0])
    for _ in range(10):
        multiplier.update([-1.0])
    assert multiplier.values[0] == pytest.approx(0.0)


@given(excesses, excesses)
def test_a_restored_multiplier_goes_on_as_the_original(first, second):
    original = Multiplier(2)
    for excess in first:
        original.update(excess)
    restored = Multiplier(2)
    restored.load_state_dict(json.loads(json.dumps(original.state_dict())))
    assert np.array_equal(restored.values, original.values)
    for excess in second:
        assert np.array_equal(restored.update(excess), original.update(excess))


def test_a_wrong_number_of_excesses_is_refused():
    with pytest.raises(ValueError, match="2 excesses expected"):
        Multiplier(2).update([1.0])
