"""nn-Meter's pair of JSON files, in milliseconds: what kernels are, and what they take.

Read by `collect_kernel_data` and `get_data_by_profiled_results` of the package `nn-meter`. Each
kernel is a layer with what follows it up to the next one, as the table predicts it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hwprune.tables.exports.convolutions import Convolutions, LayerPoint
from hwprune.tables.exports.grid import WIDTHS, Grid
from hwprune.tables.exports.written import (
    Written,
    expect_batch_one,
    nothing_to_write,
    write_text,
)
from hwprune.tables.table import Table

FORM = "nn-Meter's kernels"
_SUFFIX = {"": "", "Relu": "-relu", "Relu6": "-relu6", "HardSwish": "-hswish"}
_KNOWN = {
    *(f"conv{end}" for end in _SUFFIX.values() if end),
    *(f"dwconv{end}" for end in ("-relu", "-relu6")),
    *(f"{kind}-bn{end}" for kind in ("conv", "dwconv") for end in _SUFFIX.values()),
    "fc",
}


def to_nn_meter(table: Table, out: Path, each: int = WIDTHS) -> Written:
    """Write the kernels to `out`, and beside it their latencies to `*_latencies.json`.

    Args:
        each: of the widths of a group at most so many.

    Raises:
        InputError: no layer is a kernel of nn-Meter's, or latencies are of batches.
    """
    expect_batch_one(table, FORM)
    layers = Convolutions(grid=Grid(table, each))
    spread = layers.grid.spread
    kernels: dict[str, dict[str, Any]] = {}
    latencies: dict[str, dict[str, Any]] = {}
    seen: set[tuple[object, ...]] = set()
    unlike: dict[str, str] = {}
    for point in layers.points():
        kind = kernel_kind(point)
        if kind not in _KNOWN:
            unlike[point.name] = f"{point.name}: nn-Meter has no kernel '{kind}'"
            continue
        config = _config(kind, point)
        # Layers of one shape are one kernel to nn-Meter: the first stands for all.
        facts = (kind, *config.values())
        if facts in seen:
            continue
        seen.add(facts)
        name = f"id_{len(seen) - 1}"
        shape = [point.side, point.side, point.inputs] if kind != "fc" else [point.inputs]
        model = f"{table.own.name}.{point.name}"
        kernels.setdefault(kind, {})[name] = {"model": model, "shapes": [shape], "config": config}
        told = f"{point.latency_ms:.9g} +- {point.latency_ms * spread:.9g}"
        latencies.setdefault(kind, {})[name] = {"latency": told}
    if not seen:
        raise nothing_to_write(table, FORM, "it has no such layer")
    beside = out.with_name(f"{out.stem}_latencies.json")
    write_text(out, json.dumps(kernels, indent=1) + "\n")
    write_text(beside, json.dumps(latencies, indent=1) + "\n")
    left_out = (*layers.left_out, *unlike.values())
    return Written(files=(out, beside), entries=len(seen), left_out=left_out)


def kernel_kind(point: LayerPoint) -> str:
    """nn-Meter's name of a layer with its normalization and activation, if it has one.

    A bias counts as a normalization: runtimes fold that into one.
    """
    applied = point.operation
    if not applied.kernel:
        return "fc"
    kind = "dwconv" if applied.groups > 1 else "conv"
    suffix = _SUFFIX.get(applied.activation, f"-{applied.activation.lower()}")
    normed = "BatchNormalization" in applied.then or (applied.bias and not suffix)
    return f"{kind}{'-bn' if normed else ''}{suffix}"


def _config(kind: str, point: LayerPoint) -> dict[str, int]:
    if kind == "fc":
        return {"CIN": point.inputs, "COUT": point.outputs}
    return {
        "HW": point.side,
        "CIN": point.inputs,
        "COUT": point.outputs,
        "KERNEL_SIZE": point.kernel,
        "STRIDES": point.stride,
    }
