"""Peak activations of any candidate, counted from the graph.

Values live from the node that makes them to the last that reads them; an element-wise node writes
over an input that nobody else reads, as runtimes do and as fused kernels come to. Sizes are taken
as sums over groups, which holds but for values with two axes that are cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from hwprune.peak import Peak
from hwprune_device.memory import BYTES, IN_PLACE_ONE, VIEWS
from hwprune_device.plan import CutPlan
from hwprune_device.subgraphs import reads
from hwprune_device.values import shapeless_weights, value_shapes

IN_PLACE = IN_PLACE_ONE | VIEWS | {"Add", "Mul", "Sub", "Div", "BatchNormalization", "HardSwish"}
BYTES_A_NUMBER = BYTES["float"]


def count_peak(base: bytes, plan: CutPlan) -> Peak:
    """Peak of live activations, in bytes of float32 at batch 1, as a function of widths."""
    full = plan.widths
    # Sizes are taken as linear in each width: one unit less shows the bytes of a unit.
    narrower = [(*full[:g], width - 1, *full[g + 1 :]) for g, width in enumerate(full)]
    whole, *less = value_sizes(base, plan, [full, *narrower])
    columns = [
        whole,
        *({name: whole[name] - sizes.get(name, 0) for name in whole} for sizes in less),
    ]
    model = onnx.load_model_from_string(base)
    held = {name: np.array([column[name] for column in columns], float) for name in whole}
    rows = np.array(list(_moments(model.graph, held)))
    # Moments x [1 + groups]: what is left at width 0 of all groups.
    fixed = rows[:, 0] - rows[:, 1:] @ np.array(full, float)
    return Peak(fixed=fixed, per_unit=rows[:, 1:]).essential()


def value_sizes(
    base: bytes, plan: CutPlan, candidates: Sequence[Sequence[int]]
) -> Iterator[dict[str, int]]:
    """For each candidate the bytes of every value that a node makes, in float32 at batch 1.

    Values of unknown size are left out.
    """
    model = _without_values(onnx.load_model_from_string(base))
    return (_sizes(model, plan, widths) for widths in candidates)


def _without_values(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, in place, whose weights have shapes alone: it is copied for every group."""
    weights = shapeless_weights(model.graph)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            for values in ("raw_data", "float_data", "double_data", "int32_data"):
                tensor.ClearField(values)
    return model


def _sizes(model: onnx.ModelProto, plan: CutPlan, widths: Sequence[int]) -> dict[str, int]:
    """Bytes by value that a node makes, at these widths; values of unknown size are left out."""
    shapes = value_shapes(_reshaped(model, plan, widths), batch=1)
    made = [name for node in model.graph.node for name in node.output if name]
    return {
        name: BYTES_A_NUMBER * math.prod(int(size) for size in shapes[name])
        for name in made
        if name in shapes and all(isinstance(size, int) for size in shapes[name])
    }


def _reshaped(model: onnx.ModelProto, plan: CutPlan, widths: Sequence[int]) -> onnx.ModelProto:
    """The graph with the shapes of a cut."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in cut.graph.initializer}
    nodes = {node.name: node for node in cut.graph.node}
    for axis_cut in plan.axes:
        tensors[axis_cut.initializer].dims[axis_cut.axis] = axis_cut.size(widths)
    for literal in plan.literals:
        number = literal.value(widths)
        if literal.initializer:
            tensor = tensors[literal.initializer]
            array = numpy_helper.to_array(tensor).copy()
            array[literal.index if literal.index is not None else ...] = number
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
            continue
        for entry in nodes[literal.node].attribute:
            if entry.name == literal.attribute and literal.index is None:
                entry.i = number
            elif entry.name == literal.attribute:
                entry.ints[literal.index] = number
    return cut


def _moments(graph: onnx.GraphProto, sizes: dict[str, np.ndarray]) -> Iterator[np.ndarray]:
    """What is held while each node runs, [1 + groups] each."""
    readers: dict[str, int] = {}
    for name in (
        *(n for node in graph.node for n in reads(node)),
        *(o.name for o in graph.output),
    ):
        readers[name] = readers.get(name, 0) + 1
    home: dict[str, str] = {}
    held: dict[str, np.ndarray] = {}
    users: dict[str, int] = {}
    for node in graph.node:
        for name in node.output:
            if name not in sizes:
                continue
            place = _taken_over(node, home, users) if node.op_type in IN_PLACE else None
            home[name] = place or name
            if place is None:
                held[name], users[name] = sizes[name], 0
            users[home[name]] += readers.get(name, 0)
        if held:
            yield np.sum(list(held.values()), axis=0)
        for name in reads(node):
            place = home.get(name)
            if place is not None:
                users[place] -= 1
        for name in [name for name in held if users[name] <= 0]:
            del held[name]


def _taken_over(node: onnx.NodeProto, home: dict[str, str], users: dict[str, int]) -> str | None:
    """The buffer of an input that this node is the last to read."""
    places = (home[name] for name in node.input if name in home)
    # Readers are counted down after the node, so this node is the one that is left.
    return next((place for place in places if users[place] == 1), None)
