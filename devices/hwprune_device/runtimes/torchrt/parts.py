"""What each call of a network takes in eager mode, timed between the calls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from torch import fx

from hwprune_device.layers import Layers
from hwprune_device.runtimes.runtime import PROFILED, WARMING, Part, typical
from hwprune_device.torch_graph.network_module import MADE, NetworkModule


def parts_of(
    model: bytes, module: NetworkModule, inputs: Sequence[torch.Tensor], device: str
) -> list[Part]:
    """Calls of an average run, in their order; on a GPU by its own clock.

    Args:
        model: the network that the module was made of.
    """
    clock = _Clock(module, device)
    with torch.inference_mode():
        runs = [clock.timed(inputs) for _ in range(WARMING + PROFILED)][WARMING:]
    layers = Layers(onnx.load_model_from_string(model).graph)
    return [
        Part(name=node.name, op=_op(module, node), ms=ms, layer=_layer(layers, node))
        for node, ms in zip(clock.calls, typical(runs), strict=True)
    ]


class _Clock(fx.Interpreter):
    """Runs a module call by call and takes the time of each."""

    def __init__(self, module: NetworkModule, device: str) -> None:
        super().__init__(module)
        self._on_gpu = device == "cuda"
        self._marks: list[Any] = []
        self.calls = [node for node in module.graph.nodes if _is_call(node)]

    def timed(self, inputs: Sequence[torch.Tensor]) -> list[float]:
        """Milliseconds of each call of one run."""
        self._marks = []
        self.run(*inputs)
        # A mark before and one after each call.
        pairs = list(zip(self._marks[::2], self._marks[1::2], strict=True))
        if not self._on_gpu:
            return [(after - before) * 1e3 for before, after in pairs]
        # Once a run: waiting for each call would put launches into its time.
        torch.cuda.synchronize()
        return [before.elapsed_time(after) for before, after in pairs]

    def run_node(self, n: fx.Node) -> Any:
        """Run a node as fx does, and take the time before and after a call."""
        if not _is_call(n):
            return super().run_node(n)
        self._look()
        result = super().run_node(n)
        self._look()
        return result

    def _look(self) -> None:
        if not self._on_gpu:
            self._marks.append(time.perf_counter())
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append(event)


def _is_call(node: fx.Node) -> bool:
    return node.op.startswith("call_")


def _op(module: NetworkModule, node: fx.Node) -> str:
    if node.op == "call_module":
        return type(module.get_submodule(str(node.target))).__name__
    return str(getattr(node.target, "__name__", node.target))


def _layer(layers: Layers, node: fx.Node) -> str:
    made = str(node.meta.get(MADE, ""))
    return layers.name(made) if made in layers else ""
