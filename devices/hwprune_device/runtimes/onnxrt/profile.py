"""What ONNX Runtime's profile holds of a network: memory, and who ran which kernel."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from hwprune_device.memory import BYTES, Liveness, Tensor, weight_bytes
from hwprune_device.reading import Memory

PROFILED_RUNS = 2
"""The first run plans memory; from the second on the arena holds what it will hold."""
CPU = "CPUExecutionProvider"
_IN_USE = "mem_bytes_requested_in_use"
"""What the allocator had given out after a kernel; in the profile from ONNX Runtime 1.31 on."""

Event = Mapping[str, Any]


def kernel_events(profile: Path) -> list[Event]:
    """What each kernel said of itself, in execution order, run after run."""
    return [
        event["args"]
        for event in json.loads(profile.read_text())
        if event.get("cat") == "Node" and "op_name" in event.get("args", {})
    ]


def kernels_on(events: Sequence[Event]) -> dict[str, int]:
    """Kernels of one run by the provider that ran them."""
    found = Counter(str(event.get("provider", "unknown")) for event in _first_run(events))
    return dict(sorted(found.items()))


def check_in_use(provider: str, events: Sequence[Event]) -> None:
    """See that the provider which was asked for ran something.

    Raises:
        ValueError: it ran nothing, so the network ran on something else without a word.
    """
    counts = kernels_on(events)
    if counts.get(provider):
        return
    ran = " and ".join(f"all {n} kernels on {name}" for name, n in counts.items())
    operators = list(dict.fromkeys(str(event["op_name"]) for event in _first_run(events)))
    raise ValueError(
        f"the target asks for {provider}; ONNX Runtime ran {ran or 'no kernels at all'}: "
        f"{', '.join(operators)}"
    )


def weigh(
    graph: onnx.GraphProto, events: Sequence[Event], creation_peak_mb: float | None
) -> tuple[Memory, tuple[str, ...]]:
    """Memory from the optimised graph and the profile of its first run; doubts about it."""
    activations, doubts = _activation_bytes(graph, _first_run(events))
    held = [int(e["mem_arena_held"]) for e in events if "mem_arena_held" in e]
    return Memory(
        weights_mb=weight_bytes(graph) / 1e6,
        activations_mb=activations / 1e6,
        arena_mb=max(held) / 1e6 if held else None,
        creation_peak_mb=creation_peak_mb,
    ), doubts


def _first_run(events: Sequence[Event]) -> Sequence[Event]:
    # Every run has the same kernels, so the first is the first half.
    return events[: len(events) // PROFILED_RUNS]


def _activation_bytes(
    graph: onnx.GraphProto, events: Sequence[Event]
) -> tuple[int, tuple[str, ...]]:
    """Peak of live activations: the allocator's own count, or liveness where there is none."""
    if all(_IN_USE in event for event in events):
        # Without what the first kernel added: weights and whatever else was there before the run.
        before = int(events[0][_IN_USE]) - int(events[0]["mem_requested_in_use_delta"])
        return max(int(event[_IN_USE]) for event in events) - before, ()
    nodes = list(graph.node)
    # Liveness needs the order of execution; inner graphs and parallel runs have another.
    if [node.op_type for node in nodes] == [event["op_name"] for event in events]:
        outputs = [value.name for value in graph.output]
        return max(Liveness(nodes, _tensors(nodes, events), outputs).live_bytes()), ()
    doubt = "peak activations are a lower bound: the graph has inner graphs, or ran out of order"
    return _least_bytes(events), (doubt,)


def _least_bytes(events: Sequence[Event]) -> int:
    """Inputs and outputs of the kernel that has most of them."""
    sizes = (int(e.get("activation_size", 0)) + int(e.get("output_size", 0)) for e in events)
    return max(sizes, default=0)


def _tensors(nodes: Sequence[onnx.NodeProto], events: Sequence[Event]) -> dict[str, Tensor]:
    """Type and shape of every node output, as the profile saw them."""
    found = {}
    for node, event in zip(nodes, events, strict=True):
        # Optional outputs that are left out have no entry in the profile.
        names = [name for name in node.output if name]
        for name, typed in zip(names, event["output_type_shape"], strict=True):
            ((dtype, shape),) = typed.items()
            if dtype not in BYTES:
                raise ValueError(f"'{name}' is of type {dtype}, whose size is not known")
            found[name] = Tensor(dtype=dtype, shape=tuple(shape))
    return found
