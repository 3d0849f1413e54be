"""A board's survey at the head: a topic of another type than it should have is unavailable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

# pydantic, which brings it, reads no other before Python 3.12.
from typing_extensions import TypedDict

from hwprune_device.range import Range

UNAVAILABLE = "unavailable"
Survey = Mapping[str, Any]


class _Cluster(TypedDict, total=False):
    cores: list[Annotated[int, Range(low=0, high=65535, whole=True)]]


class _Zone(TypedDict):
    temperature_c: float


class _Throttling(TypedDict, total=False):
    now: list[str]
    since_boot: list[str]


class _Clocks(TypedDict, total=False):
    governors: list[str] | str


class _Package(TypedDict, total=False):
    imports: bool


_TOPICS: Mapping[str, Any] = {
    "clock": float,
    "clusters": list[_Cluster],
    "thermal_zones": list[_Zone],
    "throttling": _Throttling,
    "clocks": _Clocks,
    "packages": dict[str, _Package],
}
"""Those that more is done with than to show them, by their types; other keys may lie in them."""


def checked(survey: Survey) -> dict[str, Any]:
    """A survey whose topics can be read as what they are."""
    return {name: value if _fits(name, value) else UNAVAILABLE for name, value in survey.items()}


def _fits(topic: str, value: Any) -> bool:
    from pydantic import ValidationError

    try:
        # Strict, because the value is kept as it came: text that reads as a number stays text.
        _adapter(topic).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


@cache
def _adapter(topic: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(_TOPICS.get(topic, Any))
