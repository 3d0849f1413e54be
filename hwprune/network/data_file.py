"""Data in one file, for a process of its own: safetensors, with the rest as JSON in its head."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hwprune.network.data import Data
from hwprune.network.split import Split


def write_data(data: Data, file: Path, parts: Sequence[str]) -> None:
    """Write the given parts; the reader cannot look at any other, such as the test images."""
    from safetensors.torch import save_file

    tensors = {}
    for name in parts:
        split = data.part(name)
        # Cloned, because parts may share memory, which safetensors refuses.
        tensors[f"{name}/images"] = split.images.clone().contiguous()
        tensors[f"{name}/labels"] = split.labels.clone()
    facts = {
        "name": data.name,
        "classes": data.classes,
        "mean": data.mean,
        "std": data.std,
        "augment": data.augment,
        "content_hash": data.content_hash,
        "parts": list(parts),
    }
    save_file(tensors, file, metadata={"data": json.dumps(facts)})


def read_data(file: Path) -> Data:
    """The data that `write_data` wrote, with the content hash of the whole."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as content:
        facts = json.loads(content.metadata()["data"])
        splits = {
            name: Split(
                images=content.get_tensor(f"{name}/images"),
                labels=content.get_tensor(f"{name}/labels"),
            )
            for name in facts.pop("parts")
        }
    mean, std = tuple(facts.pop("mean")), tuple(facts.pop("std"))
    return Data(splits=splits, mean=mean, std=std, **facts)
