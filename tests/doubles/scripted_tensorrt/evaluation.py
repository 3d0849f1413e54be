"""What a network computes, by ONNX's own reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

_QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear"})
_LEAST_OPSET = 19
"""The evaluator has these operators only from here on."""


class Evaluation:
    """Computes in the types that the graph itself has, on the host."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._last: tuple[tuple[bytes, ...], dict[str, np.ndarray]] | None = None

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name; the same inputs as last time are not computed again."""
        from onnx.reference import ReferenceEvaluator

        key = tuple(values.tobytes() for values in inputs.values())
        if self._last is None or self._last[0] != key:
            evaluator = ReferenceEvaluator(_evaluable(self._model))
            values = evaluator.run(None, dict(inputs))
            names = evaluator.output_names
            outputs = {name: np.asarray(v) for name, v in zip(names, values, strict=True)}
            self._last = (key, outputs)
        return self._last[1]


def _evaluable(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network in a version of ONNX that the evaluator has all operators of."""
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    quantised = any(node.op_type in _QUANTISED for node in model.graph.node)
    if not quantised or opset >= _LEAST_OPSET:
        return model
    converted: onnx.ModelProto = onnx.version_converter.convert_version(model, _LEAST_OPSET)
    return converted
