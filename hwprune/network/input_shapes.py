"""Sizes that an ONNX file leaves open, filled in by those that a user gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx

from hwprune.errors import NetworkError

BATCH = "batch"
"""Name of a batch that a file leaves open without naming it."""


Shapes = Sequence[Sequence[int]] | Mapping[str, Sequence[int]]
"""Of inputs: in their order, or by their names."""


def by_name(shapes: Shapes, names: Iterable[str]) -> dict[str, Sequence[int]]:
    """Shapes by the names of the inputs, which are given in their order.

    Raises:
        NetworkError: more shapes than inputs, or one for an input that is not there.
    """
    known = list(names)
    named = shapes if isinstance(shapes, Mapping) else dict(zip(known, shapes, strict=False))
    if len(named) < len(shapes) or not named.keys() <= set(known):
        raise NetworkError(
            "more shapes than inputs" if named is not shapes else "there is no such input",
            given=", ".join(shapes) if isinstance(shapes, Mapping) else f"{len(shapes)} shapes",
            possible=", ".join(known),
        )
    return {name: named[name] for name in known if name in named}


def set_shapes(proto: onnx.ModelProto, shapes: Shapes) -> None:
    """Give inputs their shapes, in place; a batch that is open stays so.

    Args:
        proto: the model, as it was loaded.
        shapes: of the inputs, batch first; those that are missing stay as they are.

    Raises:
        NetworkError: more shapes than inputs, or one that contradicts the file.
    """
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = {value.name: value for value in proto.graph.input if value.name not in weights}
    for value in (*inputs.values(), *proto.graph.output):
        _open(value)
    told: dict[str, set[int]] = {}
    for name, sizes in by_name(shapes, inputs).items():
        value = inputs[name]
        _expect_fit(value, sizes)
        dims = value.type.tensor_type.shape.dim
        # From axis 1 on: a batch that is open stays open.
        for dim, size in list(zip(dims, sizes, strict=True))[1:]:
            told.setdefault(dim.dim_param, set()).add(size)
            dim.dim_value = size
    for value in inputs.values():
        # A recurrent state has the batch on axis 1: told there, it is told for all inputs.
        for dim in value.type.tensor_type.shape.dim[:1]:
            found = told.get(dim.dim_param, set()) if dim.dim_param else set()
            if len(found) == 1:
                dim.dim_value = next(iter(found))


def _open(value: onnx.ValueInfoProto) -> None:
    """Sizes left open are no numbers below zero, and an open batch has a name."""
    for axis, dim in enumerate(value.type.tensor_type.shape.dim):
        if dim.dim_value < 0:
            dim.ClearField("dim_value")
        if axis == 0 and not dim.dim_value and not dim.dim_param:
            dim.dim_param = BATCH


def _expect_fit(value: onnx.ValueInfoProto, sizes: Sequence[int]) -> None:
    dims = value.type.tensor_type.shape.dim
    fits = len(dims) == len(sizes) and all(
        not dim.dim_value or dim.dim_value == size for dim, size in zip(dims, sizes, strict=True)
    )
    if not fits:
        raise NetworkError(
            f"the shape does not fit the input '{value.name}'",
            given="x".join(map(str, sizes)),
            possible="x".join(str(dim.dim_value or dim.dim_param or "?") for dim in dims),
        )
