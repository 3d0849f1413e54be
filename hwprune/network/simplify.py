"""Simplifies an ONNX graph: what is known before any input comes is worked out once."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

import onnx_ir as ir
import onnx_ir.passes.common as common

# onnxscript's optimize() takes no choice of rules, so its passes and rules, which are private,
# are put together here.
from onnxscript.optimizer import _constant_folding
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.rules.common import (
    _basic_rules,
    _cast_constant_of_shape,
    _collapse_slices,
    _materialize_reshape_shape,
)

from hwprune.network.folding_limit import EACH, FoldingLimit
from hwprune_device.values import QUANTIZES

# Left out on purpose: BatchNorm folding, zero-bias removal and x*1, x+0 depend on values, so two
# exports of one structure could differ; Conv+Pad and Clip fusion hide what a cut has to patch.
_RULES = (
    *_cast_constant_of_shape.rules,
    *_collapse_slices.rules,
    *_materialize_reshape_shape.rules,
    *_basic_rules.basic_optimization_rules(),
)


def _with_siblings_alone(rule: Any) -> Any:
    """A rule of two slices of one value, tried only where there are two.

    As it comes it walks through the whole graph from every node, whatever that is.
    """
    tried = rule.try_rewrite

    def try_rewrite(model: ir.Model, graph: Any, node: ir.Node, **more: Any) -> Any:
        source = node.inputs[0] if node.op_type == "Slice" else None
        uses = source.uses() if source is not None else ()
        slices = sum(use.node.op_type == "Slice" for use in uses)
        return tried(model, graph, node, **more) if slices > 1 else None

    narrowed = copy.copy(rule)
    narrowed.try_rewrite = try_rewrite
    return narrowed


_QUICK_RULES = [
    rule if rule.name != "SlicesSplit" else _with_siblings_alone(rule) for rule in _RULES
]


def simplified(
    model: ir.Model, weights: Collection[str], limit: FoldingLimit | None = None
) -> ir.Model:
    """The model with computed shapes and constants worked out and what is unused gone.

    The clean-up depends on structure alone, never on a weight's value, so that two networks of one
    structure stay alike.

    Args:
        model: changed in place.
        weights: initializers that stay themselves, whatever is done to them.
        limit: how much may be worked out, of the model as it was.
    """
    opsets = dict(model.opset_imports)
    for step in _passes(weights, opsets, limit or FoldingLimit()):
        model = step(model).model
    return model


def _passes(weights: Collection[str], opsets: Mapping[str, int], limit: FoldingLimit) -> list[Any]:
    def fold(node: ir.Node) -> bool | None:
        """Whether a node is worked out, as onnxscript's pass asks for each."""
        # True folds the node, False keeps it, None leaves it to the pass's own limits.
        if node.op_type == "Shape":
            return None  # a weight's shape may be computed with
        if node.op_type in QUANTIZES:
            return False  # what is stored as integers runs as integers
        if any(v is not None and v.name in weights for v in node.inputs):
            return False
        if not limit.allows(node, opsets.get(node.domain, 0)):
            return False
        # Masks grow from filled tensors, which are left alone by default to save space.
        return True if node.op_type == "ConstantOfShape" else None

    return [
        common.InlinePass(),
        _DropEmptyBias(),
        ir.passes.PassManager(
            [
                _constant_folding.FoldConstantsPass(
                    shape_inference=True,
                    input_size_limit=EACH,
                    output_size_limit=EACH,
                    should_fold=fold,
                ),
                RewritePass(_QUICK_RULES),
                common.RemoveUnusedNodesPass(),
                common.RemoveUnusedFunctionsPass(),
                common.RemoveUnusedOpsetsPass(),
            ],
            # What one round folds is what the next one's rules may need.
            steps=3,
            early_stop=True,
        ),
        # ONNX forbids inputs, and a value twice, among the outputs: this puts Identity between.
        common.OutputFixPass(),
    ]


class _DropEmptyBias(ir.passes.InPlacePass):
    """A convolution without bias is exported with computed zeros; they are taken out again.

    Which bias is dropped depends on where it comes from, never on its values.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Drop them from the graph; whether there were any is in the result."""
        dropped = False
        for node in model.graph:
            bias = node.inputs[2] if node.op_type == "Conv" and len(node.inputs) > 2 else None
            source = bias.producer() if bias is not None else None
            # The exporter's own bias is one zero expanded; a module's is an initializer.
            if source is not None and source.op_type == "Expand":
                node.replace_input_with(2, None)
                node.resize_inputs(2)
                dropped = True
        return ir.passes.PassResult(model, dropped)
