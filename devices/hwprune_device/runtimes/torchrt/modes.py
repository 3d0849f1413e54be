"""How a module is run: call by call, as one captured CUDA graph, or compiled by inductor."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import fx

from hwprune_device.runtimes.torchrt.allocations import cuda_peak_bytes

_SETTLING_RUNS = 3
"""Before a capture: libraries choose kernels and take workspaces in the first runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundModule:
    """A network on its inputs, ready to be called."""

    call: Callable[[], Any]
    """One inference; returns the outputs, on a GPU before they are computed."""
    peak_bytes: int | None = None
    """Most that a call holds at a time, where it is known already: a replay allocates nothing."""


def eager(module: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> BoundModule:
    """Operator by operator, as Python calls them."""
    forward = module.forward
    return BoundModule(call=lambda: forward(*inputs))


def cuda_graph(module: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> BoundModule:
    """All kernels in one launch, on memory that was fixed when they were captured.

    The runs before go through the very stream that is captured: what libraries take for a stream
    once is then no network's own.
    """
    aside = _capture_stream()
    # Inputs and weights were put there by the current stream.
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(_SETTLING_RUNS):
            module(*inputs)
    torch.cuda.current_stream().wait_stream(aside)
    gc.collect()
    graph = torch.cuda.CUDAGraph()
    # A replay writes into the outputs of the capture: they must not be freed.
    held: list[Any] = []

    def capture() -> None:
        with torch.cuda.graph(graph, stream=aside):
            held.append(module(*inputs))

    peak_bytes = cuda_peak_bytes(capture)

    def replay() -> Any:
        graph.replay()
        return held[0]

    return BoundModule(call=replay, peak_bytes=peak_bytes)


@cache
def _capture_stream() -> torch.cuda.Stream:
    """One for all networks of a process."""
    return torch.cuda.Stream()


def inductor(module: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> BoundModule:
    """Compiled for these shapes, now and not in the first timed run."""
    compiled = compile_whole(module)
    # torch.compile compiles at the first call, not before.
    compiled(*inputs)
    gc.collect()
    return BoundModule(call=lambda: compiled(*inputs))


def compile_whole(module: fx.GraphModule) -> Callable[..., Any]:
    """The module as one compiled function; an operator that cannot be taken in is an error."""
    compiled: Callable[..., Any] = torch.compile(module.forward, fullgraph=True, dynamic=False)
    return compiled


MODES: dict[str, Callable[[fx.GraphModule, Sequence[torch.Tensor]], BoundModule]] = {
    "eager": eager,
    "cuda_graph": cuda_graph,
    "inductor": inductor,
}
