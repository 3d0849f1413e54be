"""The form of a cost: what a network's structure alone tells of it, at any widths."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hwprune.changes import Changes


class Form(Protocol):
    """One number or more that a cost is made of, for many candidates at once."""

    @property
    def exact(self) -> bool:
        """Whether its one number is the cost itself, to be known without a board."""

    def terms(self, widths: np.ndarray) -> np.ndarray:
        """At widths [n, groups]; [n, terms]."""

    def changed(self, widths: np.ndarray, changes: Changes) -> np.ndarray:
        """`terms` of rows of widths [n, groups] after one change each, [changes, terms]."""
