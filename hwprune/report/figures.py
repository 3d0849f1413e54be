"""How numbers are written: the same in the terminal and in the report."""

from __future__ import annotations

ABSENT = "–"
NOT_TOLD = "not told"
"""What the board's runtime keeps to itself."""


def ms(value: float | None) -> str:
    """Milliseconds with three or four figures: `2.26 ms`, `0.0421 ms`, `118.4 ms`."""
    return ABSENT if value is None else f"{plain(value)} ms"


def plain(value: float) -> str:
    """A positive number with the digits that a measurement carries."""
    size = abs(value)
    digits = 1 if size >= 100 else 2 if size >= 1 else 3 if size >= 0.1 else 4
    return f"{value:.{digits}f}"


def spread_ms(low: float | None, high: float | None) -> str:
    """A 95 % interval: `2.24 – 2.28`."""
    return ABSENT if low is None or high is None else f"{plain(low)} – {plain(high)}"


def megabytes(value: float | None) -> str:
    """Megabytes of 10**6 bytes."""
    return ABSENT if value is None else f"{plain(value)} MB"


def memory(value: float | None, *, measured: bool, unit: str = " MB") -> str:
    """Peak memory; some runtimes report none of a network that they ran."""
    if value is None:
        return NOT_TOLD if measured else ABSENT
    return f"{plain(value)}{unit}"


def millijoules(value: float | None) -> str:
    """Millijoules with the digits that a measurement carries."""
    return ABSENT if value is None else f"{plain(value)} mJ"


def percent(share: float | None, digits: int = 2) -> str:
    """A share of 1 as a percentage."""
    return ABSENT if share is None else f"{share * 100:.{digits}f} %"


def points(share: float | None, reference: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    if share is None or reference is None:
        return ABSENT
    # With the sign for minus, as wide as the plus; a hyphen is narrower.
    return f"{(share - reference) * 100:+.2f} pp".replace("-", "−")


def change(value: float | None, reference: float | None) -> str:
    """A relative change in percent, with its sign."""
    if value is None or not reference:
        return ABSENT
    return f"{(value / reference - 1) * 100:+.0f} %".replace("-", "−")


def times(reference: float | None, value: float | None) -> str:
    """How many times smaller `value` is: `2.08×`."""
    return ABSENT if not value or reference is None else f"{reference / value:.2f}×"


def count(value: float) -> str:
    """A large count with a suffix: `272 k`, `40.8 M`, `4.09 G`."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            scaled = value / size
            digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
            return f"{scaled:.{digits}f}{suffix}"
    return f"{value:.0f}"


def seconds(value: float | None) -> str:
    """A duration: `110 ms`, `21.0 s`, `10 min 11 s`, `2 h 05 min`."""
    if value is None:
        return ABSENT
    if value < 1:
        return f"{value * 1000:.3g} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def limit(value: float, unit: str) -> str:
    """A constraint's value or limit in its unit; counts get a suffix."""
    return f"{plain(value)} {unit}" if unit else count(value)
