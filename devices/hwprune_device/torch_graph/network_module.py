"""The kind of torch module that a graph becomes: fx's own, with constants and full deep copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import fx, nn

MADE = "onnx"
"""In the meta of an fx node: the first value of the ONNX node that it was made for."""


class NetworkModule(fx.GraphModule):
    """fx's module, which keeps constants apart from buffers and everything in a deep copy.

    Constants move with the module and are cast with it. As buffers they would be averaged with the
    weights (torch's EMA rounds whole numbers down) and laid out like maps.
    """

    constant_names = tuple[str, ...]()  # TorchScript reads annotations, and not this one

    def keep_constants(self, names: Iterable[str]) -> None:
        """Turn buffers of the module itself into constants."""
        self.constant_names = tuple(names)
        for name in self.constant_names:
            value = getattr(self, name)
            # Out of the buffers first: setattr would put a tensor back among them.
            delattr(self, name)
            setattr(self, name, value)

    def constants(self) -> Iterator[torch.Tensor]:
        """The tensors that are no weights: indices, masks."""
        return (getattr(self, name) for name in self.constant_names)

    def share(self, names: Iterable[str]) -> None:
        """Make these names of one module, or one parameter, lead to the first that is there."""
        found = {name: part for name in names if (part := _part(self, name)) is not None}
        for name in names if found else ():
            if name not in found:
                _put(self, name, next(iter(found.values())))

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        for name in self.constant_names:
            value = getattr(self, name)
            # Flat, because a memory layout is for maps.
            setattr(self, name, fn(value.reshape(-1)).reshape(value.shape))
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> fx.GraphModule:
        copied = super().__deepcopy__(memo)
        # fx has copied all that the module holds, and takes over only what its graph names.
        copied.__dict__.update(memo[id(self.__dict__)])
        return copied


def _part(module: nn.Module, name: str) -> nn.Module | nn.Parameter | None:
    """The submodule or parameter of this name."""
    part: Any = module
    for step in name.split("."):
        part = getattr(part, step, None)
    return part if isinstance(part, nn.Module | nn.Parameter) else None


def _put(module: nn.Module, name: str, part: nn.Module | nn.Parameter) -> None:
    *way, leaf = name.split(".")
    for step in way:
        if not hasattr(module, step):
            module.add_module(step, nn.Module())
        module = module.get_submodule(step)
    setattr(module, leaf, part)
