"""A table of options: what may be written for a runtime, and what is meant where nothing is.

Standard library alone: the head refuses a wrong option with this before a board is reached, and
the board reads the same options with it. What each option does stands in devices/runtimes.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hwprune_device.job import Target
from hwprune_device.range import Range
from hwprune_device.runtimes.option_error import OptionError


def nothing_excluded(whole: Mapping[str, Any], threads: int, precision: str) -> None:
    """Options of which each goes with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionTable:
    """The options of one runtime. Each has a default, and choices, a range, or a reader."""

    runtime: str
    precisions: tuple[str, ...]
    defaults: Mapping[str, Any]
    choices: Mapping[str, tuple[Any, ...]]
    ranges: Mapping[str, Range] = field(default_factory=dict)
    readers: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    """For values that have several spellings: gives the one, or raises OptionError."""
    exclude: Callable[[Mapping[str, Any], int, str], None] = nothing_excluded
    """Raises OptionError where options, threads and precision cannot be together."""

    def of(self, target: Target) -> dict[str, Any]:
        """Every option of a target, with its value.

        Raises:
            OptionError: as `normal`.
        """
        found = self.normal(target.options, threads=target.threads, precision=target.precision)
        return {**self.defaults, **found}

    def normal(
        self, options: Mapping[str, Any], *, threads: int = 1, precision: str = "fp32"
    ) -> dict[str, Any]:
        """The options that differ from the defaults, each in its one spelling.

        So a default that is written out selects the same readings as one that is left out.

        Raises:
            OptionError: an unknown option, a value that cannot be, a precision that the runtime
                does not compute in, or what cannot be together.
        """
        if precision not in self.precisions:
            raise OptionError(
                f"runtime {self.runtime} does not compute in this precision",
                given=precision,
                possible=", ".join(self.precisions),
            )
        found = {name: self._value(name, value) for name, value in options.items()}
        whole = {**self.defaults, **found}
        self.exclude(whole, threads, precision)
        # Without defaults and in one order: a hash of it selects readings.
        return {name: whole[name] for name in sorted(found) if whole[name] != self.defaults[name]}

    def _value(self, name: str, value: Any) -> Any:
        if name not in self.defaults:
            raise OptionError(
                f"unknown option '{name}'", given=name, possible=", ".join(self.defaults)
            )
        if name in self.readers:
            return self.readers[name](value)
        if name in self.ranges:
            possible, fits = self.ranges[name].text, self.ranges[name].has(value)
        else:
            choices = self.choices[name]
            possible = ", ".join(map(_word, choices))
            # By type too: 1 is equal to True, and no one means it here.
            fits = any(value == choice and type(value) is type(choice) for choice in choices)
        if not fits:
            raise OptionError(
                f"option {name} cannot be this", given=repr(value), possible=possible
            )
        return value


def _word(choice: Any) -> str:
    """A choice as it is written in a profile."""
    return str(choice).lower() if choice is None or isinstance(choice, bool) else str(choice)
