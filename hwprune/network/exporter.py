"""torch's exporter to ONNX, and what its older versions need to be given.

Everything here that hangs on torch's version names it; `.ci/versions` tries the oldest and the
newest. onnxscript has to be recent whichever torch it is: torch's versions take each of it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, cast

import onnx_ir as ir
import torch
from torch import nn

from hwprune.network.input_shapes import BATCH

# TorchVersion compares versions, not letters: "2.10" is above "2.8".
_ONE_RUN_WOULD_DO = torch.__version__ < "2.8"
"""What torch.export refuses is then recorded from one run, which hides branches on data."""
_NORMS_GIVE_THREE = torch.__version__ < "2.7"
"""BatchNormalization is then recorded with the outputs of training, too many for onnxscript."""


def exported(module: nn.Module, examples: tuple[torch.Tensor, ...], shapes: Any) -> Any:
    """The module as torch's ONNXProgram, as it was written: nothing is simplified.

    Args:
        module: in eval mode.
        examples: one tensor for each argument of its forward.
        shapes: the dynamic shapes, as torch.export takes them; None: as the examples are.

    Raises:
        Exception: whatever torch.export or the exporter meets.
    """
    if _ONE_RUN_WOULD_DO:
        program: Any = torch.export.export(module, examples, dynamic_shapes=shapes, strict=False)
        made = torch.onnx.export(program, **_options())
        _name_batch(cast(Any, made).model.graph)
        return made
    return torch.onnx.export(module, examples, dynamic_shapes=shapes, **_options())


def _name_batch(graph: ir.Graph) -> None:
    """The one open size is the batch, which torch calls `s0`, or by the size of an example."""
    for value in (*graph.inputs, *(output for node in graph for output in node.outputs)):
        for axis, dim in enumerate(value.shape or ()):
            if isinstance(dim, ir.SymbolicDim) and re.fullmatch(r"s?\d+", dim.value or ""):
                cast(ir.Shape, value.shape)[axis] = ir.SymbolicDim(BATCH)


def _options() -> dict[str, Any]:
    from onnxscript.function_libs.torch_lib.ops import core

    aten = torch.ops.aten
    ours: dict[Any, tuple[Callable[..., Any], Callable[..., Any]]] = {
        aten.as_strided.default: (core.aten_as_strided, _as_strided)
    }
    if _NORMS_GIVE_THREE:
        own = core.aten__native_batch_norm_no_training
        ours[aten._native_batch_norm_legit_no_training.default] = (own, _batch_norm)
    return {
        "dynamo": True,
        # torch's passes look at the values of weights; ours (`simplify`) at structure alone.
        "optimize": False,
        # Most versions pass over a translation whose signature is not as theirs, so it looks so.
        "custom_translation_table": {
            target: functools.wraps(theirs)(mine) for target, (theirs, mine) in ours.items()
        },
        "verbose": False,
    }


def _as_strided(data: Any, size: Any, stride: Any, storage_offset: Any = None) -> Any:
    """Average pooling to 1x1 restrides its result for channels-last, which changes nothing."""
    from onnxscript import opset18
    from onnxscript.function_libs.torch_lib.ops.core import aten_as_strided

    kept = len(data.shape) == len(size) and all(
        before == after for before, after in zip(data.shape[1:], size[1:], strict=True)
    )
    if kept and all(after == 1 for after in size[2:]):
        return opset18.Identity(data)
    return aten_as_strided(data, size, stride, storage_offset)


def _batch_norm(
    data: Any, scale: Any, shift: Any, mean: Any, variance: Any, momentum: float, epsilon: float
) -> Any:
    """All three outputs; the exporter itself drops the two that nobody reads."""
    from onnxscript import opset18

    op: Any = opset18
    channels = op.Shape(data, start=1, end=2)
    if scale is None:
        scale = op.Expand(op.CastLike(op.Constant(value_floats=[1.0]), data), channels)
    if shift is None:
        shift = op.Expand(op.CastLike(op.Constant(value_floats=[0.0]), data), channels)
    return op.BatchNormalization(
        data, scale, shift, mean, variance, momentum=1.0 - momentum, epsilon=epsilon
    )
