"""A policy search on disk: one safetensors file, arrays as tensors, the rest as JSON in it.

No pickle is written or read. The file is replaced in one move, so an interruption leaves the one
before.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from hwprune.errors import RunFolderError

FILE = "policy.safetensors"
FORMAT = 2
ARRAY = "__array__"
"""In JSON, `{ARRAY: name}` stands for the tensor of that name."""
TUPLE = "__tuple__"
INTEGER_KEYS = "__integer_keys__"


def save(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a state made of dicts, lists, tuples, numbers, strings, None and arrays."""
    arrays: dict[str, np.ndarray] = {}
    plain = _pack(dict(state), arrays)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / (FILE + ".part")
    # safetensors wants at least one tensor.
    arrays.setdefault("nothing", np.zeros(1, np.float32))
    text = json.dumps({"format": FORMAT, "state": plain})
    save_file(arrays, unfinished, metadata={"hwprune": text})
    os.replace(unfinished, folder / FILE)


def load(folder: Path) -> dict[str, Any] | None:
    """What `save` wrote; None if nothing was.

    Raises:
        RunFolderError: the file is there and cannot be read.
    """
    file = folder / FILE
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="numpy") as opened:
            told = json.loads(opened.metadata()["hwprune"])
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']}")
        return dict(_unpack(told["state"], arrays))
    except Exception as error:  # safetensors has errors of its own, and files break in many ways
        raise RunFolderError(
            "the checkpoint of a policy search cannot be read",
            given=f"{file}: {error}",
            possible=f"format {FORMAT}",
            next_step="delete the file; evaluations are kept elsewhere, only the policy restarts",
        ) from error


def chance() -> dict[str, Any]:
    """The state of the three random generators that RLlib draws from in this process."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (kind, np.asarray(keys), int(position), int(has_gauss), float(gauss)),
        "torch": torch.get_rng_state().numpy(),
    }


def set_chance(state: Mapping[str, Any]) -> None:
    """The inverse of `chance`."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(torch.from_numpy(np.array(state["torch"])))


def _pack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        name = f"a{len(arrays)}"
        # A 0-d array loses its shape in ascontiguousarray; copying keeps it.
        arrays[name] = np.array(value, copy=True, order="C")
        return {ARRAY: name}
    if isinstance(value, Mapping):
        packed = {str(k): _pack(v, arrays) for k, v in value.items()}
        integers = bool(value) and all(isinstance(k, int) for k in value)
        return {INTEGER_KEYS: packed} if integers else packed
    if isinstance(value, tuple):
        return {TUPLE: [_pack(v, arrays) for v in value]}
    if isinstance(value, list):
        return [_pack(v, arrays) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _unpack(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpack(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if ARRAY in value:
        return arrays[value[ARRAY]]
    if TUPLE in value:
        return tuple(_unpack(v, arrays) for v in value[TUPLE])
    if INTEGER_KEYS in value:
        return {int(k): _unpack(v, arrays) for k, v in value[INTEGER_KEYS].items()}
    return {k: _unpack(v, arrays) for k, v in value.items()}
