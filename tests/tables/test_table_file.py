"""The file of a table: what was written is read, and what is not a table is said to be none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwprune.errors import InputError
from hwprune.peak import Peak
from hwprune.tables.model import TableModel
from hwprune.tables.table import Table
from hwprune.tables.table_file import KEY, read_table, write_table
from hwprune.tables.table_header import UNITS, VERSION
from tests.tables.block_board import block_table, network, with_blocks

FIRST = Path(__file__).parent / "files" / "table-v1.parquet"


@pytest.fixture(scope="module")
def table() -> Table:
    return with_blocks(block_table(network([16, 8], stream=16), learned=12), [network([8])])


@pytest.fixture
def file(table, tmp_path) -> Path:
    write_table(table, tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def refused(path: Path) -> InputError:
    with pytest.raises(InputError) as raised:
        read_table(path)
    assert raised.value.next_step or raised.value.given
    assert str(path) in str(raised.value)
    return raised.value


def with_header(file: Path, **changes) -> Path:
    """The file with these entries of its header changed."""
    content = pyarrow.parquet.read_table(file)
    header = {**json.loads(content.schema.metadata[KEY]), **changes}
    content = content.replace_schema_metadata({KEY: json.dumps(header).encode()})
    pyarrow.parquet.write_table(content, file)
    return file


def with_column(file: Path, name: str, values: list | None) -> Path:
    content = pyarrow.parquet.read_table(file)
    place = content.schema.get_field_index(name)
    kind = content.schema.field(name).type
    content = content.remove_column(place)
    if values is not None:
        content = content.add_column(place, name, pyarrow.array(values, kind))
    pyarrow.parquet.write_table(content, file)
    return file


def test_what_was_written_is_read(table, file):
    assert read_table(file) == table


def test_forms_of_memory_are_read_as_they_were(table, tmp_path):
    peak = Peak(fixed=np.array([3.0, 4.0]), per_unit=np.arange(6.0).reshape(2, 3))
    own = replace(table.own, peak=peak)
    write_table(replace(table, networks=(own, *table.networks[1:])), tmp_path / "p.parquet")
    found = read_table(tmp_path / "p.parquet").own.peak
    assert found is not None
    np.testing.assert_array_equal(found.fixed, peak.fixed)
    np.testing.assert_array_equal(found.per_unit, peak.per_unit)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    words=st.text(st.characters(codec="utf-8"), max_size=20),
    memory=st.none() | st.floats(0, 1e6),
    scale=st.floats(1e-3, 1e3),
    reach=st.floats(0, 1),
)
def test_whatever_a_board_says_is_read_again(table, tmp_path, words, memory, scale, reach):
    """An interval may reach down to 0."""
    rows = tuple(
        replace(r, doubts=words, memory_mb=memory, low_ms=r.latency_ms * reach) for r in table.rows
    )
    odd = replace(table, board=words, scale=scale, rows=rows, conditions={words: [1, None]})
    write_table(odd, tmp_path / "odd.parquet")
    assert read_table(tmp_path / "odd.parquet") == odd


def test_a_table_without_rows_is_read(table, tmp_path):
    empty = replace(table, rows=(), errors={}, source="")
    write_table(empty, tmp_path / "e.parquet")
    assert read_table(tmp_path / "e.parquet") == empty


def test_rows_are_plain_parquet_with_the_blocks_names(file, table):
    content = pyarrow.parquet.read_table(file).to_pydict()
    assert set(content["block"]) == {n.name for n in table.networks}
    assert content["latency_ms"] == [row.latency_ms for row in table.rows]


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path):
    assert "hwprune table build" in refused(tmp_path / "none.parquet").next_step


@pytest.mark.parametrize("content", [b"", b"latency,ms", b"PAR1" + bytes(64) + b"PAR1"])
def test_a_file_that_is_no_parquet_is_damaged(tmp_path, content):
    (tmp_path / "bad.parquet").write_bytes(content)
    assert "damaged" in str(refused(tmp_path / "bad.parquet"))


def test_a_folder_is_no_table(tmp_path):
    refused(tmp_path)


def test_parquet_without_our_header_is_no_table(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "p.parquet")
    assert "no latency table" in str(refused(tmp_path / "p.parquet"))


def test_a_newer_version_says_that_a_newer_hwprune_may_read_it(file):
    error = refused(with_header(file, version=VERSION + 1))
    assert "newer" in error.next_step and str(VERSION + 1) in error.given


def test_another_form_is_refused(file):
    assert "another form" in str(refused(with_header(file, form="somebody's table")))


@pytest.mark.parametrize("units", [{**UNITS, "latency_ms": "us"}, {}, "ms"])
def test_other_units_are_refused_and_not_converted(file, units):
    assert "other units" in str(refused(with_header(file, units=units)))


@pytest.mark.parametrize("column", ["latency_ms", "widths", "role", "network"])
def test_a_missing_column_is_named(file, column):
    assert column in refused(with_column(file, column, None)).given


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("network", 7, "network 7"),
        ("network", -1, "network -1"),
        ("network", None, ""),
        ("widths", [16, 16], "widths"),
        ("widths", [16, 0, 4], "widths"),
        ("widths", [17, 16, 8], "widths"),
        ("widths", None, ""),
        ("latency_ms", -1.0, "latency"),
        ("latency_ms", 0.0, "latency"),
        ("latency_ms", float("nan"), "latency"),
        ("latency_ms", float("inf"), "latency"),
        ("latency_ms", None, "latency"),
        ("p95_ms", float("nan"), "latency"),
        ("low_ms", -1.0, "latency"),
        ("low_ms", None, "low_ms"),
        ("memory_mb", float("nan"), "memory"),
        ("memory_mb", -1.0, "memory"),
        ("role", "guess", "guess"),
        ("doubts", None, ""),
    ],
)
def test_a_row_that_cannot_be_is_said(file, table, column, value, said):
    name = "network" if column == "network" else column
    values = [getattr(row, name) for row in table.rows]
    values[0] = value
    assert said in refused(with_column(file, column, values)).given


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_damaged(file, share):
    whole = file.read_bytes()
    short = file.with_name("short.parquet")
    short.write_bytes(whole[: int(share * len(whole))])
    refused(short)


junk = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({})
PARTS = ("networks", "errors", "memory_error", "board", "target", "scale", "built_at", "source")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(key=st.sampled_from(PARTS), value=junk)
def test_a_header_of_other_kinds_of_values_is_refused_or_serves(file, table, key, value):
    """Whatever is read can be predicted from; all else is refused with words."""
    write_table(table, file)
    with_header(file, **{key: value})
    try:
        found = read_table(file)
    except InputError as error:
        assert error.given
        return
    assert TableModel(found).latency_ms(np.array([found.own.full]))[0] > 0


def test_groups_that_layers_name_must_be_there(file):
    header = json.loads(pyarrow.parquet.read_table(file).schema.metadata[KEY])
    header["networks"][0]["layers"][0]["inputs"]["per_unit"] = [[9, 1]]
    assert "group 9" in refused(with_header(file, networks=header["networks"])).given


def test_an_interrupted_write_leaves_the_file_that_was_there(file, table, monkeypatch):
    def broken(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(pyarrow.parquet, "write_table", broken)
    with pytest.raises(InputError, match="cannot be written"):
        write_table(replace(table, board="other"), file)
    monkeypatch.undo()
    assert read_table(file) == table


def test_a_file_in_a_new_folder_is_written_and_nothing_beside_it(table, tmp_path):
    write_table(table, tmp_path / "new" / "t.parquet")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["t.parquet"]


def test_a_place_that_cannot_be_written_to_is_said(table, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_table(table, tmp_path / "taken" / "t.parquet")


def test_the_first_versions_file_is_read_for_ever():
    table = read_table(FIRST)
    assert (table.own.name, table.board, len(table.networks)) == ("net", "block-board", 2)
    assert [len(table.of(0, "network")), len(table.of(0, "held out"))] == [12, 20]
    model = TableModel(table)
    for row in table.whole("network", "held out"):
        assert model.latency_ms(np.array([row.widths]))[0] == pytest.approx(
            row.latency_ms, rel=0.1
        )
