"""The border between TOML files and nouns: reading, checking, errors that name the key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import tomllib

from hwprune.errors import DeploymentError
from hwprune.plain_text import plain_text
from hwprune.shipped import shipped_profiles
from hwprune.stored import finite, said

Noun = TypeVar("Noun")
_DOTTED = re.compile(r"""(?<![\w"'-])(?:[\w"'-]+\s*\.\s*){100}""")
"""A key of so many parts; tomllib takes time with the square of them."""
FORBID_UNKNOWN = {"extra": "forbid"}
"""pydantic's setting for the border: a key that nothing reads is an error, and never ignored."""


def read_toml(path: Path, *, what: str) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        DeploymentError: the file is missing, cannot be read, or is no TOML (with line and column).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise DeploymentError(
            f"there is no {what} file {path}",
            possible=f"in {path.parent}: {', '.join(near)}" if near else "",
            next_step=_example(what),
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DeploymentError(
            f"the {what} file {path} cannot be read", given=said(error)
        ) from None
    try:
        return _plain(_parsed(text))
    except (ValueError, RecursionError) as error:
        raise DeploymentError(
            f"the {what} file {path} is not valid TOML",
            given=said(error),
            next_step="mend that line",
        ) from None


def _example(what: str) -> str:
    """Where a user who has no such file gets one from."""
    examples = f"{what}s in {shipped_profiles() / f'{what}s'}"
    if what == "deployment":
        return f"name an existing file; `hwprune init` writes one; examples: {examples}"
    return f"name an existing file; `hwprune boards add` writes one; starting points: {examples}"


def parse_value(text: str) -> Any:
    """A TOML value; other text is taken as a string, so quotes may be left out in a shell."""
    try:
        return _plain(_parsed(f"value = {text}")["value"])
    except (ValueError, RecursionError):
        return text


def _parsed(text: str) -> dict[str, Any]:
    if found := _DOTTED.search(text):
        raise ValueError(f"a key of more than 100 parts: {found[0][:20]}...")
    return tomllib.loads(text, parse_float=finite)


def overridden(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Plain data with `section.key=value` of each override put in.

    Raises:
        DeploymentError: an override cannot be read.
    """
    for override in overrides:
        _override(data, override)
    return data


def _override(data: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or len(parts) < 2 or not all(parts):
        raise DeploymentError(
            "an override cannot be read", given=override, possible="section.key=value"
        )
    table = data
    for part in parts[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise DeploymentError(
                f"an override goes through '{part}', which is no table", given=override
            )
        table = inner
    table[parts[-1]] = parse_value(text.strip())


def _plain(value: Any) -> Any:
    """The same without control characters: names of files have none, and terminals act on them."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {_plain(k): _plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def to_toml(value: object) -> str:
    """A value as TOML on one line: text, a number, yes or no, or a list of these.

    Raises:
        TypeError: a value of another kind; tables have headings and are written by their owner.
    """
    # First, because a bool is an int too.
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return f'"{"".join(_escaped(character) for character in value)}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(to_toml(item) for item in value)}]"
    raise TypeError(f"{type(value).__name__} cannot be written on one line of TOML")


def _escaped(character: str) -> str:
    """TOML refuses control characters in text, and JSON's pairs of surrogates."""
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x20 or code == 0x7F else character


def validate(noun: type[Noun], data: Any, *, where: str) -> Noun:
    """Make a noun (a dataclass) from plain data, checking types and refusing unknown keys.

    Raises:
        DeploymentError: naming the key, what was given, and the keys that are possible.
    """
    from pydantic import TypeAdapter, ValidationError

    names = [f.name for f in fields(noun)]  # type: ignore[arg-type]
    if not isinstance(data, Mapping):
        raise DeploymentError(f"{where} must be a table of keys", given=repr(data))
    unknown = [key for key in data if key not in names]
    if unknown:
        raise DeploymentError(f"{where}: unknown key '{unknown[0]}'", possible=", ".join(names))
    try:
        return TypeAdapter(noun).validate_python(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "?"
        given = "nothing" if first["type"] == "missing" else repr(first.get("input"))[:200]
        raise DeploymentError(
            f"{where}: {key}: {first['msg'].lower()}", given=given, possible=", ".join(names)
        ) from None
