"""Products: a cost that is a sum of products of channels, such as parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwprune.changes import Changes
from hwprune.layer import ChannelCount, channels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Products:
    """A sum over parts of a number times the channels of two axes."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"arbitrary_types_allowed": True}
    times: np.ndarray
    """[parts]."""
    first: Sequence[ChannelCount]
    second: Sequence[ChannelCount]
    """Axes of each part; one that is not there counts 1."""
    exact: bool = True

    def terms(self, widths: np.ndarray) -> np.ndarray:
        """The cost at widths [n, groups]; [n, 1]."""
        widths = np.asarray(widths)
        # candidates x parts
        both = channels(self.first, widths) * channels(self.second, widths)
        return np.asarray(both @ self.times)[:, None]

    def changed(self, widths: np.ndarray, changes: Changes) -> np.ndarray:
        """As `Form.changed`."""
        return self.terms(changes.apply(np.asarray(widths)))
