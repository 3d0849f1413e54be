"""`hwprune table`: built on this machine, doubted, compared, joined, refreshed, and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwprune.cli.app import app
from hwprune.tables.shelf import place_of
from hwprune.tables.table_file import read_table, write_table
from tests.tables import small_nets
from tests.tables.block_board import block_table, network

# Few rounds: these tests ask whether it measures, not how well.
PROFILE = """
name = "quick"
connection = "local"
[protocol]
rounds = 3
max_rounds = 3
"""


def said(*words) -> tuple[int, str, str]:
    """Exit code, what was printed, and what was complained of."""
    done = CliRunner().invoke(app, ["table", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    (folder / "quick.toml").write_text(PROFILE)
    (folder / "chain.onnx").write_bytes(small_nets.chain().onnx)
    (folder / "vectors.onnx").write_bytes(small_nets.vectors().onnx)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWPRUNE_STORE", str(folder / "store.sqlite"))
        patch.setenv("HWPRUNE_TABLES", str(folder / "shelf"))
        yield folder


@pytest.fixture(scope="module")
def built(files) -> dict:
    """A table of the network without its blocks."""
    code, out, complaint = said(
        *("build", files / "chain.onnx", "--board", files / "quick.toml", "--held-out", 4),
        *("--no-blocks", "--out", files / "own.parquet", "--json"),
    )
    assert code == 0, complaint
    return json.loads(out)


@pytest.fixture
def file(built, tmp_path) -> Path:
    """The table as a still machine would have read it, without doubts."""
    copy = tmp_path / "own.parquet"
    table = read_table(Path(built["file"]))
    write_table(replace(table, rows=tuple(replace(r, doubts="") for r in table.rows)), copy)
    return copy


def test_build_writes_a_table_and_says_what_is_in_it(built, files):
    table = read_table(files / "own.parquet")
    assert built["file"] == str(files / "own.parquet") and built["complete"]
    assert built["network"] == "chain" and built["board"] == "quick"
    # On a restless machine some rows are doubted, and errors are of the others alone.
    trusted = len(table.whole("held out"))
    errors = built["errors"].get(built["source"])
    assert built["rows"]["held out"] == 4
    assert errors["count"] == trusted if trusted > 1 else errors is None
    assert built["rows"]["block"] == 0 and built["blocks"] == []
    assert sum(built["rows"].values()) == len(table.rows)


def test_without_a_place_a_table_goes_to_the_shelf(built, files):
    code, out, _ = said(
        *("build", files / "chain.onnx", "--board", files / "quick.toml", "--held-out", 4),
        *("--no-blocks", "--minutes", 1),
    )
    assert code == 0
    (found,) = (files / "shelf").iterdir()
    assert str(found) in out.replace("\n", "") and "4 held out" in out
    assert found == place_of(read_table(found))


def test_a_table_begun_from_another_one_says_so(built, files, tmp_path):
    code, out, complaint = said(
        *("build", files / "chain.onnx", "--board", files / "quick.toml", "--held-out", 4),
        *("--from", built["file"], "--readings", 3, "--out", tmp_path / "t.parquet", "--json"),
    )
    assert code == 0, complaint
    assert json.loads(out)["begun_from"].startswith("chain on quick")


def test_lint_finds_nothing_about_a_good_table_and_names_what_is_doubtful(tmp_path):
    table = block_table(network([64, 48]))
    write_table(table, tmp_path / "good.parquet")
    assert said("lint", tmp_path / "good.parquet")[:2] == (0, "0 findings\n")
    rows = (replace(table.rows[0], doubts="the clock was throttled"), *table.rows[1:])
    write_table(replace(table, rows=rows), tmp_path / "bad.parquet")
    code, out, _ = said("lint", tmp_path / "bad.parquet")
    assert code == 1 and "throttled" in out and out.endswith("1 findings\n")
    code, out, _ = said("lint", tmp_path / "bad.parquet", "--json")
    assert code == 1
    assert [finding["kind"] for finding in json.loads(out)] == ["doubted"]


def test_diff_says_how_much_slower(file, tmp_path):
    table = read_table(file)
    rows = tuple(
        replace(r, **{key: 1.5 * getattr(r, key) for key in ("latency_ms", "low_ms", "high_ms")})
        for r in table.rows
    )
    write_table(replace(table, rows=rows, runtime_version="9.9"), tmp_path / "new.parquet")
    code, out, _ = said("diff", file, tmp_path / "new.parquet")
    assert code == 0 and "+50.0 %" in out and "→ 9.9" in out
    found = json.loads(said("diff", file, tmp_path / "new.parquet", "--json")[1])
    assert found["moved"][0]["ratio"] == pytest.approx(1.5)


def test_merge_writes_what_both_have(file, tmp_path):
    table = read_table(file)
    write_table(replace(table, rows=table.rows[:10]), tmp_path / "some.parquet")
    code, out, _ = said(
        "merge", file, tmp_path / "some.parquet", "--out", tmp_path / "both.parquet"
    )
    assert code == 0 and "both.parquet" in out.replace("\n", "")
    assert len(read_table(tmp_path / "both.parquet").rows) == len(table.rows)


def test_a_refresh_says_what_to_do_and_writes_only_a_scaled_table(file, files):
    before = read_table(file)
    code, out, complaint = said(
        "refresh", file, files / "chain.onnx", "--board", files / "quick.toml", "--json"
    )
    assert not complaint or code in (0, 1)
    found = json.loads(out)
    assert code == (found["verdict"] == "rebuild")
    scale = found["ratio"] if found["verdict"] == "scale" else 1.0
    assert read_table(file).scale == pytest.approx(scale)
    assert read_table(file).rows == before.rows


def test_a_table_far_off_its_board_is_scaled_or_to_be_built_again(file, files):
    table = read_table(file)
    rows = tuple(
        replace(
            r, **{k: 20 * getattr(r, k) for k in ("latency_ms", "low_ms", "high_ms", "p95_ms")}
        )
        for r in table.rows
    )
    write_table(replace(table, rows=rows), file)
    code, out, _ = said("refresh", file, files / "chain.onnx", "--board", files / "quick.toml")
    assert ("scaled by 0.0" in out and code == 0) or ("build it again" in out and code == 1)
    assert (read_table(file).scale < 0.2) == (code == 0)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["lint", "{none}"], "no latency table"),
        (["diff", "{own}", "{none}"], "hwprune table build"),
        (["merge", "{own}", "{other}", "--out", "{out}"], "cannot be mixed"),
        (["diff", "{own}", "{other}"], "different networks"),
        (["refresh", "{own}", "{files}/vectors.onnx"], "another network"),
        (["refresh", "{own}", "{files}/chain.onnx"], "another board"),
        (["lint", "{junk}"], "damaged"),
        (["build", "{files}/chain.onx"], "error:"),
        (["build", "{files}/chain.onnx", "--from", "{other}"], "another network"),
        (["build", "{files}/chain.onnx", "--held-out", "1"], "held-out"),
    ],
)
def test_what_cannot_be_is_refused_with_words(files, file, tmp_path, words, complaint):
    write_table(block_table(network([16])), tmp_path / "other.parquet")
    (tmp_path / "junk.parquet").write_text("ms")
    names = {name: tmp_path / f"{name}.parquet" for name in ("none", "other", "junk", "out")}
    code, _, stderr = said(*(word.format(own=file, files=files, **names) for word in words))
    assert code == 2
    assert complaint in " ".join(stderr.split())
    assert not (tmp_path / "out.parquet").exists()
