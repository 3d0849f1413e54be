"""Numbers that a user may write, by their ranges: none is endless, and none is no number."""

from __future__ import annotations

from typing import Annotated

from hwprune_device.range import Range

Count = Annotated[int, Range(low=0, high=10**9, whole=True)]
Positive = Annotated[int, Range(low=1, high=10**9, whole=True)]
Seed = Annotated[int, Range(low=0, high=2**63 - 1, whole=True)]
Share = Annotated[float, Range(low=0.0, high=1.0)]
Amount = Annotated[float, Range(low=0.0, high=1e9)]
AboveZero = Annotated[float, Range(low=1e-9, high=1e9)]
Number = Annotated[float, Range(low=-1e9, high=1e9)]
