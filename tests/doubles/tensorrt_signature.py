"""Signatures as pybind11 prints them in the first lines of a docstring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MODULE = re.compile(r"\btensorrt(_bindings)?\.(tensorrt\.)?(?=\w)")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_SPELLINGS = {
    "typing.SupportsInt": "int",
    "typing.SupportsIndex": "int",
    "typing.SupportsFloat": "float",
    "typing_extensions.Buffer": "buffer",
    "collections.abc.Buffer": "buffer",
    "typing_extensions.CapsuleType": "capsule",
    "types.CapsuleType": "capsule",
    "collections.abc.Sequence[": "List[",
    "collections.abc.Iterable": "Iterable",
    "collections.abc.Iterator": "Iterator",
    "list[": "List[",
    "tuple[": "Tuple[",
    "dict[": "Dict[",
}
"""One word for what older and newer versions of pybind11 print differently."""
_OPENING, _CLOSING = "([{<", ")]}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter, without `self`."""

    name: str
    type: str = ""
    default: str | None = None
    """As printed; None where the caller has to give a value."""

    def __str__(self) -> str:
        typed = f"{self.name}: {self.type}" if self.type else self.name
        return typed if self.default is None else f"{typed} = {self.default}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One overload."""

    parameters: tuple[Parameter, ...] = ()
    returns: str = ""

    @classmethod
    def parse(cls, text: str) -> Signature:
        """From "(flags: int = 0) -> INetworkDefinition".

        Raises:
            ValueError: no signature.
        """
        inside, returns = _halves(text.strip())
        given = [
            _parameter(part) for part in _parts(inside, ",") if part.strip() not in ("*", "/")
        ]
        return cls(parameters=tuple(given), returns=returns)

    @property
    def keywords(self) -> frozenset[str]:
        """Names that a caller may write; pybind11 prints parameters without one as arg0 ..."""
        names = (parameter.name for parameter in self.parameters)
        return frozenset(name for name in names if not re.fullmatch(r"arg\d+", name))

    def __str__(self) -> str:
        inside = ", ".join(map(str, self.parameters))
        return f"({inside}) -> {self.returns}" if self.returns else f"({inside})"


def documented(name: str, docstring: str) -> tuple[Signature, ...]:
    """The signatures at the start of a pybind11 docstring; none where it has none.

    Module names are left out, and so is `self`; types are spelled as pybind11 did before 3.0.
    """
    text = _ADDRESS.sub("", _MODULE.sub("", docstring))
    for newer, older in _SPELLINGS.items():
        text = text.replace(newer, older)
    lines = text.splitlines()
    first = lines[0].strip() if lines else ""
    if not first.startswith(f"{name}("):
        return ()
    texts = [first]
    if "Overloaded function" in docstring:
        numbered = re.compile(rf"\d+\. {re.escape(name)}\(")
        texts = [line.strip().split(" ", 1)[1] for line in lines if numbered.match(line.strip())]
    found = [Signature.parse(text.removeprefix(name)) for text in texts]
    return tuple(without_self(signature) for signature in found)


def without_self(signature: Signature) -> Signature:
    """A method as its caller sees it."""
    given = signature.parameters
    if given and given[0].name in ("self", "this"):
        given = given[1:]
    return Signature(parameters=given, returns=signature.returns)


def _parameter(text: str) -> Parameter:
    declared, *default = _parts(text, "=", 1)
    name, *typed = _parts(declared, ":", 1)
    return Parameter(
        name=name.strip(),
        type="".join(typed).strip(),
        default=default[0].strip() if default else None,
    )


def _halves(text: str) -> tuple[str, str]:
    if not text.startswith("("):
        raise ValueError(f"not a signature: '{text}'; one looks like '(flags: int = 0) -> bool'")
    for at, depth in _depths(text):
        if depth == 0:
            return text[1:at], text[at + 1 :].strip().removeprefix("->").strip()
    raise ValueError(f"the signature '{text}' is not closed")


def _depths(text: str) -> Iterator[tuple[int, int]]:
    """Position and depth after each character; the head of an arrow closes nothing."""
    depth = 0
    for at, letter in enumerate(text):
        if letter in _OPENING:
            depth += 1
        elif letter in _CLOSING and text[at - 1 : at + 1] != "->":
            depth -= 1
        yield at, depth


def _parts(text: str, separator: str, most: int = -1) -> list[str]:
    """Split where no bracket is open."""
    parts: list[str] = []
    start = 0
    for at, depth in _depths(text):
        if depth == 0 and text[at] == separator and most != len(parts):
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]] if text[start:].strip() or parts else []
