"""Traces a torch module to ONNX, once: candidates are cut from that graph, not exported."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common
import torch
from onnxscript.optimizer import _constant_folding
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules.common import (
    _basic_rules,
    _cast_constant_of_shape,
    _collapse_slices,
    _materialize_reshape_shape,
)
from torch import nn

from hwprune.channels.canonical import canonical
from hwprune.channels.values import BUFFERS_KEY
from hwprune.errors import NetworkError

_NO_LIMIT = 2**40
# Left out on purpose: BatchNorm folding, zero-bias removal and x*1, x+0 depend on values, so two
# exports of one structure could differ; Conv+Pad and Clip fusion hide what a cut has to patch.
_RULES = (
    *_cast_constant_of_shape.rules,
    *_collapse_slices.rules,
    *_materialize_reshape_shape.rules,
    *_basic_rules.basic_optimization_rules(),
)


def trace(module: nn.Module, example_input: torch.Tensor) -> bytes:
    """The module's inference graph as ONNX, weights inside, in canonical form.

    The batch axis is symbolic where the module allows it, so one graph runs at batch 1 on a board
    and at batch N in torch. BatchNorm nodes stay; initializers are named by state_dict keys, nodes
    by the module they come from. Dropout does nothing at inference and is not in the graph.

    Args:
        module: any torch module with one tensor in and one tensor out; it is not changed.
        example_input: N C H W, any values.

    Raises:
        NetworkError: torch cannot export the module.
    """
    # Trained channels-last, a network would be traced with reshapes that undo the layout.
    still = copy.deepcopy(module).cpu().eval().to(memory_format=torch.contiguous_format)
    example = example_input.detach().cpu().contiguous()
    try:
        program = _export(still, example)
    except Exception as error:
        raise NetworkError(
            f"the network cannot be traced: {str(error).strip().splitlines()[0]}",
            given=f"{type(module).__name__} with an input of shape {tuple(example.shape)}",
            possible="one tensor in, one tensor out, no branch that depends on data",
            next_step="run torch.export.export(module, (input,)) to see where tracing stops",
        ) from error
    model = program.model
    for step in _passes(set(model.graph.initializers)):
        model = step(model).model
    _name_by_module(model)
    proto = canonical(ir.to_proto(model))
    _remember_buffers(proto, still)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _export(module: nn.Module, example: torch.Tensor) -> Any:
    # torch.export treats a size of 1 as a constant, so the batch is traced at 2.
    pair = torch.cat([example[:1], example[:1]])
    symbolic = ({0: torch.export.Dim("batch", min=1)},)
    with _quiet():
        try:
            return _export_once(module, pair, symbolic)
        except Exception:
            return _export_once(module, example[:1], None)


def _export_once(module: nn.Module, example: torch.Tensor, shapes: Any) -> Any:
    return torch.onnx.export(
        module, (example,), dynamo=True, optimize=False, dynamic_shapes=shapes, verbose=False
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporter warnings are for its authors: none of them asks the user for anything."""
    previous = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


def _passes(weights: set[str]) -> list[Any]:
    """Clean-up that depends on structure alone, never on a weight's value or size."""

    def fold(node: ir.Node) -> bool | None:
        # A weight stays itself, whatever is done to it; its shape may be computed with.
        if node.op_type == "Shape":
            return None
        return False if any(v is not None and v.name in weights for v in node.inputs) else None

    return [
        common.InlinePass(),
        _DropEmptyBias(),
        ir.passes.PassManager(
            [
                _constant_folding.FoldConstantsPass(
                    shape_inference=True,
                    input_size_limit=_NO_LIMIT,
                    output_size_limit=_NO_LIMIT,
                    should_fold=fold,
                ),
                RewritePass(list(_RULES)),
                common.RemoveUnusedNodesPass(),
                common.RemoveUnusedFunctionsPass(),
                common.RemoveUnusedOpsetsPass(),
            ],
            steps=3,
            early_stop=True,
        ),
        common.OutputFixPass(),
    ]


class _DropEmptyBias(ir.passes.InPlacePass):
    """A convolution without bias is exported with computed zeros; they are taken out again.

    Which bias is dropped is told by where it comes from, never by its values.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        dropped = False
        for node in model.graph:
            bias = node.inputs[2] if node.op_type == "Conv" and len(node.inputs) > 2 else None
            source = bias.producer() if bias is not None else None
            if source is not None and source.op_type == "Expand":
                node.replace_input_with(2, None)
                node.resize_inputs(2)
                dropped = True
        return ir.passes.PassResult(model, dropped)


def _name_by_module(model: ir.Model) -> None:
    """Node names become `layer1.0.conv1/Conv`: where in the module, and what."""
    for node in model.graph:
        scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
        path = [part.strip(" '\"") for part in scopes.strip("[]").split(",")]
        module = path[-2] if len(path) > 1 else ""
        if module.startswith("_empty_nn_module"):
            # What the exporter adds itself belongs to no module.
            module = ""
        node.name = f"{module}/{node.op_type}" if module else node.op_type


def _remember_buffers(proto: onnx.ModelProto, module: nn.Module) -> None:
    known = {tensor.name for tensor in proto.graph.initializer}
    names = [name for name, _ in module.named_buffers() if name in known]
    onnx.helper.set_model_props(proto, {BUFFERS_KEY: json.dumps(names)})
