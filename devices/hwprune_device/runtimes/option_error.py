"""The one error of options that a target cannot have."""

from __future__ import annotations


class OptionError(ValueError):
    """An option that a runtime does not have, or a value that it cannot take."""

    def __init__(self, said: str, *, given: str, possible: str) -> None:
        self.said = said
        self.given = given
        self.possible = possible
        super().__init__(f"{said}; given: {given}; possible: {possible}")
