"""Times by layer: parts add up to the whole, groups save in proportion or as a table predicts."""

from __future__ import annotations

import numpy as np
import pytest

from hwprune.pipeline.layer_times import halved, layer_times
from hwprune.tables.model import TableModel
from hwprune_device.runtimes import Part
from tests.farm.base import base_network
from tests.tables.tabled import macs_ms, table_of


def part(layer: str, ms: float, op: str = "Conv") -> Part:
    return Part(name=f"{layer}_{op}", op=op, ms=ms, layer=layer)


PARTS = (
    part("w0", 1.0),
    part("w1", 2.0),
    part("w1", 0.5, "ReorderOutput"),
    part("w2 + fc", 4.0),
    part("relu1", 0.5, "Relu"),
    part("", 0.25, "Odd"),
    part("", 0.25, "Odd"),
)


def test_kernels_of_a_layer_add_up_and_all_layers_to_the_whole():
    times = layer_times(base_network(), 17.0, PARTS, None)
    assert times is not None and times.told_ms == 8.5
    assert [(t.layer, t.op, t.ms) for t in times.layers] == [
        ("w0", "Conv", 2.0),
        ("w1", "Conv, ReorderOutput", 5.0),
        ("w2 + fc", "Conv", 8.0),
        ("relu1", "Relu", 1.0),
        ("", "Odd", 1.0),
    ]
    assert (times.layers_from, times.saves_from) == ("profile", "profile")


def test_a_group_saves_what_is_in_proportion_of_the_layers_that_carry_and_read_it():
    base = base_network()
    times = layer_times(base, 8.5, PARTS, None)
    assert times is not None
    first, second, third = times.groups
    # w0 makes it and w1 reads it; of both goes half.
    assert first.ms == pytest.approx(3.5) and first.saves_ms == pytest.approx(3.5 / 2)
    # w1 makes it, relu1 passes it on, and w2 reads it, which is nearly all of its kernel's work.
    assert second.ms == pytest.approx(7.0) and second.half == 16
    assert second.saves_ms == pytest.approx((2.5 + 0.5 + 4.0) / 2, rel=0.01)
    # Nobody knows what the odd kernels do, so no cut saves them.
    assert third.ms == pytest.approx(4.0) and third.saves_ms == pytest.approx(2.0)


def test_with_a_table_savings_are_what_it_predicts():
    base = base_network()
    table = table_of(base, costs=macs_ms(base))
    times = layer_times(base, 8.5, PARTS, table)
    assert times is not None and times.saves_from == "table" and times.layers[0].ms == 1.0
    saved = [group.saves_ms for group in times.groups]
    whole, *halves = TableModel(table).latency_ms(np.array([base.widths, *halved(base)]))
    np.testing.assert_allclose(saved, whole - halves, rtol=1e-9)
    # As the board has it, but for what the table errs.
    np.testing.assert_allclose(
        saved, [1 - macs_ms(base)(widths) for widths in halved(base)], rtol=0.3
    )


def test_without_a_profile_the_table_tells_the_layers_too():
    base = base_network()
    table = table_of(base, costs=macs_ms(base))
    times = layer_times(base, 3.0, (), table)
    assert times is not None and times.layers_from == "table"
    assert [t.layer for t in times.layers] == ["w0", "w1", "w2", "fc", ""]
    assert sum(t.ms for t in times.layers) == pytest.approx(3.0, abs=1e-6)
    assert max(times.layers, key=lambda t: t.ms).layer == "w2"


def test_without_either_nothing_is_made_up():
    assert layer_times(base_network(), 3.0, (), None) is None
