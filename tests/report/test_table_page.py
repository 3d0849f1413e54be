"""The page of a latency table: self-contained, its numbers the table's, and never too large."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest

from hwprune.report.figures import ms
from hwprune.report.table_page import by_block, render_table, write_table_page
from hwprune.tables.held_out import held_out_of
from hwprune.tables.model import TableModel, judged
from hwprune.tables.staircase import staircases
from hwprune.tables.table import Table
from tests.tables.block_board import block_table, joined, network

XHTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = """<script>alert("x")</script>&'[/bold]"""


@cache
def table() -> Table:
    return block_table(network([64, 48]))


def hostile() -> Table:
    one = table()
    own = replace(
        one.own,
        name=HOSTILE,
        groups=tuple((HOSTILE + name, width) for name, width in one.own.groups),
        layers=tuple(replace(layer, name=HOSTILE + layer.name) for layer in one.own.layers),
    )
    return replace(
        one,
        networks=(own,),
        board=HOSTILE,
        runtime_version=HOSTILE,
        conditions={HOSTILE: HOSTILE},
        protocol={HOSTILE: HOSTILE},
    )


def nothing_held_out() -> Table:
    return block_table(network([16]), held_out=0)


def one_row() -> Table:
    """A build that ended as soon as it had begun."""
    return judged(replace(table(), rows=table().rows[:1], errors={}, source=""))


def shared_axis() -> Table:
    return block_table(joined())


@pytest.mark.parametrize("make", [table, hostile, nothing_held_out, one_row, shared_axis])
def test_it_is_well_formed_whatever_the_table_holds(make):
    html = render_table(TableModel(make()))
    assert ElementTree.fromstring(html).tag == f"{XHTML}html"
    for number in re.findall(r' (?:x|y|width|height|d|transform)="([^"]*)"', html):
        assert "nan" not in number.lower() and "inf" not in number.lower()


def test_names_from_outside_are_text_and_nothing_else():
    page = ElementTree.fromstring(render_table(TableModel(hostile())))
    assert not list(page.iter(f"{XHTML}script"))
    assert page.find(f".//{XHTML}h1").text == f"{HOSTILE} on {HOSTILE}"
    assert HOSTILE in "".join(page.itertext())


def test_nothing_is_loaded_from_elsewhere():
    html = render_table(TableModel(table()))
    assert not re.search(r"<(script|link|img|iframe|object|embed)\b", html)
    assert not re.search(r"(?:src|href|url)\s*[=(]", html)
    assert "default-src 'none'" in html


def test_errors_and_what_it_was_read_with_are_the_tables():
    html = render_table(TableModel(table()))
    error = table().errors[table().source]
    for told in (
        f"{error.mape_pct:.1f} %",
        f"± {error.interval_pct:.1f} %",
        f"{error.spearman:.3f}",
        "onnxrt 1.23.0, fp32, 2 threads",
        "12.5 device-minutes",
        "2026-01-02T03:04:05+00:00",
        "aarch64",
        table().conditions_key,
    ):
        assert told in html


def test_every_held_out_candidate_is_in_the_plot_with_its_widths():
    model = TableModel(table())
    page = ElementTree.fromstring(render_table(model))
    plot = _picture(page, "Predicted against read")
    titles = {title.text for title in plot.iter(f"{SVG}title")}
    found = held_out_of(model)
    assert len(found) == 20
    for one in found:
        widths = " ".join(map(str, one.widths))
        says = f"predicted {ms(one.predicted_ms)}, read {ms(one.read_ms)}"
        assert any(t.startswith(says) and t.endswith(f"widths {widths}") for t in titles)
    counted = _picture(page, "Errors of 20").iter(f"{SVG}title")
    assert sum(int(title.text.split()[0]) for title in counted) == 20


def test_diamonds_stand_at_the_widths_worth_offering():
    model = TableModel(table())
    page = ElementTree.fromstring(render_table(model))
    for stair in staircases(model):
        plot = _picture(page, f"width of {stair.name}")
        titles = [title.text for title in plot.iter(f"{SVG}title")]
        offered = [int(t.split()[0]) for t in titles if t.endswith("worth offering")]
        assert offered == list(stair.offered)
        assert len(titles) == len(stair.read)


def test_a_dot_of_a_very_wide_group_tells_what_the_table_predicts_there():
    model = TableModel(block_table(network([2048], stream=16)))
    stair = staircases(model)[1]
    between = next(w for w in stair.read if w % 16 == 4)
    (told,) = model.latency_ms(np.array([[16, between]]))
    assert f"{between} of 2048 channels: {ms(float(told))}" in render_table(model)


def test_a_map_has_a_scale_in_milliseconds():
    page = ElementTree.fromstring(render_table(TableModel(table())))
    texts = [text.text for text in _picture(page, "Milliseconds of layers").iter(f"{SVG}text")]
    assert {"channels in", "channels out", "ms", "64"} <= set(texts)
    assert sum(bool(re.fullmatch(r"−?\d+\.\d+", text)) for text in texts) == 5


def test_a_deep_network_with_wide_groups_makes_a_page_of_less_than_a_megabyte():
    deep = TableModel(block_table(network([512] * 55, stream=256), learned=60))
    assert len(render_table(deep)) < 1e6
    assert sorted(by_block(staircases(deep))) == ["part0", "part1", "part2", "stem"]


def test_a_table_that_was_scaled_compares_with_readings_of_today():
    scaled = TableModel(replace(table(), scale=1.25))
    for now, then in zip(held_out_of(scaled), held_out_of(TableModel(table())), strict=True):
        assert now.read_ms == pytest.approx(1.25 * then.read_ms)
        assert now.off == pytest.approx(then.off)


def test_it_is_written_whole(tmp_path):
    model = TableModel(table())
    write_table_page(model, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == render_table(model)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def _picture(page, says: str):
    return next(s for s in page.iter(f"{SVG}svg") if says in s.get("aria-label", ""))
