"""The form of a cost: what follows of it from a network's structure alone, at any widths."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Several forms that a cost is made of together, such as weights and activations."""

    forms: tuple[Form, ...]
    exact: bool = False

    def terms(self, widths: np.ndarray) -> np.ndarray:
        """As `Form.terms`."""
        return np.concatenate([form.terms(widths) for form in self.forms], axis=1)

    def changed(self, widths: np.ndarray, changes: Changes) -> np.ndarray:
        """As `Form.changed`."""
        return np.concatenate([form.changed(widths, changes) for form in self.forms], axis=1)
