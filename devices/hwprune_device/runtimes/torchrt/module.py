"""A module readied for inference: folded, cast, laid out and placed; and what it is fed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from hwprune_device.job import Target
from hwprune_device.runtimes.inputs import input_values
from hwprune_device.runtimes.interface import Interface
from hwprune_device.torch_graph.folding import fold_batchnorm
from hwprune_device.torch_graph.module import module_of
from hwprune_device.torch_graph.network_module import NetworkModule

DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
_MAPS = 4
"""Axes of a tensor that has a memory layout to choose: N C H W."""


def ready_module(
    model: bytes, target: Target, options: Mapping[str, Any], device: str
) -> NetworkModule:
    """The torch module of a network as a target runs it.

    Weights are cast once for fp16 and bf16, as a network is delivered. Autocast instead would keep
    fp32 weights beside, cast them in every run and leave out what it does not know.

    Raises:
        UnknownOperatorError: torch's side does not know an operator.
    """
    module = module_of(model)
    if options["fold_batchnorm"]:
        fold_batchnorm(module)
        _drop_identities(module)
    module.requires_grad_(False)
    _cast(module, DTYPES[target.precision])
    module.to(device=device)
    layout = torch.channels_last if options["channels_last"] else torch.contiguous_format
    # Folding lays weights out channels_last; torch follows the layout of weights.
    module.to(memory_format=layout)
    return module


def feeds(
    interface: Interface, target: Target, options: Mapping[str, Any], device: str
) -> tuple[torch.Tensor, ...]:
    """What a network is fed while it is timed, where it will be read from.

    Raises:
        ValueError: an input has no fixed shape, or a type that cannot be filled.
    """
    random = np.random.default_rng(0)
    values = (
        input_values(entry.name, entry.shape, entry.type, target, random)
        for entry in interface.inputs
    )
    return tuple(placed(torch.from_numpy(value), target, options, device) for value in values)


def placed(
    values: torch.Tensor, target: Target, options: Mapping[str, Any], device: str
) -> torch.Tensor:
    """A tensor on the device, floats in the target's number type, maps in its layout."""
    if values.is_floating_point() and DTYPES[target.precision] != torch.float32:
        values = values.to(DTYPES[target.precision])
    values = values.to(device)
    if options["channels_last"] and values.dim() == _MAPS:
        return values.contiguous(memory_format=torch.channels_last)
    return values.contiguous()


def weight_bytes(module: NetworkModule) -> int:
    """Bytes of all parameters, buffers and constants; what several share counts once."""
    tensors = [*module.parameters(), *module.buffers(), *module.constants()]
    # By storage, and so once for weights that several layers share.
    return sum(
        {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values()
    )


def _cast(module: fx.GraphModule, dtype: torch.dtype) -> None:
    """Floats to another type, also where the graph itself casts to float32."""
    if dtype == torch.float32:
        return
    module.to(dtype=dtype)
    for node in module.graph.nodes:
        # The graph was traced in float32: such a cast would undo the half precision behind it.
        if node.target is torch.Tensor.to and torch.float32 in node.args:
            node.args = tuple(dtype if a is torch.float32 else a for a in node.args)
    module.recompile()


def _drop_identities(module: fx.GraphModule) -> None:
    """Take out what folding left behind: in eager mode even nothing costs a call."""
    layers = dict(module.named_modules())
    for node in list(module.graph.nodes):
        if node.op == "call_module" and isinstance(layers.get(str(node.target)), nn.Identity):
            # fx erases only nodes that nobody uses.
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
    module.recompile()
