"""Maps of kinds of layers agree with what the table says of whole networks."""

from __future__ import annotations

import numpy as np
import pytest

from hwprune.tables.kind_map import MOST, kind_maps
from hwprune.tables.layer_share import shares_of
from hwprune.tables.model import TableModel
from tests.tables.block_board import block_table, network


def test_the_corner_of_a_map_is_what_its_widest_layer_takes():
    model = TableModel(block_table(network([64, 32], stream=64)))
    (found,) = kind_maps(model)
    assert found.ms[-1, -1] == pytest.approx(
        model.by_layer_ms(model.table.own.full)[found.layers[0]]
    )
    assert (found.inputs[-1], found.outputs[-1]) == (64, 64)
    assert len(found.layers) == 4


def test_a_cell_is_marked_where_a_row_had_such_a_layer():
    table = block_table(network([16], stream=16), learned=3, held_out=0, noise=0.0)
    (found,) = kind_maps(TableModel(table))
    stream_inner = {row.widths for row in table.rows}
    pairs = stream_inner | {(inner, stream) for stream, inner in stream_inner}
    marked = {(int(found.inputs[i]), int(found.outputs[o])) for i, o in np.argwhere(found.read)}
    assert marked == pairs


def test_a_map_of_wide_layers_stays_small():
    (found,) = kind_maps(TableModel(block_table(network([2048], stream=512))))
    assert len(found.inputs) <= MOST and len(found.outputs) <= MOST


def test_layers_and_the_rest_add_up_to_the_network():
    model = TableModel(block_table(network([64, 32], stream=64)))
    shares = shares_of(model)
    total = sum(layer.ms for layer in shares.layers) + shares.beside_ms
    assert total == pytest.approx(float(model.latency_ms(np.array([model.table.own.full]))[0]))
    assert [(one.inputs, one.outputs) for one in shares.layers] == [
        (64, 64),
        (64, 64),
        (64, 32),
        (32, 64),
    ]
