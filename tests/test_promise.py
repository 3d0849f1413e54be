"""What is likely to be left of a cut network once it is fine-tuned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprune.promise import promise

shares = st.floats(0.01, 1.0)


@given(unpruned=shares, macs_left=shares)
def test_what_lost_nothing_promises_its_own_quality(unpruned, macs_left):
    assert promise(unpruned, unpruned, macs_left) == unpruned


@given(one=shares, other=shares, unpruned=shares, macs_left=shares)
def test_of_equal_size_the_better_promises_no_less(one, other, unpruned, macs_left):
    worse, better = sorted((one, other))
    less, more = (promise(q, unpruned, macs_left) for q in (worse, better))
    assert less <= more or less == pytest.approx(more)


@given(quality=shares, unpruned=shares, one=shares, other=shares)
def test_of_equal_quality_the_larger_promises_no_less(quality, unpruned, one, other):
    smaller, larger = sorted((one, other))
    assert promise(quality, unpruned, smaller) <= promise(quality, unpruned, larger)


def test_the_more_is_lost_the_more_counts_what_is_left():
    deep, light = (promise(q, 0.9, 0.4) / promise(q, 0.9, 0.2) for q in (0.2, 0.8))
    assert deep > 1.5 > 1.1 > light > 1.0


def test_a_network_that_scores_nothing_has_no_promise():
    assert promise(0.0, 0.9, 0.5) == 0.0 and promise(0.5, 0.0, 0.5) == 0.5
