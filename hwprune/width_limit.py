"""Width limits: what a user allows for groups by name, beside what holds for all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from hwprune.number import Positive, Share
from hwprune.toml_file import FORBID_UNKNOWN
from hwprune_device.plan import ChannelGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class WidthLimit:
    """What differs for the groups of one name pattern."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN
    min_width: Positive = 1
    """Fewest channels of the layer that may stay."""
    min_keep: Share | None = None
    """Smallest share that may stay; None: as for all groups."""
    multiple_of: Positive | None = None
    """Channels offered are multiples of this; None: as for all groups."""


def matches(group: ChannelGroup, pattern: str) -> bool:
    """Whether a pattern (`layer1.*`) names the group, or a layer that writes it."""
    return any(fnmatchcase(name, pattern) for name in (group.name, *group.members))


def width_choices(
    width: int, *, multiple_of: int, min_keep: float, unit: int = 1, min_width: int = 1
) -> tuple[int, ...]:
    """Widths worth offering, in units: channels in multiples, from the smallest up, and `width`.

    A group narrower than two multiples is offered at half, so small networks can be cut too.

    Args:
        width: units of the whole group.
        multiple_of: channels offered are multiples of this.
        min_keep: smallest share of the group that may stay.
        unit: channels of a layer that go together, such as those of an attention head.
        min_width: fewest channels that may stay.
    """
    floor = max(1, round(width * min_keep), math.ceil(min_width / unit))
    # In units: where 6 channels go together, 2 units make a multiple of 4 channels.
    multiple = multiple_of // math.gcd(multiple_of, unit)
    step = multiple if width >= 2 * multiple else max(1, width // 2)
    inner = [w for w in range(step, width, step) if w >= floor]
    return (*inner, width)


def group_choices(
    group: ChannelGroup,
    *,
    multiple_of: int,
    min_keep: float,
    limits: Mapping[str, WidthLimit],
) -> tuple[int, ...]:
    """Widths of one group, under the limits of all patterns that name it; later ones win."""
    min_width = 1
    for pattern, limit in limits.items():
        if matches(group, pattern):
            min_width = limit.min_width
            min_keep = min_keep if limit.min_keep is None else limit.min_keep
            multiple_of = multiple_of if limit.multiple_of is None else limit.multiple_of
    return width_choices(
        group.width,
        multiple_of=multiple_of,
        min_keep=min_keep,
        unit=group.unit,
        min_width=min_width,
    )
