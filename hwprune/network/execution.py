"""How this machine runs torch networks: device, number type and memory layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from hwprune.network.modes import kept_modes

_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Device and number type; images and their weights are laid out channels_last.

    Measured on one core of a Zen 4 with ResNet-56: 236 images/s in fp32, 370 with channels_last,
    700 with bf16 besides. See tests/benchmarks/bench_scorer.py.
    """

    device: str
    bf16: bool

    def place(self, module: nn.Module) -> nn.Module:
        """Move a module here, in place; with bf16, its convolutions and matrix products too.

        BatchNorm keeps float32 parameters and statistics: sums over a batch need the digits.
        """
        lay_out(module.to(self.device))
        if self.bf16:
            for layer in module.modules():
                if not isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    _own_tensors_to_bf16(layer)
        return module

    def inputs(self, values: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Inputs here, in the module's number type; whole numbers and booleans stay what they are.

        Images N C H W are laid out as the module is.
        """
        dtype = torch.bfloat16 if self.bf16 else torch.float32
        return tuple(_laid_out(v.to(self.device, _type_of(v, dtype))) for v in values)

    def run(self, module: nn.Module) -> Callable[..., Any]:
        """The module as a task's score function calls it: inference alone, float32 on the CPU.

        The module is used as it is, so it must be placed; its mode is put back after each call.
        """

        def run(*inputs: Any) -> Any:
            """The outputs for a batch, as the task takes them."""
            with kept_modes(module), torch.inference_mode():
                module.eval()
                outputs = module(*self.inputs([torch.as_tensor(values) for values in inputs]))
            return tree_map(_plain, outputs)

        return run


def lay_out(module: nn.Module) -> None:
    """Bring a module's weights to channels_last, unless some are of three axes of space."""
    if all(weight.ndim < 5 for weight in module.parameters()):
        module.to(memory_format=torch.channels_last)


def _type_of(values: torch.Tensor, dtype: torch.dtype) -> torch.dtype:
    return dtype if values.is_floating_point() else values.dtype


def _laid_out(values: torch.Tensor) -> torch.Tensor:
    return values.contiguous(memory_format=torch.channels_last) if values.ndim == 4 else values


def _plain(output: Any) -> Any:
    if not isinstance(output, torch.Tensor):
        return output
    # numpy, in which a task may score, has no bfloat16.
    return output.float().cpu() if output.is_floating_point() else output.cpu()


def best_execution(bf16: bool | None = None) -> Execution:
    """CUDA where there is one; bf16 where the processor computes in it, unless `bf16` says so."""
    if torch.cuda.is_available():
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
        return Execution(device="cuda", bf16=supported if bf16 is None else bf16)
    return Execution(device="cpu", bf16=cpu_has_bf16() if bf16 is None else bf16)


EXACT = Execution(device="cpu", bf16=False)
"""float32 on the processor: what a board's outputs are compared with."""


@lru_cache(maxsize=1)
def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 in hardware; emulated bf16 is slower than fp32."""
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:  # no Linux
        return False
    flags = next((line for line in info.splitlines() if line.startswith("flags")), "")
    return bool(_BF16_FLAGS & set(flags.split()))


def _own_tensors_to_bf16(layer: nn.Module) -> None:
    for parameter in layer.parameters(recurse=False):
        # The parameter stays the same object, so that layers which share it go on doing so.
        parameter.data = parameter.data.to(torch.bfloat16)
    for name, buffer in layer.named_buffers(recurse=False):
        if buffer.is_floating_point():
            setattr(layer, name, buffer.to(torch.bfloat16))
