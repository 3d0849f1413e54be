"""The cut plan: which indices of which tensor belong to which group, and what follows a cut.

A plan is made once by the head's channel analysis and placed on every board with the base graph;
from then on a candidate is a width for each group.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

STAYS = -1
"""Group of a span that is never cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A run of indices on one axis: `count` units of a group, each `repeat` indices wide."""

    group: int
    start: int
    """First unit, counted inside the group."""
    count: int
    repeat: int = 1

    @property
    def size(self) -> int:
        """Indices the span covers before any cut."""
        return self.count * self.repeat


def kept_size(spans: Sequence[Span], widths: Sequence[int]) -> int:
    """Indices left of an axis covered by `spans` when each group is cut to its width.

    Holds because a plan's spans cover a group as a whole: a group is contiguous wherever it is.
    """
    return sum(
        span.size if span.group == STAYS else widths[span.group] * span.repeat for span in spans
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisCut:
    """One axis of one initializer, covered in order by spans."""

    initializer: str
    axis: int
    spans: tuple[Span, ...]

    def size(self, widths: Sequence[int]) -> int:
        """Size of the axis when each group is cut to its width."""
        return kept_size(self.spans, widths)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralCut:
    """A number in the graph that follows the cut: the size of `spans` divided by `divisor`.

    `initializer` names an integer constant and `index` the element of it; or `node` names a node
    and `attribute` its attribute (`index` None for a scalar, such as Conv's `group`).
    """

    spans: tuple[Span, ...]
    initializer: str = ""
    node: str = ""
    attribute: str = ""
    index: int | None = None
    divisor: int = 1
    sign: int = 1
    """-1 where the number counts backwards, such as a Slice start from the end."""

    def value(self, widths: Sequence[int]) -> int:
        """The number when each group is cut to its width."""
        return self.sign * (kept_size(self.spans, widths) // self.divisor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A node's mean, maximum or other statistic over an axis of channels: of those that stay."""

    node: str
    axis: int
    """Of the node's first input."""
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGroup:
    """Channels, across layers, that can only be cut together."""

    name: str
    width: int
    """Units in the unpruned network."""
    members: tuple[str, ...]
    """Layers whose outputs carry the group, in graph order."""
    readers: tuple[str, ...] = ()
    """Layers that only read it."""
    unit: int = 1
    """Channels of the first layer that go together: those of a head, of a convolution's group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPlan:
    """Everything a cut needs to know beside the base graph."""

    groups: tuple[ChannelGroup, ...]
    axes: tuple[AxisCut, ...]
    literals: tuple[LiteralCut, ...]
    frozen: tuple[tuple[str, str], ...] = ()
    """(layer, reason) for what cannot be cut."""
    statistics: tuple[Statistic, ...] = ()
    """What a removed channel has no part in, so that it is no channel of zeros there."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the unpruned network."""
        return tuple(group.width for group in self.groups)

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CutPlan:
        """The inverse of `to_json`."""
        spans = lambda rows: tuple(Span(**row) for row in rows)  # noqa: E731
        return cls(
            groups=tuple(
                ChannelGroup(
                    name=g["name"],
                    width=g["width"],
                    members=tuple(g["members"]),
                    readers=tuple(g["readers"]),
                    unit=g["unit"],
                )
                for g in data["groups"]
            ),
            axes=tuple(AxisCut(**{**a, "spans": spans(a["spans"])}) for a in data["axes"]),
            literals=tuple(
                LiteralCut(**{**x, "spans": spans(x["spans"])}) for x in data["literals"]
            ),
            frozen=tuple((name, reason) for name, reason in data["frozen"]),
            statistics=tuple(
                Statistic(**{**x, "spans": spans(x["spans"])}) for x in data.get("statistics", ())
            ),
        )


def content_id(model: bytes, plan: Mapping[str, Any]) -> str:
    """Hash of a graph with its weights and of its plan as plain data: the base network's name."""
    # The model's hash has a fixed length: where it ends and the plan begins is never in doubt.
    words = json.dumps(plan, sort_keys=True).encode()
    return hashlib.sha256(hashlib.sha256(model).digest() + words).hexdigest()
