"""The border between stored JSON and nouns: whatever a file holds is a noun, or one error."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hwprune.errors import HwpruneError, RunFolderError

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

Noun = TypeVar("Noun")


def read_stored(
    file: Path,
    kind: type[Noun],
    *,
    what: str,
    next_step: str,
    error: type[HwpruneError] = RunFolderError,
) -> Noun:
    """What a JSON file holds, as a noun.

    Args:
        kind: a dataclass, or another type that pydantic knows.
        what: the file in words, such as "the result".

    Raises:
        error: there is no such file, or it holds something else.
    """
    try:
        return as_noun(kind, plain_json(file.read_bytes()))
    except (OSError, ValueError) as found:
        raise error(
            f"{what} {file} cannot be read", given=said(found), next_step=next_step
        ) from None


def plain_json(text: str | bytes) -> Any:
    """JSON as plain data; numbers that are none, or endless, are no JSON.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        # Python's json would take NaN and Infinity, which JSON does not have.
        return json.loads(text, parse_constant=finite, parse_float=finite)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def as_noun(kind: type[Noun], data: Any) -> Noun:
    """Plain data as a noun; keys that nothing reads are passed over, unless the noun forbids them.

    Raises:
        ValueError: in words, which part is no such thing.
    """
    from pydantic import ValidationError

    known: Any = kind
    try:
        return _adapter(known).validate_python(data)
    except ValidationError as error:
        raise ValueError(first_fault(error)) from None


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong: `rows.0.params: input should be a valid integer, not 'x'`."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the whole"
    message = first["msg"][:1].lower() + first["msg"][1:]
    if first["type"] == "missing":
        return f"{place} is missing"
    return f"{place}: {message}, not {repr(first.get('input'))[:80]}"


def said(error: Exception) -> str:
    """An error's words on one line, at a length that can be read."""
    return " ".join(str(error).split())[:300] or type(error).__name__


# pydantic builds a validator anew for every TypeAdapter.
@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def finite(text: str) -> float:
    """A number that is written as text.

    Raises:
        ValueError: it is none, or endless.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number that anything here may be")
    return number
