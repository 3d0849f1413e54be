"""Tables of other tools, and CSV that an export wrote, read back into a table."""

from __future__ import annotations

from pathlib import Path

from hwprune.errors import InputError
from hwprune.tables.imports.csv_rows import read_csv
from hwprune.tables.imports.ofa import read_ofa
from hwprune.tables.table import Table


def read_foreign(path: Path, board: str = "") -> tuple[Table, tuple[str, ...]]:
    """Read a file by its ending: .yaml is once-for-all's, .csv our own.

    Args:
        board: the kind of board, where the file does not say.

    Returns:
        The table, and what could not be read into it, each with its reason.

    Raises:
        InputError: there is no such file, it is of another form, or a row of it is wrong.
    """
    readers = {".yaml": read_ofa, ".yml": read_ofa, ".csv": read_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            "tables of this form cannot be imported",
            given=str(path),
            possible=", ".join(readers),
            next_step="once-for-all's YAML, or what hwprune table export --format csv wrote",
        )
    return reader(path, board)
