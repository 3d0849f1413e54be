"""Padding that a node names by a word (`auto_pad`), as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import helper


def write_pads(node: onnx.NodeProto, sizes: Sequence[int], kernel: Sequence[int]) -> None:
    """Give a convolution or pooling the `pads` that its `auto_pad` stands for; else leave it.

    Args:
        node: changed in place.
        sizes: of the spatial axes of what it reads.
        kernel: sizes of its kernel or window.
    """
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    word = values.get("auto_pad", b"NOTSET").decode()
    # A wanted output size makes pads also where none are named.
    if node.op_type == "ConvTranspose" and (word != "VALID" or "output_shape" in values):
        pads = _transposed(word, values, sizes, kernel)
    elif word == "VALID":
        pads = [0] * 2 * len(kernel)
    else:
        pads = _same(word, values, sizes, kernel)
    if pads is None:
        return
    kept = [a for a in node.attribute if a.name not in ("auto_pad", "output_shape", "pads")]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.append(helper.make_attribute("pads", pads))


def _same(
    word: str, values: dict[str, Any], sizes: Sequence[int], kernel: Sequence[int]
) -> list[int] | None:
    """As many places come out as strides fit into what comes in.

    Not with dilation: there ONNX Runtime refuses, or computes something else than ONNX says.
    """
    if not word.startswith("SAME") or set(values.get("dilations", ())) - {1}:
        return None
    strides = values.get("strides", [1] * len(kernel))
    totals = [
        max(0, (-(-size // stride) - 1) * stride + window - size)
        for size, stride, window in zip(sizes, strides, kernel, strict=True)
    ]
    return _ends(word, totals)


def _transposed(
    word: str, values: dict[str, Any], sizes: Sequence[int], kernel: Sequence[int]
) -> list[int] | None:
    """What has to go at both ends for the wished size, which is `strides` times the input's."""
    ones = [1] * len(kernel)
    strides, dilations = values.get("strides", ones), values.get("dilations", ones)
    wished = values.get("output_shape")
    if wished is None and not word.startswith("SAME"):
        return None
    if wished is None:
        wished = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    more = values.get("output_padding", [0] * len(kernel))
    whole = [
        stride * (size - 1) + (window - 1) * dilation + 1
        for size, stride, window, dilation in zip(sizes, strides, kernel, dilations, strict=True)
    ]
    rows = zip(whole, more, wished[-len(kernel) :], strict=True)
    totals = [size + extra - target for size, extra, target in rows]
    return None if min(totals) < 0 else _ends(word, totals)


def _ends(word: str, totals: Sequence[int]) -> list[int]:
    """Begins, then ends; the odd one is at the end for SAME_UPPER."""
    less = [total // 2 for total in totals]
    more = [total - half for total, half in zip(totals, less, strict=True)]
    # As ONNX has it, also for a ConvTranspose with `output_shape` and no word at all.
    return less + more if word == "SAME_UPPER" else more + less
