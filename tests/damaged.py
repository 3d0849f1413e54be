"""Files as strangers and broken disks leave them: damage of every kind, for property tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = pytest.mark.parametrize(
    "examples",
    [50, pytest.param(10_000, marks=[pytest.mark.heavy, pytest.mark.timeout(7200)])],
)
"""A few for each run of the tests, many before a release."""
DEEP = 200_000
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 1, 10**30, 2**63])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["", "../../x", "/etc", "\x1b[2J", "[bold]", "<b>", "\x00", "nan", "1e999"])
)
ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def check_on(
    damage: st.SearchStrategy[Any], check: Callable[[Any], None], *, examples: int
) -> None:
    """Hold `check` for so many examples of damage."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(damage)
    def holds(found: Any) -> None:
        check(found)

    holds()


def damaged_data(whole: Any) -> st.SearchStrategy[Any]:
    """Plain data in which one place or two hold another value, are gone, or have company."""
    places = list(_places(whole))

    @st.composite
    def damaged(draw: st.DrawFn) -> Any:
        data = copy.deepcopy(whole)
        for place in draw(st.lists(st.sampled_from(places), min_size=1, max_size=2)):
            how = draw(st.sampled_from(["other", "other", "other", "gone", "more"]))
            data = _changed(data, place, how, draw(ANYTHING))
        return data

    return damaged()


def damaged_json(whole: Any) -> st.SearchStrategy[bytes]:
    """A JSON file of such data; or of the whole, cut off, with odd bytes, or nested deep."""
    text = json.dumps(whole).encode()
    as_file = st.builds(lambda data: json.dumps(data).encode(), damaged_data(whole))
    return as_file | as_file | damaged_bytes(text) | st.sampled_from(_DEEP_JSON)


def damaged_bytes(whole: bytes) -> st.SearchStrategy[bytes]:
    """A file that is cut off, or has odd bytes somewhere."""
    places = st.integers(0, len(whole))
    cut_off = places.map(lambda end: whole[:end])
    odd = st.builds(
        lambda at, bytes_: whole[:at] + bytes_ + whole[at + len(bytes_) :],
        places,
        st.binary(min_size=1, max_size=4),
    )
    return cut_off | odd


_DEEP_JSON = (b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP + b"1" + b"}" * DEEP, b"[" * DEEP)


def _places(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _places(value, (*place, key))
    elif isinstance(data, list):
        for index, value in list(enumerate(data))[:4]:
            yield from _places(value, (*place, index))


def _changed(data: Any, place: tuple[Any, ...], how: str, value: Any) -> Any:
    if not place:
        return value
    *outer, last = place
    holder = data
    try:
        for key in outer:
            holder = holder[key]
        if how == "gone":
            del holder[last]
        elif how == "more" and isinstance(holder[last], dict):
            holder[last]["more"] = value
        elif how == "more" and isinstance(holder[last], list):
            holder[last].append(value)
        else:
            holder[last] = value
    except (KeyError, IndexError, TypeError):
        return data  # the first change took this place away
    return data
