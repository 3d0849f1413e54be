"""One look of the doctor: what was found, whether it is well, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What the doctor says of one thing."""

    name: str
    state: State
    """`fail`: hwprune cannot work here; `warn`: slower, less sure, or without a feature."""
    found: str
    mend: str = ""
    """What to do about it; empty when all is well."""


def probed(name: str, look: Callable[[], Check]) -> Check:
    """The check that `look` makes; a look that breaks is itself a finding."""
    try:
        return look()
    except Exception as error:  # the doctor must finish its round, whatever is broken here
        return Check(
            name=name,
            state="warn",
            found=f"could not be looked at: {type(error).__name__}: {error}",
            mend="report this as an issue, with the output of `hwprune doctor --json`",
        )
