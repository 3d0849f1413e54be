"""Forms of inverted residual blocks that have no reader on the package index: NNI and FBNet.

nni: `lut.txt` in µs, a Python dict a line: op_name, op_data_shape (w, h, c_in, c_out, stride),
op_dtype, op_latency. fbnet: µs, names of operations in the first line, then a line a block, blanks
between.

An operation is named as FBNet names it: `ir_k3_e6`, with `_se` and `_hs` where a block has them.
The middle of a block is a whole multiple of its input in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hwprune.tables.exports.grid import WIDTHS, Grid
from hwprune.tables.exports.written import Written, expect_batch_one, nothing_to_write, write_text
from hwprune.tables.inverted_residuals import InvertedResidual, parts_of
from hwprune.tables.table import Table


def to_nni(table: Table, out: Path, each: int = WIDTHS) -> Written:
    """Write NNI's `lut.txt`: blocks at the widths of the grid, where the middle is a multiple.

    Raises:
        InputError: no block fits, or latencies are of batches.
    """
    expect_batch_one(table, "NNI's table")
    grid = Grid(table, each)
    lines: dict[str, float] = {}
    blocks, left_out = _blocks(table)
    for block in blocks:
        applied = block.operation
        for point in grid.points(block.layers, [block.inputs, block.middle, block.outputs]):
            inputs, middle, outputs = point.counts
            if middle % inputs or point.latency_ms <= 0:
                continue
            high, wide = applied.input_size
            shape = (wide, high, inputs, outputs, applied.stride[0])
            # Blocks of one shape have one line: the first block's latency stands for all.
            known = {"op_name": _name(block, middle // inputs), "op_data_shape": shape}
            lines.setdefault(
                # Without its closing brace, as the latency is written behind it below.
                str({**known, "op_dtype": "float"})[:-1],
                round(1e3 * point.latency_ms, 6),
            )
    if not lines:
        raise nothing_to_write(
            table, "NNI's table", "it has no inverted residual with a whole expansion"
        )
    text = "".join(f"{line}, 'op_latency': {latency}}}\n" for line, latency in lines.items())
    write_text(out, text)
    return Written(files=(out,), entries=len(lines), left_out=left_out)


def to_fbnet(table: Table, out: Path, each: int = WIDTHS) -> Written:
    """Write FBNet's table: unpruned blocks, at all expansions that were measured of all of them.

    Raises:
        InputError: no blocks have an operation in common, or latencies are of batches.
    """
    expect_batch_one(table, "FBNet's table")
    grid = Grid(table, each)
    blocks, left_out = _blocks(table)
    known = {block.name: _expansions(grid, block) for block in blocks}
    kept, names = _in_common(known)
    if not names:
        raise nothing_to_write(table, "FBNet's table", "its blocks have no operation in common")
    lines = [" ".join(f"{1e3 * known[block][name]:.6g}" for name in names) for block in kept]
    write_text(out, "\n".join([" ".join(names), *lines, ""]))
    apart = tuple(
        f"{block}: has none of {', '.join(names)}" for block in known if block not in kept
    )
    return Written(files=(out,), entries=len(lines) * len(names), left_out=(*left_out, *apart))


def _blocks(table: Table) -> tuple[list[InvertedResidual], tuple[str, ...]]:
    """The blocks, and what is none of them."""
    parts = parts_of(table.own.layers, table.own.full)
    blocks = [part for part in parts if isinstance(part, InvertedResidual)]
    others = [part.name for part in parts if not isinstance(part, InvertedResidual)]
    return blocks, tuple(f"{name}: no inverted residual" for name in others)


def _name(block: InvertedResidual, expansion: int) -> str:
    hard = block.activation == "HardSwish"
    kind = f"ir_k{block.operation.kernel[0]}_e{expansion}"
    return kind + ("_se" if block.squeeze else "") + ("_hs" if hard else "")


def _expansions(grid: Grid, block: InvertedResidual) -> dict[str, float]:
    """Latency in ms by operation, with the block's own input and output."""
    axes = [block.inputs, block.middle, block.outputs]
    inputs, middle, _ = grid.at(block.layers, axes, grid.full).counts
    found = {}
    for expansion in range(1, middle // inputs + 1):
        widths = grid.narrowed(block.middle, expansion * inputs)
        if widths is None:
            continue
        point = grid.at(block.layers, axes, widths)
        if point.latency_ms > 0:
            found[_name(block, expansion)] = point.latency_ms
    return found


def _in_common(known: Mapping[str, Mapping[str, float]]) -> tuple[list[str], list[str]]:
    """The blocks that fill the largest table, and its operations: every block needs them all."""
    best: tuple[list[str], list[str]] = ([], [])
    for names in _sets(known):
        kept = [block for block, found in known.items() if names <= set(found)]
        if len(kept) * len(names) > len(best[0]) * len(best[1]):
            best = kept, [name for name in known[kept[0]] if name in names]
    return best


def _sets(known: Mapping[str, Mapping[str, float]]) -> Iterator[set[str]]:
    for first in known.values():
        for second in known.values():
            # Not every set of operations: there are exponentially many.
            yield set(first) & set(second)
