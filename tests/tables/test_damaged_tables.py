"""A table of a stranger's predicts and is shown, or is refused in words."""

from __future__ import annotations

import json
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import strategies as st

from hwprune.cli.table_text import print_table
from hwprune.errors import HwpruneError
from hwprune.report.console import PlainConsole
from hwprune.tables.exports.csv_rows import to_csv
from hwprune.tables.imports import read_foreign
from hwprune.tables.model import TableModel
from hwprune.tables.table import Table
from hwprune.tables.table_file import KEY, read_head, read_table, write_table
from tests.damaged import DEEP, EXAMPLES, check_on, damaged_bytes, damaged_data
from tests.tables.block_board import block_table, network, with_blocks

OFA = "Conv-input:160x160x3-output:80x80x24: {count: 20, mean: 1.5, std: 0.1}\n"


@pytest.fixture(scope="module")
def table() -> Table:
    return with_blocks(block_table(network([16, 8], stream=16), learned=12), [network([8])])


def used(table: Table) -> None:
    """What people do with a table."""
    print_table(table, PlainConsole(file=StringIO()))
    if table.own.layers:
        assert np.isfinite(TableModel(table).latency_ms(np.array([table.own.full]))).all()


@EXAMPLES
def test_a_header_gives_a_table_or_words(examples: int, table: Table, tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    write_table(table, file)
    content = pyarrow.parquet.read_table(file)
    header = json.loads(content.schema.metadata[KEY])
    for part in header["networks"]:
        part["layers"] = part["layers"][:2]

    def check(changed: Any) -> None:
        text = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        pyarrow.parquet.write_table(content.replace_schema_metadata({KEY: text}), file)
        with suppress(HwpruneError):
            read_head(file)
            used(read_table(file))

    deep = st.just(b'{"form": ' + b"[" * DEEP)
    check_on(damaged_data(header) | deep, check, examples=examples)


@EXAMPLES
def test_rows_of_other_tools_give_a_table_or_words(
    examples: int, table: Table, tmp_path: Path
) -> None:
    to_csv(table, tmp_path / "whole.csv")
    rows = (tmp_path / "whole.csv").read_bytes()[:1500]
    header = json.loads((tmp_path / "whole.header.json").read_text())
    cells = st.sampled_from([b"", b"nan", b"-1", b"1e999", b"999999999", b"x", b"inf", b"\x00"])
    places = st.integers(0, rows.count(b","))

    def with_cell(place: int, cell: bytes) -> bytes:
        parts = rows.split(b",")
        return b",".join([*parts[:place], cell, *parts[place + 1 :]])

    def check(found: tuple[str, bytes, Any]) -> None:
        ending, content, beside = found
        file = tmp_path / f"t{ending}"
        file.write_bytes(content)
        headed = tmp_path / "t.header.json"
        headed.unlink(missing_ok=True)
        if beside is not None:
            headed.write_text(json.dumps(beside))
        with suppress(HwpruneError):
            used(read_foreign(file)[0])

    csv = damaged_bytes(rows) | st.builds(with_cell, places, cells)
    entry = st.sampled_from(["nan", ".inf", "-1", "[1]", "{a: 1}", "1e400", "x", "2001-99-99"])
    yaml = damaged_bytes(OFA.encode()) | entry.map(lambda t: OFA.replace("1.5", t).encode())
    yaml |= entry.map(lambda t: OFA.replace("0.1", t).replace("20,", f"{t},").encode())
    yaml |= st.just(b"[" * 5000)
    beside = st.none() | damaged_data(header)
    check_on(
        st.tuples(st.just(".csv"), csv, beside) | st.tuples(st.just(".yaml"), yaml, st.none()),
        check,
        examples=examples,
    )
