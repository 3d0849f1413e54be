"""The delivered network as a folder anyone can read: its graph as JSON, its weights, and the ONNX.

architecture.json     nodes, integer constants, shapes, widths and kept channels; no weights
weights.safetensors   every float of the graph, by state-dict key
model.onnx            the same network for a runtime

`load_package` needs the first two, no class of the user's and no pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import load_file, save_file
from torch import nn

from hwprune.channels.architecture import architecture_hash
from hwprune.channels.base import BaseNetwork
from hwprune.errors import NetworkError
from hwprune.file_name import file_name
from hwprune.network.graph_json import graph_from_json, graph_to_json
from hwprune.network.graph_module import users_module
from hwprune.stored import as_noun, plain_json, said
from hwprune.whole_file import replacing, write_whole
from hwprune_device.values import BUFFERS_KEY, is_weight, metadata

FORMAT = "hwprune-network"
VERSION = 1
"""1: first version."""
_ARCHITECTURE = "architecture.json"
_WEIGHTS = "weights.safetensors"
_MODEL = "model.onnx"


def save_package(
    folder: Path,
    *,
    model: bytes,
    widths: Sequence[int],
    keep: Sequence[np.ndarray],
    base: BaseNetwork,
) -> None:
    """Write the network into a folder, which is made if need be.

    Args:
        folder: where to.
        model: the delivered network as ONNX, weights inside.
        widths: width by group.
        keep: kept units by group, as many as the width says.
        base: the network it was cut from.

    Raises:
        ValueError: widths, kept units and groups do not fit each other.
    """
    if [len(units) for units in keep] != list(widths):
        raise ValueError(f"kept are {[len(units) for units in keep]} units, not {list(widths)}")
    folder.mkdir(parents=True, exist_ok=True)
    proto = onnx.load_model_from_string(model)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "architecture": architecture_hash(model),
        "base": {"base_id": base.base_id, "architecture": base.architecture},
        "groups": [
            {"name": g.name, "unpruned": g.width, "width": len(units), "kept": _plain(units)}
            for g, units in zip(base.plan.groups, keep, strict=True)
        ],
        **graph_to_json(proto),
    }
    write_whole(folder / _ARCHITECTURE, _readable(document))
    with replacing(folder / _WEIGHTS) as part:
        save_file(_weights(proto), part)
    write_whole(folder / _MODEL, model)


def load_package(folder: Path | str, *, budget: str = "") -> nn.Module:
    """The network in a folder as a torch module, in eval mode.

    Args:
        budget: of a run for several budgets, the one whose network is wanted.

    Raises:
        NetworkError: files are missing, do not fit each other, or come from a newer hwprune; or
            no network was delivered for the budget.
    """
    run = Path(folder)
    place = run / file_name(budget) if budget else run
    if not (place / _ARCHITECTURE).exists():
        of_budgets = sorted(path.parent.name for path in run.glob(f"*/{_ARCHITECTURE}"))
        if of_budgets:
            raise NetworkError(
                f"{run} holds a network for each of several budgets",
                given=f"budget={budget!r}",
                possible=", ".join(of_budgets),
            )
    return users_module(read_package(place))


def read_package(folder: Path) -> bytes:
    """The network in a folder as ONNX, put together from its JSON and weights.

    Raises:
        NetworkError: as in `load_package`.
    """
    document = _document(folder)
    weights = _load_weights(folder)
    try:
        model = _put_together(document, weights, folder)
        found = architecture_hash(model)
    except NetworkError:
        raise
    except Exception as error:  # protobuf and numpy have many ways to say no
        raise NetworkError(
            f"{folder / _ARCHITECTURE} describes no graph",
            given=f"{type(error).__name__}: {said(error)}",
            next_step="deliver the network again",
        ) from None
    # Shapes of weights were compared above; this finds changes of nodes and constants.
    if found != document.get("architecture"):
        raise NetworkError(
            f"{folder / _ARCHITECTURE} was changed by hand: its structure is not the one it names",
            given=f"architecture {found[:12]}…",
            possible=f"architecture {str(document.get('architecture'))[:12]}…",
        )
    return model


def _put_together(
    document: Mapping[str, Any], weights: Mapping[str, torch.Tensor], folder: Path
) -> bytes:
    proto = graph_from_json(document)
    # For its errors alone: the twin reads these names without a check.
    as_noun(list[str], plain_json(metadata(proto).get(BUFFERS_KEY, "[]")))
    for name, entry in document["weights"].items():
        tensor = weights.get(name)
        if tensor is None or list(tensor.shape) != entry["shape"]:
            raise NetworkError(
                f"the weights in {folder} do not fit its {_ARCHITECTURE}",
                given=f"'{name}' is {'missing' if tensor is None else tuple(tensor.shape)}",
                possible=f"shape {tuple(entry['shape'])}",
            )
        proto.graph.initializer.append(_tensor_proto(name, entry["type"], tensor))
    return bytes(proto.SerializeToString())


def _document(folder: Path) -> dict[str, Any]:
    path = folder / _ARCHITECTURE
    try:
        document = plain_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise NetworkError(
            f"no network can be read from {folder}: {said(error)}",
            possible=f"a folder with {_ARCHITECTURE} and {_WEIGHTS}",
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NetworkError(
            f"{path} does not describe a network of hwprune", possible=f'"format": "{FORMAT}"'
        )
    version = document.get("version")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise NetworkError(
            f"{path} has a format this hwprune does not know",
            given=f"version {version}",
            possible=f"versions 1 to {VERSION}",
            next_step="install a newer hwprune",
        )
    return document


def _load_weights(folder: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(folder / _WEIGHTS)
    except Exception as error:  # safetensors raises its own SafetensorError, or OSError
        raise NetworkError(
            f"no weights can be read from {folder / _WEIGHTS}: {error}",
            next_step="deliver the network again",
        ) from error


def _weights(proto: onnx.ModelProto) -> dict[str, torch.Tensor]:
    return {
        tensor.name: _from_proto(tensor) for tensor in proto.graph.initializer if is_weight(tensor)
    }


def _from_proto(tensor: onnx.TensorProto) -> torch.Tensor:
    array = np.array(numpy_helper.to_array(tensor))
    if tensor.data_type == onnx.TensorProto.BFLOAT16:
        # torch takes no array of numpy's bfloat16; float32 holds every number of it.
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(array)


def _tensor_proto(name: str, kind: str, tensor: torch.Tensor) -> onnx.TensorProto:
    data_type = onnx.TensorProto.DataType.Value(kind)
    if data_type == onnx.TensorProto.BFLOAT16:
        tensor = tensor.to(torch.float32)
    array = tensor.numpy().astype(onnx.helper.tensor_dtype_to_np_dtype(data_type), copy=False)
    return numpy_helper.from_array(array, name)


def _plain(units: np.ndarray) -> list[int]:
    return [int(unit) for unit in units]


def _readable(document: Mapping[str, Any]) -> str:
    """JSON with one line for each group, node, constant and weight."""
    lines = []
    for key, value in document.items():
        if isinstance(value, list) and value:
            rows = ",\n".join(f"    {json.dumps(row)}" for row in value)
            lines.append(f"  {json.dumps(key)}: [\n{rows}\n  ]")
        elif isinstance(value, dict) and value:
            rows = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f"  {json.dumps(key)}: {{\n{rows}\n  }}")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
