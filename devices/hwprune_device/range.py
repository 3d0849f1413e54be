"""The range of a number: said beside its type, checked where it comes in from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers that something may be; as in `Annotated[int, Range(low=1, high=64)]`.

    A noun that is made in Python is not checked, one that pydantic reads is.
    """

    low: float
    high: float
    whole: bool = False
    """Whole numbers alone."""

    def has(self, value: Any) -> bool:
        """Whether a value is one of them."""
        number = isinstance(value, int if self.whole else int | float)
        return number and not isinstance(value, bool) and self.low <= value <= self.high

    @property
    def text(self) -> str:
        """What to say to a user."""
        return f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"

    # pydantic finds it on whatever stands in Annotated; a board has no pydantic.
    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_wrap_validator_function(self._checked, handler(source))

    def _checked(self, value: Any, read: Any) -> Any:
        from pydantic_core import PydanticCustomError

        number = read(value)
        # To Python true is 1; to whoever writes it, it is not.
        if isinstance(value, bool) or not self.has(number):
            raise PydanticCustomError("range", f"must be {self.text}")
        return number
