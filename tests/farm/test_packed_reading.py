"""Packed readings come back exactly, whatever their numbers are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprune.farm.packed_reading import PackedReading, pack, text_of, unpack
from tests.readings import reading

TIMES = st.floats(min_value=1e-6, max_value=1e7, allow_nan=False)
PATTERN = text_of(reading(3.0, reading_id="pattern"))


@given(
    rounds=st.lists(st.tuples(TIMES, st.lists(TIMES, min_size=1, max_size=4)), min_size=1),
    words=st.text(),
)
def test_a_reading_comes_back_exactly(rounds, words):
    base, runs = tuple(base for base, _ in rounds), tuple(tuple(runs) for _, runs in rounds)
    kept = reading(2.5, runs_ms=runs, base_ms=base, doubts=(words,), conditions={"of": [words]})
    assert unpack(pack(kept, text_of(kept), PATTERN), PATTERN) == kept


@given(st.integers(1, 2**31 - 1), st.integers(1, 40))
def test_whole_nanoseconds_take_four_bytes(nanoseconds, count):
    kept = reading(1.0, runs_ms=((nanoseconds / 1e6,) * count,), base_ms=(1.0,))
    packed = pack(kept, text_of(kept), PATTERN)
    assert len(packed.runs) == 1 + 4 * count + 1 + 4
    assert unpack(packed, PATTERN) == kept


def test_what_all_readings_of_a_board_share_costs_next_to_nothing():
    fingerprint = {"board": {f"fact {n}": f"number {n * n}" for n in range(100)}}
    first, second = (reading(reading_id=name, conditions=fingerprint) for name in "ab")
    assert len(pack(second, text_of(second), text_of(first)).body) < 100 < len(text_of(second))


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_numbers_that_cannot_be_are_refused(bad):
    for kept in (reading(ratio=bad), reading(base_ms=(bad,)), reading(runs_ms=((1.0, bad),))):
        with pytest.raises(ValueError):
            text_of(kept)


def test_damaged_columns_are_a_clear_error():
    packed = pack(reading(), text_of(reading()), PATTERN)
    for body, runs in ((packed.body[:9], packed.runs), (packed.body, packed.runs[:9]), (b"", b"")):
        with pytest.raises(ValueError):
            unpack(PackedReading(body=body, runs=runs), PATTERN)
