"""The ranges of a network's activations, seen while it runs on inputs; int8 is scaled by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwprune_device.precision.quantized import quantized_tensors
from hwprune_device.precision.tensors import Names, names
from hwprune_device.runtimes.registry import UnknownRuntimeError, make_runtime


def observe_ranges(model: ModelProto, batches: Iterable[np.ndarray]) -> dict[str, float]:
    """The largest absolute value of every activation that `with_qdq` quantises.

    In ONNX Runtime where it is installed, else in ONNX's own evaluator, which takes minutes for
    what takes seconds there.

    Args:
        model: a network in float32 with one input.
        batches: inputs (N C H W) as the network will see them; a few hundred images are enough.

    Raises:
        ValueError: no batches, or a value that is no number.
    """
    tensors = quantized_tensors(model)
    run = _runner(_watching(model, tensors))
    found = [np.abs(run(batch)).reshape(-1, len(tensors)).max(axis=0) for batch in batches]
    if not found:
        raise ValueError("ranges need at least one batch of inputs; given: none")
    return dict(zip(tensors, np.max(found, axis=0).tolist(), strict=True))


def _watching(model: ModelProto, tensors: tuple[str, ...]) -> ModelProto:
    """The network with one output (1, tensors): the largest absolute value of each of them."""
    made = ModelProto()
    made.CopyFrom(model)
    graph, taken = made.graph, Names(names(model.graph))
    shape = taken.fresh("one_by_one")
    graph.initializer.append(numpy_helper.from_array(np.array([1, 1], np.int64), shape))
    cells = []
    for tensor in tensors:
        size, largest, cell = (taken.fresh(f"{tensor}_{what}") for what in ("abs", "max", "cell"))
        cells.append(cell)
        graph.node.extend(
            [
                helper.make_node("Abs", [tensor], [size]),
                helper.make_node("ReduceMax", [size], [largest], keepdims=0),
                helper.make_node("Reshape", [largest, shape], [cell]),
            ]
        )
    ranges = taken.fresh("ranges")
    graph.node.append(helper.make_node("Concat", cells, [ranges], axis=1))
    del graph.output[:]
    seen = helper.make_tensor_value_info(ranges, TensorProto.FLOAT, [1, len(tensors)])
    graph.output.append(seen)
    return made


def _runner(model: ModelProto) -> Callable[[np.ndarray], np.ndarray]:
    """What gives a network's only output for a batch."""
    try:
        runtime = make_runtime("onnxrt")
    except UnknownRuntimeError:
        evaluator = ReferenceEvaluator(model)

        def evaluate(batch: np.ndarray) -> np.ndarray:
            (found,) = evaluator.run(None, {evaluator.input_names[0]: batch})
            return np.asarray(found)

        return evaluate
    written = model.SerializeToString()
    return lambda batch: runtime.execute(written, batch)
