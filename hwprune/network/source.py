"""Where a network comes from: torchvision, the user's own function, or an ONNX file."""

from __future__ import annotations

import difflib
import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hwprune.errors import NetworkError
from hwprune.network.onnx_file import read_network
from hwprune.network.weights import put_weights, read_weights
from hwprune.user_code import load_function

POSSIBLE = (
    "torchvision:NAME[:WEIGHTS or none], package.module:function, file.py:function, file.onnx"
)
CLASS_ARGUMENTS = ("num_classes", "classes", "n_classes")
"""Names under which a user's function may ask for the number of classes."""


def load_network(
    source: str,
    *,
    weights: Path | None = None,
    num_classes: int | None = None,
    seed: int = 0,
) -> nn.Module:
    """The network that `source` names, in eval mode.

    Args:
        source: `torchvision:resnet18`, `torchvision:resnet18:IMAGENET1K_V1` (or `:DEFAULT`),
            `package.module:function`, `path/to/file.py:function`, or an .onnx file.
        weights: a .safetensors, .pth, .pt or .th file to load into it.
        num_classes: classes of the data; a function gets it when it takes such an argument.
        seed: of the first weights of a network that has none yet.

    Raises:
        NetworkError: the name, the function, or the weights are not there or do not fit.
    """
    # The caller's own random numbers go on as if nothing had been built.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = _build(source, num_classes, own_weights=weights is not None)
    if weights is not None:
        put_weights(module, read_weights(Path(weights).expanduser()), where=str(weights))
    return module.eval()


def _build(source: str, num_classes: int | None, *, own_weights: bool) -> nn.Module:
    if source.endswith(".onnx"):
        return _onnx(Path(source).expanduser())
    if source.startswith("torchvision:"):
        return _torchvision(source, num_classes, own_weights=own_weights)
    if ":" in source:
        return _own(source, num_classes)
    raise NetworkError("the network is not named in a known way", given=source, possible=POSSIBLE)


def _onnx(path: Path) -> nn.Module:
    from hwprune.network.graph_module import to_module

    if not path.is_file():
        raise NetworkError("the network's file is not there", given=str(path))
    return to_module(read_network(path))


def _own(source: str, num_classes: int | None) -> nn.Module:
    function = load_function(source, NetworkError, what="network")
    try:
        accepted = set(inspect.signature(function).parameters)
    except ValueError:  # built-in callables have no signature
        accepted = set()
    name = next((n for n in CLASS_ARGUMENTS if n in accepted), None)
    given = {name: num_classes} if name and num_classes is not None else {}
    try:
        module = function(**given)
    except Exception as error:
        raise NetworkError(
            f"{source} fails when it is called",
            given=f"{type(error).__name__}: {error}",
            possible=f"a function without required arguments, apart from {CLASS_ARGUMENTS[0]}",
        ) from error
    if not isinstance(module, nn.Module):
        raise NetworkError(
            f"{source} must return a torch module", given=f"it returned {type(module).__name__}"
        )
    return module


def _torchvision(source: str, num_classes: int | None, *, own_weights: bool) -> nn.Module:
    from torchvision import models

    _, name, *rest = source.split(":")
    known = models.list_models()
    if name not in known:
        raise NetworkError(
            f"torchvision has no network '{name}'",
            given=source,
            possible=", ".join(difflib.get_close_matches(name, known, n=6, cutoff=0.4)),
            next_step="see torchvision.models.list_models()",
        )
    wanted = rest[0] if rest else "none"
    # Weights of one's own replace torchvision's, so none are downloaded for nothing.
    if wanted.lower() == "none" or own_weights:
        return _untrained(name, num_classes)
    choices = models.get_model_weights(name)
    if wanted not in choices.__members__:
        raise NetworkError(
            f"torchvision has no weights '{wanted}' for {name}",
            given=source,
            possible=", ".join([*choices.__members__, "none"]),
        )
    entry = choices[wanted]
    of_weights = len(entry.meta.get("categories", ()))
    # 0: weights that list no categories are taken as they are.
    if num_classes is not None and of_weights not in (0, num_classes):
        raise NetworkError(
            f"the weights {wanted} know {of_weights} classes, the data has {num_classes}",
            given=source,
            next_step="train the network on this data and name the result in network.weights",
        )
    return _downloaded(name, entry)


def _untrained(name: str, num_classes: int | None) -> nn.Module:
    from torchvision import models

    given: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    if name in ("googlenet", "inception_v3"):
        # Their auxiliary outputs exist in training mode only, and a graph has one output.
        given |= {"aux_logits": False, "init_weights": True}
    if "weights_backbone" in inspect.signature(models.get_model_builder(name)).parameters:
        # Detectors and segmentation networks would download a trained backbone.
        given["weights_backbone"] = None
    return models.get_model(name, weights=None, **given)


def _downloaded(name: str, entry: Any) -> nn.Module:
    from torchvision import models

    try:
        return models.get_model(name, weights=entry)
    except OSError as error:  # URLError, ConnectionError and a full disk are all OSError
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
        raise NetworkError(
            f"the weights {entry.name} of {name} are not here and cannot be downloaded",
            given=f"{type(error).__name__}: {error}",
            possible=f"the file as {file}",
            next_step=f"download {entry.url} there, or name a weights file in network.weights",
        ) from None
