"""once-for-all's latency table: YAML in milliseconds, read by the package `ofa`.

Only blocks of MobileNetV2 and V3 have keys. Both kinds of keys are written where they fit: those
of `MBv3LatencyTable` (channels in the middle, se, hs) and of `ProxylessNASLatencyTable` (ratio).
The first layer's entry has what the network takes beside its layers, so that the sum that the
reader makes is what the table predicts of the whole. `AvgPool2D` is 0: its time is in `Conv_1`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from hwprune.errors import InputError
from hwprune.layer import Layer
from hwprune.tables.exports.grid import WIDTHS, Grid
from hwprune.tables.exports.ofa_key import BLOCK, OfaKey
from hwprune.tables.exports.written import (
    Written,
    expect_batch_one,
    nothing_to_write,
    write_text,
)
from hwprune.tables.inverted_residuals import InvertedResidual, Part, is_pointwise, parts_of
from hwprune.tables.table import Table, TableRow

FORM = "a once-for-all table"
TAIL = 1.645
"""Standard deviations from the mean to the 95th percentile."""


def to_ofa(table: Table, out: Path, each: int = WIDTHS) -> Written:
    """Write a table; in a folder it gets the name that once-for-all opens.

    Args:
        each: of the widths of a group at most so many.

    Raises:
        InputError: no part of the network has a key, or latencies are of batches.
    """
    expect_batch_one(table, FORM)
    entries = _Entries()
    if table.own.layers:
        _predicted(table, each, entries)
    else:
        _as_imported(table, entries)
    if not any(key.kind == BLOCK for key in entries.found):
        raise nothing_to_write(table, FORM, "it holds no inverted residual blocks")
    size = _resolution(table)
    place = out / f"{size}_lookup_table.yaml" if out.is_dir() else out
    target = table.target
    head = (
        f"# Milliseconds on {_plain(table.board)}, {_plain(target.get('runtime', 'unknown'))}, "
        f"{_plain(target.get('precision', 'unknown'))}.\n"
        "# Conv holds what a network takes beside its layers, Conv_1 the pooling after it.\n"
    )
    lines = [f'"{key}": {value}\n' for key, value in entries.found.items()]
    write_text(place, head + "".join(lines))
    return Written(files=(place,), entries=len(lines), left_out=tuple(entries.left_out))


@dataclass(slots=True)
class _Entries:
    found: dict[OfaKey, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def add(self, key: OfaKey, count: int, mean: float, std: float) -> None:
        """One entry; a latency below 0, as a prediction can be, is left out."""
        if mean < 0:
            self.left_out.append(f"{key}: predicted at {mean:.4f} ms")
            return
        # YAML's not a number: nothing was held out, so how far the table errs is not known.
        deviation = ".nan" if math.isnan(std) else f"{std:.9g}"
        self.found.setdefault(key, f"{{count: {count}, mean: {mean:.9g}, std: {deviation}}}")


def _predicted(table: Table, each: int, entries: _Entries) -> None:
    grid = Grid(table, each)
    parts = parts_of(table.own.layers, table.own.full)
    last = max(
        (n for n, part in enumerate(parts) if isinstance(part, InvertedResidual)), default=None
    )
    if last is None:
        return
    for number, part in enumerate(parts[: last + 1]):
        if isinstance(part, InvertedResidual):
            _add_block(grid, part, entries)
        elif number == 0:
            _add_first(grid, part, entries)
        else:
            entries.left_out.append(f"{part.name}: once-for-all has no key for such a layer")
    # MobileNets end alike behind their last block, and once-for-all has keys for that end.
    _add_end(grid, parts[last + 1 :], entries)


def _add_block(grid: Grid, block: InvertedResidual, entries: _Entries) -> None:
    applied = block.operation
    if block.activation not in ("Relu", "Relu6", "HardSwish"):
        entries.left_out.append(f"{block.name}: a block of {block.activation or 'no activation'}")
        return
    hard = block.activation == "HardSwish"
    for point in grid.points(block.layers, [block.inputs, block.middle, block.outputs]):
        inputs, middle, outputs = point.counts
        facts = [
            ("expand", middle),
            ("kernel", applied.kernel[0]),
            ("stride", applied.stride[0]),
            ("idskip", int(block.adds_input)),
        ]
        kinds = [[*facts, ("se", int(bool(block.squeeze))), ("hs", int(hard))]]
        if middle % inputs == 0 and not block.squeeze and not hard:
            kinds.append([("expand", middle // inputs), *facts[1:]])
        for kind in kinds:
            key = OfaKey(
                kind=BLOCK,
                input=(*applied.input_size, inputs),
                output=(*applied.output_size, outputs),
                facts=tuple(kind),
            )
            _add(grid, key, point.latency_ms, entries)


def _add_first(grid: Grid, layer: Layer, entries: _Entries) -> None:
    applied = layer.operation
    if applied is None or not applied.kernel or layer.grouped or layer.inputs.per_unit:
        entries.left_out.append(f"{layer.name}: not a convolution of the network's input")
        return
    for point in grid.points([layer], [layer.inputs, layer.outputs]):
        key = OfaKey(
            kind="Conv",
            input=(*applied.input_size, point.counts[0]),
            output=(*applied.output_size, point.counts[1]),
        )
        _add(grid, key, point.latency_ms + grid.beside_ms, entries)


def _add_end(grid: Grid, parts: list[Part], entries: _Entries) -> None:
    """The layers behind the last block: 1 x 1, pooled, and one or two products."""
    layers = [part for part in parts if isinstance(part, Layer)]
    maps = [layer for layer in layers if is_pointwise(layer) and layer.positions > 1]
    flat = [layer for layer in layers if layer.positions == 1 and not layer.grouped]
    if len(maps) != 1 or layers[0] is not maps[0] or layers[1:] != flat or len(flat) not in (1, 2):
        entries.left_out += [
            f"{layer.name}: the network does not end as MobileNets do" for layer in layers
        ]
        return
    wide, *products = layers
    assert wide.operation is not None
    size = wide.operation.output_size
    for point in grid.points([wide], [wide.inputs, wide.outputs]):
        inputs, outputs = point.counts
        _add(
            grid,
            _plain_key("Conv_1", (*size, inputs), (*size, outputs)),
            point.latency_ms,
            entries,
        )
        if len(products) == 2:
            _add(grid, _plain_key("AvgPool2D", (*size, outputs), (1, 1, outputs)), 0.0, entries)
    for number, layer in enumerate(products):
        last = number == len(products) - 1
        # Proxyless counts the pooling among the operations of Logits, so that it reads a map.
        read = size if len(products) == 1 else (1, 1)
        for point in grid.points([layer], [layer.inputs, layer.outputs]):
            given = (point.counts[1],) if last else (1, 1, point.counts[1])
            key = _plain_key("Logits" if last else "Conv_2", (*read, point.counts[0]), given)
            _add(grid, key, point.latency_ms, entries)


def _as_imported(table: Table, entries: _Entries) -> None:
    """Rows of a table that was imported from such a file."""
    for number, network in enumerate(table.networks[1:], start=1):
        try:
            key = OfaKey.parse(network.name)
        except InputError:
            entries.left_out.append(f"{network.name}: no key of once-for-all's")
            continue
        for row in table.of(number, "block"):
            mean = table.scale * row.latency_ms
            entries.add(key.at(row.widths), row.runs, mean, table.scale * deviation_of(row))


def deviation_of(row: TableRow) -> float:
    """Standard deviation of runs, from their 95th percentile as if they were normal."""
    return (row.p95_ms - row.latency_ms) / TAIL


def _add(grid: Grid, key: OfaKey, mean: float, entries: _Entries) -> None:
    entries.add(key, grid.rows, mean, mean * grid.spread)


def _plain_key(kind: str, read: tuple[int, ...], given: tuple[int, ...]) -> OfaKey:
    return OfaKey(kind=kind, input=read, output=given)


def _resolution(table: Table) -> int:
    shapes = table.own.inputs
    return shapes[0][-1] if shapes else 0


def _plain(word: object) -> str:
    return " ".join(str(word).split())
