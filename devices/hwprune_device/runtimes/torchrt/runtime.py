"""PyTorch: networks as torch modules on a GPU or on the CPU.

The file knows torch without importing it, because a board that has torch need not use it and an
import takes seconds. What runs networks is in `network.py`.
"""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwprune_device.conditions.gpu_presence import has_gpu
from hwprune_device.conditions.sysfs import UNAVAILABLE
from hwprune_device.estimate import Clock
from hwprune_device.job import Target
from hwprune_device.runtimes import Part, ignore_progress
from hwprune_device.runtimes.one_node import one_node
from hwprune_device.runtimes.torchrt.options import TORCH

if TYPE_CHECKING:
    from hwprune_device.runtimes.torchrt.network import TorchNetwork

_TOLD = {"__version__": "version", "cuda": "cuda", "git_version": "build"}


class TorchRuntime:
    """Builds networks that torch runs.

    Raises:
        ImportError: torch is not installed here.
    """

    def __init__(self) -> None:
        spec = importlib.util.find_spec("torch")
        if spec is None or spec.origin is None:
            raise ImportError("torch is not installed")
        self._told = _version_file(Path(spec.origin).with_name("version.py"))

    def describe(self) -> Mapping[str, Any]:
        """Version and build of torch, and which device "auto" means on this board."""
        return {"name": "torch", **self._told, "auto": self._device_of("auto")}

    def workers(self, target: Target) -> int:
        """The threads, and one more where a GPU works beside them."""
        return target.threads + (self.device(target) == "cuda")

    def clock(self, target: Target) -> Clock | None:
        """The GPU's own, where the target's latency is what the GPU takes."""
        return "device" if target.options.get("latency") == "device" else None

    def limits_address_space(self, target: Target) -> bool:
        """Not beside CUDA, which reserves far more addresses than it fills."""
        return self.device(target) == "cpu"

    def device(self, target: Target) -> str:
        """Where networks run: "cuda" or "cpu"; known without touching a driver."""
        return self._device_of(str(target.options.get("device", "auto")))

    def warm(self) -> None:
        """Import torch and run a network of one node, on the CPU.

        CUDA does not survive a fork, so nothing here may ask whether it is there.
        """
        # Compilers of its own would outlive the child, and a board's core is one anyway.
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
        # The profiler that tells memory talks of itself else.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        target = Target(runtime="torch", options={"device": "cpu"})
        self.run_network(one_node(), [np.ones(1, np.float32)], target)

    def load(
        self,
        model: bytes,
        target: Target,
        free: Mapping[str, int],
        alive: Callable[[], None] = ignore_progress,
    ) -> TorchNetwork:
        """Build a network, compiled where the target asks for that.

        Raises:
            MemoryError: it does not fit.
            ValueError: the target asks for what cannot be, or the network has an operator that
                torch's side does not know.
            BrokenProcessError: CUDA failed for good.
        """
        from hwprune_device.runtimes.torchrt.network import TorchNetwork

        return TorchNetwork(model, self._checked(target), free, device=self.device(target))

    def profile(self, model: bytes, target: Target, free: Mapping[str, int]) -> list[Part]:
        """Calls of eager mode, each timed alone."""
        from hwprune_device.runtimes.torchrt.network import profiled

        return profiled(model, self._checked(target), free, device=self.device(target))

    def run_network(
        self, model: bytes, inputs: Sequence[np.ndarray], target: Target | None = None
    ) -> list[np.ndarray]:
        """Every output of the network; one of fixed batch runs as often as needed."""
        from hwprune_device.runtimes.torchrt.network import outputs_of

        wanted = self._checked(target or Target(runtime="torch"))
        return outputs_of(model, inputs, wanted, device=self.device(wanted))

    def _device_of(self, wanted: str) -> str:
        # A torch without CUDA beside a GPU fails then: the CPU would take over without a word.
        return ("cuda" if has_gpu() else "cpu") if wanted == "auto" else wanted

    def _checked(self, target: Target) -> Target:
        """The target, if this runtime can do it.

        Raises:
            ValueError: it cannot.
        """
        # For what it refuses; what "auto" means is known here alone.
        TORCH.of(target)
        if target.precision == "tf32" and self.device(target) == "cpu":
            raise ValueError(
                "tf32 is a number type of GPUs; possible on the CPU: fp32, bf16, fp16"
            )
        return target


def _version_file(path: Path) -> dict[str, str]:
    """What torch's own note of its version says; nothing of torch is imported for it."""
    found = dict.fromkeys(_TOLD.values(), UNAVAILABLE)
    try:
        tree = ast.parse(path.read_text())
    except (OSError, SyntaxError):
        return found
    for node in tree.body:
        # Newer versions write the type beside the name: an AnnAssign, with one target.
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if not isinstance(targets[0], ast.Name) or not isinstance(value, ast.Constant):
            continue
        name = _TOLD.get(targets[0].id)
        if name is not None and isinstance(value.value, str):
            found[name] = value.value
    return found
