"""How a network's outputs are arranged: alone, in a tuple, a list, a dict, or nested."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import onnx

from hwprune_device.values import metadata

OUTPUTS_KEY = "hwprune.outputs"
"""Model metadata: structure of the outputs as JSON, where it is not the usual one."""
_LEAF: dict[str, Any] = {}


def structure_of(outputs: Any) -> Any:
    """The arrangement of a network's outputs as plain data, which JSON can hold.

    A leaf is {}, a list {"list": […]}, a tuple {"tuple": […]} and a dict {"dict": [[key, …], …]},
    in its own order. Every mapping and every dataclass counts as a dict, a named tuple as a tuple.
    None, numbers and texts, which are no outputs of a graph, stand for themselves.

    Raises:
        TypeError: a key of a dict is neither a text nor a whole number.
    """
    if _is_plain(outputs):
        return outputs
    if (items := _items(outputs)) is not None:
        return {"dict": [[_key(key), structure_of(value)] for key, value in items]}
    if isinstance(outputs, list):
        return {"list": [structure_of(value) for value in outputs]}
    if isinstance(outputs, tuple):
        return {"tuple": [structure_of(value) for value in outputs]}
    return _LEAF


def leaves_of(outputs: Any) -> list[Any]:
    """The tensors or arrays among a network's outputs, in order, whatever they are arranged in."""
    if (items := _items(outputs)) is not None:
        return [leaf for _, value in items for leaf in leaves_of(value)]
    if isinstance(outputs, list | tuple):
        return [leaf for value in outputs for leaf in leaves_of(value)]
    return [] if _is_plain(outputs) else [outputs]


def arranged(leaves: Sequence[Any], structure: Any) -> Any:
    """Leaves, in order, in an arrangement that `structure_of` has described.

    Raises:
        ValueError: the arrangement has room for more leaves, or for fewer.
    """
    if _room(structure) != len(leaves):
        raise ValueError(f"{len(leaves)} outputs do not fit an arrangement of {_room(structure)}")
    return _filled(structure, iter(leaves))


def usual_structure(count: int) -> Any:
    """One output alone, several in a tuple: what is not written down."""
    return _LEAF if count == 1 else {"tuple": [_LEAF] * count}


def recorded_structure(model: onnx.ModelProto) -> Any:
    """The structure of a graph's outputs as its metadata has it, else the usual one."""
    usual = usual_structure(len(model.graph.output))
    written = metadata(model).get(OUTPUTS_KEY)
    structure = usual if written is None else json.loads(written)
    # Other programs may add or drop outputs and leave the metadata as it was.
    return structure if _room(structure) == len(model.graph.output) else usual


def record_structure(model: onnx.ModelProto, structure: Any) -> None:
    """Write a structure into the metadata, unless it is the usual one or does not fit."""
    count = len(model.graph.output)
    if _room(structure) == count and structure != usual_structure(count):
        onnx.helper.set_model_props(model, {**metadata(model), OUTPUTS_KEY: json.dumps(structure)})


def _filled(structure: Any, leaves: Iterator[Any]) -> Any:
    if structure == _LEAF:
        return next(leaves)
    if not isinstance(structure, dict):
        return structure
    ((kind, parts),) = structure.items()
    if kind == "dict":
        return {key: _filled(part, leaves) for key, part in parts}
    values = [_filled(part, leaves) for part in parts]
    # A named tuple comes back as a plain one: its class is not written down.
    return values if kind == "list" else tuple(values)


def _room(structure: Any) -> int:
    """How many leaves a structure has."""
    if structure == _LEAF:
        return 1
    if not isinstance(structure, dict):
        return 0
    ((kind, parts),) = structure.items()
    return sum(_room(part[1] if kind == "dict" else part) for part in parts)


def _items(outputs: Any) -> Iterable[tuple[Any, Any]] | None:
    """Keys and values of what counts as a dict."""
    if isinstance(outputs, Mapping):
        return outputs.items()
    if is_dataclass(outputs) and not isinstance(outputs, type):
        return [(field.name, getattr(outputs, field.name)) for field in fields(outputs)]
    return None


def _is_plain(value: Any) -> bool:
    # Not what derives from them: numpy's float64 is a float, and an output.
    return value is None or type(value) in (str, bool, int, float)


def _key(key: Any) -> str | int:
    if type(key) not in (str, bool, int):
        raise TypeError(f"a dict of outputs has the key {key!r}; possible: texts, whole numbers")
    return key
