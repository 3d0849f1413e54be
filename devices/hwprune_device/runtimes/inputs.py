"""What networks are fed: values while they are timed, and whole batches where outputs count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from hwprune_device.job import Target
from hwprune_device.runtimes.interface import InputSpec, Interface

_FLOATS = ("float32", "float16", "float64")
_IDS = ("int64", "int32", "int8", "uint8")
_HALVES = ("float16", "bfloat16")


def input_values(
    name: str,
    shape: Sequence[Any],
    dtype: object,
    target: Target,
    random: np.random.Generator,
) -> np.ndarray:
    """Zero-mean unit values: speed does not depend on them as long as they are ordinary.

    `dtype` is written as numpy writes it. Integers are zero, which every table has a row for, and
    truth values are true: masks that hide nothing.

    Raises:
        ValueError: the shape is not fixed, not of the target's batch, or the type is another.
    """
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"input '{name}' has no fixed shape: {list(shape)}")
    # A network of another fixed batch would be timed at that one, under the target's name.
    if shape and shape[0] != target.batch:
        raise ValueError(
            f"input '{name}' has a fixed batch of {shape[0]}, the target asks for {target.batch}"
        )
    kind = str(dtype)
    if kind in _FLOATS:
        return random.standard_normal(shape).astype(kind)
    if kind in _IDS:
        return np.zeros(shape, kind)
    if kind == "bool":
        return np.ones(shape, kind)
    possible = ", ".join((*_FLOATS, *_IDS, "bool"))
    raise ValueError(f"input '{name}' is {kind}; what can be filled: {possible}")


def item_count(inputs: Sequence[np.ndarray], interface: Interface) -> int:
    """How many items N the inputs of a network hold, one array an input, N first.

    Raises:
        ValueError: they are not what the network takes.
    """
    if len(inputs) != len(interface.inputs):
        wanted = f"{len(interface.inputs)} inputs: {interface.inputs_text}"
        raise ValueError(f"the network takes {wanted}; given: {len(inputs)}")
    for entry, values in zip(interface.inputs, inputs, strict=True):
        if not _fits(values, entry):
            given = f"{values.dtype} {list(values.shape)}"
            raise ValueError(f"the network takes the input {entry.text}; given: {given}")
    counts = [len(values) for values in inputs]
    if min(counts) != max(counts) or not counts[0]:
        raise ValueError(
            f"each of the network's inputs must hold the same number of items, one at least: "
            f"{interface.inputs_text}; given: {', '.join(map(str, counts))}"
        )
    return counts[0]


def parts_of(inputs: Sequence[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Inputs (N first) in parts of `size` items; the last is filled up with the last item."""
    count = len(inputs[0])
    for at in range(0, count, size):
        short = max(0, at + size - count)
        part = [values[at : at + size] for values in inputs]
        # Not zeros: an item of no length, or a mask that hides all, may be more than it can do.
        yield [np.concatenate([v, v[-1:].repeat(short, 0)]) for v in part] if short else part


def in_batches(
    infer: Callable[[list[np.ndarray]], Sequence[np.ndarray]],
    inputs: Sequence[np.ndarray],
    interface: Interface,
    size: int | None = None,
) -> list[np.ndarray]:
    """Every output of a network for its inputs (N first); halves come back as float32.

    All items run at once, unless the network has a fixed batch. Then it runs as often as needed,
    in `parts_of` its inputs; what came of an item that was repeated is left out again.

    Args:
        infer: gives the outputs for inputs of one batch.
        inputs: one an input, in the network's order.
        interface: of the network.
        size: an engine's batch, for a network that was written for any.

    Raises:
        ValueError: other inputs than the network takes, or an output that cannot be put together
            because it has no batch axis.
    """
    count = item_count(inputs, interface)
    size = size or interface.fixed_batch or count
    # Also for a network whose outputs have no batch axis: nothing is put together then.
    if size == count:
        return [_in_float32(values) for values in infer(list(inputs))]
    found = []
    for part in parts_of(inputs, size):
        found.append([_in_float32(values) for values in infer(part)])
        _refuse_whole(found[-1], interface, size)
    return [np.concatenate(parts)[:count] for parts in zip(*found, strict=True)]


def _fits(values: np.ndarray, entry: InputSpec) -> bool:
    """Whether values are of an input's type and, apart from the batch, of its shape."""
    fixed = [(n, size) for n, size in enumerate(entry.shape[1:], 1) if isinstance(size, int)]
    return (
        values.dtype.name == entry.type
        and values.ndim == len(entry.shape) > 0
        and all(values.shape[axis] == size for axis, size in fixed)
    )


def _refuse_whole(outputs: Sequence[np.ndarray], interface: Interface, size: int) -> None:
    """See that outputs of a part can be put together with those of others."""
    for name, values in zip(interface.outputs, outputs, strict=True):
        if values.shape[:1] != (size,):
            raise ValueError(
                f"output '{name}' of shape {list(values.shape)} has no batch axis, so the "
                f"network, whose batch is {size}, cannot be run part by part; give it {size} "
                "items at once"
            )


def _in_float32(values: np.ndarray) -> np.ndarray:
    # By name: numpy has no bfloat16 of its own, it comes from the package ml_dtypes.
    return values.astype(np.float32) if values.dtype.name in _HALVES else values
