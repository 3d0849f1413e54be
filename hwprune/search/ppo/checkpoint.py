"""The policy's state on disk: weights, optimiser, multipliers, RNGs, the batch in flight.

Tensors go to safetensors and the rest to JSON; nothing is pickled. One file replaces the other
only when it is whole.
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
from safetensors.torch import load_file, save_file

FILE = "policy"


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Keep a nested state of tensors, arrays and plain data."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    plain = _flatten(state, "", tensors)
    version = str(1 + max((_version(p) for p in folder.glob(f"{FILE}-*.json")), default=0))
    weights = folder / f"{FILE}-{version}.safetensors"
    save_file(tensors, weights)
    draft = folder / f".{FILE}.draft"
    draft.write_text(json.dumps(plain))
    os.replace(draft, folder / f"{FILE}-{version}.json")
    for old in folder.glob(f"{FILE}-*"):
        if _version(old) < int(version):
            old.unlink()


def load_state(folder: Path) -> dict[str, Any] | None:
    """The newest whole state; None where there is none."""
    for file in sorted(folder.glob(f"{FILE}-*.json"), key=_version, reverse=True):
        weights = file.with_suffix(".safetensors")
        if weights.exists():
            state = _restore(json.loads(file.read_text()), load_file(weights))
            assert isinstance(state, dict)
            return state
    return None


def random_state(rng: np.random.Generator) -> dict[str, Any]:
    """Every random number generator that a search draws from."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "numpy": {"kind": kind, "keys": np.asarray(keys), "rest": [float(r) for r in rest]},
        "python": {"version": version, "numbers": list(numbers), "gauss": gauss},
        "own": json.dumps(rng.bit_generator.state),
    }


def set_random_state(state: Mapping[str, Any], rng: np.random.Generator) -> None:
    """The inverse of `random_state`."""
    torch.set_rng_state(state["torch"].to(torch.uint8))
    place, has_gauss, gauss = state["numpy"]["rest"]
    keys = state["numpy"]["keys"].numpy().astype(np.uint32)
    np.random.set_state((state["numpy"]["kind"], keys, int(place), int(has_gauss), gauss))
    python = state["python"]
    random.setstate((python["version"], tuple(python["numbers"]), python["gauss"]))
    rng.bit_generator.state = json.loads(state["own"])


def _version(file: Path) -> int:
    return int(file.stem.rpartition("-")[2])


def _flatten(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor | np.ndarray):
        tensor = torch.as_tensor(value)
        # safetensors has no 32-bit unsigned numbers; they fit into 64 signed bits.
        tensors[path] = tensor.to(torch.int64) if tensor.dtype == torch.uint32 else tensor
        tensors[path] = tensors[path].detach().cpu().contiguous().clone()
        return {"tensor": path}
    if isinstance(value, Mapping):
        return {"map": [[k, _flatten(v, f"{path}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_flatten(v, f"{path}/{i}", tensors) for i, v in enumerate(value)]}
    if isinstance(value, np.generic):
        return {"plain": value.item()}
    return {"plain": value}


def _restore(value: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Any:
    (kind, content), *_ = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "map":
        return {k: _restore(v, tensors) for k, v in content}
    if kind == "list":
        return [_restore(v, tensors) for v in content]
    return content
