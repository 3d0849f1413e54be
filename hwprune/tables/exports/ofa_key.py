"""Keys of once-for-all's latency tables, such as `Conv-input:160x160x3-output:80x80x24`."""

from __future__ import annotations

from dataclasses import dataclass, field

from hwprune.errors import InputError

BLOCK = "expanded_conv"
PLAIN = ("Conv", "Conv_1", "Conv_2", "AvgPool2D", "Logits")


@dataclass(frozen=True, slots=True, kw_only=True)
class OfaKey:
    """One key; shapes are height, width, channels, or channels alone."""

    kind: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    facts: tuple[tuple[str, int], ...] = field(default=())
    """Of blocks: expand, kernel, stride, idskip, and for MobileNetV3 se and hs, in this order."""

    def __str__(self) -> str:
        return "-".join(
            [
                self.kind,
                f"input:{_joined(self.input)}",
                f"output:{_joined(self.output)}",
                *(f"{name}:{value}" for name, value in self.facts),
            ]
        )

    @classmethod
    def parse(cls, text: str) -> OfaKey:
        """A key of its text.

        Raises:
            InputError: it is none.
        """
        try:
            kind, read, given, *facts = text.split("-")
            found = cls(
                kind=kind,
                input=_sizes(read, "input:"),
                output=_sizes(given, "output:"),
                facts=tuple(
                    (name, int(value)) for name, value in (fact.split(":") for fact in facts)
                ),
            )
        except ValueError:
            found = None
        # int() also reads "1_0" and "01": a key that does not come out as it went in is none.
        if found is None or found.kind not in (BLOCK, *PLAIN) or str(found) != text:
            raise InputError(
                "a key is none of once-for-all's latency tables",
                given=text[:120],
                possible="Conv-input:160x160x3-output:80x80x24; " + ", ".join((BLOCK, *PLAIN)),
            )
        return found

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels read, those in the middle of a block (or their ratio), channels given."""
        expand = dict(self.facts).get("expand")
        middle = () if expand is None else (expand,)
        return (self.input[-1], *middle, self.output[-1])

    def at(self, widths: tuple[int, ...]) -> OfaKey:
        """The same key with other widths."""
        facts = tuple((n, widths[1] if n == "expand" else value) for n, value in self.facts)
        return OfaKey(
            kind=self.kind,
            input=(*self.input[:-1], widths[0]),
            output=(*self.output[:-1], widths[-1]),
            facts=facts,
        )


def _joined(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _sizes(text: str, before: str) -> tuple[int, ...]:
    if not text.startswith(before):
        raise ValueError(text)
    return tuple(int(size) for size in text.removeprefix(before).split("x"))
