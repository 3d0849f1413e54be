"""Small ONNX graphs written as text, with random weights for what the text leaves open."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from hwprune.channels.base import BaseNetwork
from hwprune_device.subgraphs import rename_reads


def parsed(
    text: str, shapes: Mapping[str, tuple[int, ...]] | None = None, *, opset: int = 21
) -> bytes:
    """A model from ONNX's text form; `shapes` names the float weights."""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> {text}')
    rng = np.random.default_rng(0)
    for name, shape in (shapes or {}).items():
        array = rng.standard_normal(shape) / max(1, np.prod(shape[1:])) ** 0.5
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    onnx.checker.check_model(model)
    return model.SerializeToString()


def conv_net(body: str, shapes: Mapping[str, tuple[int, ...]], *, out: int = 4) -> bytes:
    """x [N 3 8 8] -> `a` [N 8 8 8] by conv `first`, then the body to `z`, then 1x1 conv `last`.

    The body uses `a` and sets `z`; `last.weight` is among the shapes.
    """
    used = {"first.weight": (8, 3, 3, 3), **shapes}
    text = f"""
    g (float[N,3,8,8] x) => (float[N,{out},H,W] y) {{
        a = Conv <pads=[1,1,1,1]> (x, first.weight)
        {body}
        y = Conv (z, last.weight)
    }}"""
    # ONNX's text form knows no dots in names; weights get theirs afterwards.
    plain = {name: name.replace(".", "_") for name in used}
    for name, flat in plain.items():
        text = re.sub(rf"\b{re.escape(name)}\b", flat, text)
    proto = onnx.load_model_from_string(
        parsed(text, {plain[name]: shape for name, shape in used.items()})
    )
    dotted = {flat: name for name, flat in plain.items()}
    for tensor in proto.graph.initializer:
        tensor.name = dotted.get(tensor.name, tensor.name)
    for node in proto.graph.node:
        rename_reads(node, dotted)
    return proto.SerializeToString()


def widths_by_group(base: BaseNetwork) -> dict[str, int]:
    """The unpruned width of each group, by its name."""
    return {group.name: group.width for group in base.plan.groups}
