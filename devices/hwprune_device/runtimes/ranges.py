"""The ranges of a network's activations, seen while it runs on inputs; int8 is scaled by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwprune_device.job import Target
from hwprune_device.precision.quantized import quantized_tensors
from hwprune_device.precision.tensors import Names, names
from hwprune_device.runtimes.inputs import in_batches
from hwprune_device.runtimes.interface import interface_of
from hwprune_device.runtimes.registry import UnknownRuntimeError, make_runtime


def observe_ranges(model: ModelProto, batches: Iterable[Sequence[np.ndarray]]) -> dict[str, float]:
    """The largest absolute value of every activation that `with_qdq` quantises.

    In the default runtime where it is installed, else in ONNX's own evaluator: minutes for
    what takes seconds there.

    Args:
        model: a network in float32.
        batches: inputs (N first, one array an input) as the network will see them; a few hundred
            items are enough.

    Raises:
        ValueError: no batches, other inputs than the network takes, or a value that is no number.
    """
    tensors = quantized_tensors(model)
    # One output instead of all activations, which could be GBs for each batch.
    run = _runner(_watching(model, tensors, interface_of(model).fixed_batch or 1))
    # rows x tensors, all rows alike -> tensors
    found = [run(batch).max(axis=0) for batch in batches]
    if not found:
        raise ValueError("ranges need at least one batch of inputs; given: none")
    return dict(zip(tensors, np.max(found, axis=0).tolist(), strict=True))


def _watching(model: ModelProto, tensors: tuple[str, ...], rows: int) -> ModelProto:
    """The network with one output (rows, tensors): the largest absolute value of each of them.

    All rows are the same; as many as the batch, where that is fixed, let the network run in parts.
    """
    made = ModelProto()
    made.CopyFrom(model)
    graph, taken = made.graph, Names(names(model.graph))
    shape, whole = taken.fresh("one_by_one"), taken.fresh("rows_by_tensors")
    for name, sizes in ((shape, [1, 1]), (whole, [rows, len(tensors)])):
        graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), name))
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
    row, ranges = taken.fresh("row"), taken.fresh("ranges")
    graph.node.append(helper.make_node("Concat", cells, [row], axis=1))
    # 1 x tensors -> rows x tensors
    graph.node.append(helper.make_node("Expand", [row, whole], [ranges]))
    del graph.output[:]
    seen = helper.make_tensor_value_info(ranges, TensorProto.FLOAT, [rows, len(tensors)])
    graph.output.append(seen)
    return made


def _runner(model: ModelProto) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """What gives a network's only output for a batch of inputs."""
    try:
        runtime = make_runtime(Target().runtime)
    # ONNX Runtime is no requirement of a board that quantises for TensorRT.
    except UnknownRuntimeError:
        evaluator, interface = ReferenceEvaluator(model), interface_of(model)
        names = [entry.name for entry in interface.inputs]

        def evaluate(part: list[np.ndarray]) -> list[np.ndarray]:
            return list(map(np.asarray, evaluator.run(None, dict(zip(names, part, strict=True)))))

        return lambda batch: in_batches(evaluate, batch, interface)[0]
    written = model.SerializeToString()
    return lambda batch: runtime.run_network(written, batch)[0]
