"""A network that torch runs: built for a target, weighed, run, timed by the GPU's own clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch

from hwprune_device.job import Target
from hwprune_device.output_structure import leaves_of
from hwprune_device.reading import Memory
from hwprune_device.resident import PeakWatch
from hwprune_device.runtimes import NoProfileError, Part
from hwprune_device.runtimes.inputs import in_batches
from hwprune_device.runtimes.interface import interface_of
from hwprune_device.runtimes.torchrt.allocations import (
    cpu_peak_bytes,
    cuda_peak_bytes,
    release_cached,
)
from hwprune_device.runtimes.torchrt.modes import MODES, compile_whole
from hwprune_device.runtimes.torchrt.module import feeds, placed, ready_module, weight_bytes
from hwprune_device.runtimes.torchrt.options import TORCH
from hwprune_device.runtimes.torchrt.parts import parts_of
from hwprune_device.runtimes.torchrt.process import (
    check_cuda,
    ready_process,
    torch_errors,
    translated,
)


class TorchNetwork:
    """A network on inputs that lie where it reads them; `device` is "cuda" or "cpu".

    Raises:
        MemoryError: it does not fit.
        ValueError: CUDA does not start, or the network cannot be rebuilt in torch.
        BrokenProcessError: CUDA failed for good.
    """

    memory: Memory
    doubts: tuple[str, ...] = ()
    facts: Mapping[str, Any]

    def __init__(
        self, model: bytes, target: Target, free: Mapping[str, int], *, device: str
    ) -> None:
        self._device = device
        options = TORCH.of(target)
        # What the process had reserved is no network's own: the arena is the growth.
        self._reserved_before = 0
        with PeakWatch() as peak, torch_errors(device):
            _start(target, options, device)
            if device == "cuda":
                release_cached()
                self._reserved_before = torch.cuda.memory_reserved()
                self._began = torch.cuda.Event(enable_timing=True)
                self._ended = torch.cuda.Event(enable_timing=True)
            with torch.no_grad():
                module = ready_module(model, target, options, device)
                interface = interface_of(onnx.load_model_from_string(model), free)
                self._inputs = feeds(interface, target, options, device)
            with torch.inference_mode():
                # In the mode that runs have: inductor compiles anew when it changes.
                self._bound = MODES[options["mode"]](module, self._inputs)
            self._weights_bytes = weight_bytes(module)
            self._creation_peak_mb = peak.grown_mb()

    def weigh(self) -> None:
        """Run twice: libraries take their workspaces in the first run."""
        self.run()
        with torch_errors(self._device):
            if self._device == "cuda":
                self._weigh_on_gpu()
            else:
                self._weigh_on_cpu()

    def run(self) -> None:
        """One inference, and on a GPU the wait until it has been done there."""
        try:
            with torch.inference_mode():
                if self._device == "cpu":
                    self._bound.call()
                    return
                self._began.record()
                self._bound.call()
                self._ended.record()
            self._ended.synchronize()
        except RuntimeError as error:
            raise translated(error, self._device) from error

    def close(self) -> None:
        """Let the module, its inputs and a captured graph go."""
        del self._bound, self._inputs
        if self._device == "cuda":
            release_cached()

    def device_ms(self) -> float | None:
        """What the last run took on the GPU, by its own events; None on the CPU."""
        return self._began.elapsed_time(self._ended) if self._device == "cuda" else None

    def _weigh_on_cpu(self) -> None:
        peak = cpu_peak_bytes(self.run)
        self.memory = Memory(
            weights_mb=self._weights_bytes / 1e6,
            activations_mb=None if peak is None else peak / 1e6,
            creation_peak_mb=self._creation_peak_mb,
        )
        self.facts = {"torch_device": "cpu", "outputs_finite": self._finite()}

    def _weigh_on_gpu(self) -> None:
        # A replay of a captured graph allocates nothing, so its peak was taken at the capture.
        peak = self._bound.peak_bytes
        if peak is None:
            peak = cuda_peak_bytes(self.run)
        inputs = sum(tensor.untyped_storage().nbytes() for tensor in self._inputs)
        reserved = torch.cuda.memory_reserved()
        left, whole = torch.cuda.mem_get_info()
        self.memory = Memory(
            weights_mb=self._weights_bytes / 1e6,
            activations_mb=(peak + inputs) / 1e6,
            arena_mb=(reserved - self._reserved_before) / 1e6,
            creation_peak_mb=self._creation_peak_mb,
        )
        self.facts = {
            "torch_device": torch.cuda.get_device_name(),
            "outputs_finite": self._finite(),
            "cudnn": torch.backends.cudnn.version(),
            "gpu_reserved_mb": round(reserved / 1e6, 1),
            "gpu_used_mb": round((whole - left) / 1e6, 1),
        }

    def _finite(self) -> bool:
        """Whether no output overflowed; fp16 ends at 65504."""
        with torch.inference_mode():
            outputs = self._bound.call()
        return all(bool(part.isfinite().all()) for part in leaves_of(outputs))


def outputs_of(
    model: bytes, inputs: Sequence[np.ndarray], target: Target, *, device: str
) -> list[np.ndarray]:
    """Every output of a network for inputs in its order (N first).

    A captured graph runs the kernels of eager mode, so that is what runs here for it.

    Raises:
        ValueError: as `in_batches`.
    """
    options, interface = TORCH.of(target), interface_of(onnx.load_model_from_string(model))
    with torch_errors(device), torch.inference_mode():
        _start(target, options, device)
        with torch.inference_mode(False), torch.no_grad():
            module: Callable[..., Any] = ready_module(model, target, options, device)
        if options["mode"] == "inductor":
            module = compile_whole(module)  # type: ignore[arg-type]

        def infer(part: list[np.ndarray]) -> list[np.ndarray]:
            tensors = (torch.from_numpy(np.array(values)) for values in part)
            found = module(*(placed(tensor, target, options, device) for tensor in tensors))
            return [_numpy(tensor) for tensor in leaves_of(found)]

        return in_batches(infer, inputs, interface)


def profiled(model: bytes, target: Target, free: Mapping[str, int], *, device: str) -> list[Part]:
    """What each call of a network takes.

    Raises:
        NoProfileError: no calls are made in the target's mode.
        MemoryError, ValueError, BrokenProcessError: as `TorchNetwork`.
    """
    options = TORCH.of(target)
    if options["mode"] != "eager":
        raise NoProfileError(f"in mode {options['mode']} torch runs all kernels in one call")
    with torch_errors(device):
        _start(target, options, device)
        with torch.no_grad():
            module = ready_module(model, target, options, device)
            interface = interface_of(onnx.load_model_from_string(model), free)
            return parts_of(model, module, feeds(interface, target, options, device), device)


def _start(target: Target, options: Mapping[str, Any], device: str) -> None:
    if device == "cuda":
        check_cuda()
    ready_process(target, options)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    # numpy has no bf16.
    tensor = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    return tensor.cpu().numpy()
