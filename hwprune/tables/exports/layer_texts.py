"""Forms of single layers that have no reader on the package index: PaddleSlim and HALP.

paddleslim: ms, tabs between; engine, device, date in the first line, then latency behind
`conv,bias,relu,1,c_in,h,w,c_out,groups,kernel,padding,stride,dilation`.

halp: ms, a JSON object of `batch_cin_cout_side_kernel_stride_groups`. HALP itself reads a pickle
of that, which is never written here; `pickle.dump(json.load(file), …)` makes one.
"""

from __future__ import annotations

import json
from pathlib import Path

from hwprune.tables.exports.convolutions import Convolutions, LayerPoint
from hwprune.tables.exports.grid import WIDTHS, Grid
from hwprune.tables.exports.written import Written, expect_batch_one, nothing_to_write, write_text
from hwprune.tables.table import Table


def to_paddleslim(table: Table, out: Path, each: int = WIDTHS) -> Written:
    """Write PaddleSlim's table of convolutions; products with a vector are among them.

    Raises:
        InputError: no layer fits, or latencies are of batches.
    """
    expect_batch_one(table, "PaddleSlim's table")
    layers = Convolutions(grid=Grid(table, each), dilated=True)
    found: dict[str, float] = {}
    for point in layers.points():
        found.setdefault(_paddleslim_key(point), point.latency_ms)
    if not found:
        raise nothing_to_write(table, "PaddleSlim's table", "it has no such layer")
    engine = f"{table.target.get('runtime', 'unknown')} {table.runtime_version}".strip()
    head = "\t".join(" ".join(word.split()) for word in (engine, table.board, table.built_at))
    lines = [f"{key}\t{latency:.9g}\n" for key, latency in found.items()]
    write_text(out, f"{head}\n{''.join(lines)}")
    return Written(files=(out,), entries=len(found), left_out=tuple(layers.left_out))


def to_halp(table: Table, out: Path, each: int = WIDTHS) -> Written:
    """Write HALP's keys as JSON; convolutions alone.

    Raises:
        InputError: no layer fits.
    """
    layers = Convolutions(grid=Grid(table, each))
    batch = int(table.target.get("batch", 1))
    found: dict[str, float] = {}
    for point in layers.points():
        if point.operation.kernel:
            facts = (batch, point.inputs, point.outputs, point.side, point.kernel)
            key = "_".join(map(str, (*facts, point.stride, point.groups)))
            found.setdefault(key, point.latency_ms)
    if not found:
        raise nothing_to_write(table, "HALP's table", "it has no convolution")
    write_text(out, json.dumps(found, indent=1) + "\n")
    return Written(files=(out,), entries=len(found), left_out=tuple(layers.left_out))


def _paddleslim_key(point: LayerPoint) -> str:
    applied = point.operation
    if not applied.kernel:
        # As PaddleSlim writes a product: a convolution of one place, without flags.
        return f"conv,0,0,1,{point.inputs},1,1,{point.outputs},1,1,0,1,1"
    facts = (
        int(applied.bias),
        int(applied.activation == "Relu"),
        1,
        point.inputs,
        *applied.input_size,
        point.outputs,
        point.groups,
        point.kernel,
        applied.padding[0],
        point.stride,
        applied.dilation[0],
    )
    return "conv," + ",".join(map(str, facts))
