"""Reads weights from a file and puts them into a module, or says exactly what does not fit."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from hwprune.errors import NetworkError

NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "params")
"""Keys under which training scripts store the state dict beside other things."""
_SHOWN = 6


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors, .pth, .pt or .th file, by state-dict keys.

    A state dict nested in a checkpoint is found, and the `module.` that DataParallel writes before
    every key is taken off. Nothing in the file is ever run.

    Raises:
        NetworkError: the file is missing, unreadable, or holds no state dict.
    """
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.*")) if path.parent.is_dir() else []
        raise NetworkError(
            "the weights file is not there",
            given=str(path),
            possible=f"in that folder: {', '.join(near[:8])}" if near else "",
        )
    content = _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)
    tensors = _state_dict(content)
    if not tensors:
        raise NetworkError(
            f"{path} holds no state dict",
            given=f"{type(content).__name__}: {_names(content)}",
            possible=f"a state dict, alone or under one of {', '.join(NESTED)}",
            next_step="save it with torch.save(model.state_dict(), path)",
        )
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def put_weights(module: nn.Module, tensors: Mapping[str, torch.Tensor], *, where: str) -> None:
    """Load `tensors` into `module`; every parameter and buffer must be there, and nothing else.

    Raises:
        NetworkError: keys are missing or unexpected, or shapes differ; it names them.
    """
    wanted = module.state_dict()
    # Files from before PyTorch 0.4.1 lack this counter, which inference does not read.
    missing = [k for k in wanted if k not in tensors and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in tensors if k not in wanted]
    shapes = [
        f"{k}: file {list(tensors[k].shape)}, network {list(wanted[k].shape)}"
        for k in wanted
        if k in tensors and tensors[k].shape != wanted[k].shape
    ]
    if missing or unexpected or shapes:
        faults = {"missing": missing, "unexpected": unexpected, "other shape": shapes}
        raise NetworkError(
            f"the weights in {where} do not fit the network",
            given="; ".join(f"{len(v)} {k} ({_names(v)})" for k, v in faults.items() if v),
            next_step="name the network that these weights were trained for, "
            "with the same number of classes",
        )
    # All was compared above; not strict for the sake of the counters.
    module.load_state_dict(dict(tensors), strict=False)


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # safetensors raises its own SafetensorError, or OSError
        raise NetworkError(f"{path} is no safetensors file", given=str(error)) from None


def _torch_file(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise NetworkError(
            f"{path} cannot be loaded safely: it may hold more than tensors",
            given=str(error).splitlines()[0][:200],
            next_step="where you trust it, save its weights alone with "
            "torch.save(model.state_dict(), path), or as safetensors",
        ) from None
    except Exception as error:
        raise NetworkError(
            f"{path} cannot be read as a torch file", given=f"{type(error).__name__}: {error}"
        ) from None


def _state_dict(content: object) -> dict[str, torch.Tensor]:
    if not isinstance(content, Mapping):
        return {}
    if content and all(isinstance(value, torch.Tensor) for value in content.values()):
        return {str(name): tensor for name, tensor in content.items()}
    for key in NESTED:
        if key in content:
            return _state_dict(content[key])
    return {}


def _names(names: object) -> str:
    listed = list(names) if isinstance(names, list | Mapping) else []
    more = f", … {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(map(str, listed[:_SHOWN])) + more
