"""What an export wrote, and what it could not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwprune.errors import InputError
from hwprune.tables.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The outcome of one export."""

    files: tuple[Path, ...]
    entries: int
    left_out: tuple[str, ...] = ()
    """What the form has no place for, each with its reason."""


def write_text(path: Path, text: str) -> None:
    """Write a file.

    Raises:
        InputError: the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written", given=str(error)) from None


def nothing_to_write(table: Table, form: str, why: str) -> InputError:
    """The error of a table that a form can say nothing of."""
    layers = table.own.layers
    if layers and all(layer.operation is None for layer in layers):
        return InputError(
            f"this table cannot be written as {form}",
            given=f"{table.own.name}, without how the graph applies its layers",
            possible="csv and pyperf",
            next_step="build it again: readings that the store has are not taken again",
        )
    return InputError(
        f"nothing of this table can be written as {form}",
        given=f"{table.own.name}: {why}",
        possible="csv and pyperf take every network; nn-meter, halp and paddleslim convolutions",
        next_step="hwprune table export TABLE OUT --format csv",
    )


def expect_batch_one(table: Table, form: str) -> None:
    """Check that latencies are of one input at a time.

    Raises:
        InputError: they are not, and the form has no place to say so.
    """
    batch = int(table.target.get("batch", 1))
    if batch != 1:
        raise InputError(
            f"{form} has no place for a batch size",
            given=f"latencies of batches of {batch}",
            possible="csv, pyperf and halp say the batch size",
            next_step="build a table at batch 1",
        )
