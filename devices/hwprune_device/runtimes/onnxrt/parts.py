"""What ONNX Runtime's trace has of each kernel, and which layer of the network a kernel is.

The optimiser fuses nodes and gives kernels other names: what it lays out in blocks of channels is
called after the value that it makes, and what changes a layout has only values of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from hwprune_device.layers import JOINT, Layers
from hwprune_device.runtimes.runtime import WARMING, Part, typical

# Endings that ONNX Runtime gives: of a kernel's event, and of nodes in its NCHWc layout.
_KERNEL, _IN_BLOCKS = "_kernel_time", "_nchwc"
_Key = tuple[str, str]
"""Name and operator of a kernel."""


def parts_of(
    network: onnx.GraphProto, optimised: onnx.GraphProto, trace: Sequence[Mapping[str, Any]]
) -> list[Part]:
    """Kernels of an average run; those of the first `WARMING` runs do not count.

    Args:
        network: as the session was given it.
        optimised: as it runs.
        trace: of all runs.
    """
    runs = _runs(trace)[WARMING:]
    kernels = list(dict.fromkeys(key for run in runs for key in run))
    took = typical([[run.get(key, 0.0) for key in kernels] for run in runs])
    layers = _layers(Layers(network), optimised, kernels)
    return [
        Part(name=name, op=op, ms=ms, layer=layer)
        for (name, op), ms, layer in zip(kernels, took, layers, strict=True)
    ]


def _runs(trace: Sequence[Mapping[str, Any]]) -> list[dict[_Key, float]]:
    """Milliseconds by kernel, for each run; a kernel that runs others holds their time."""
    whole = sorted((e["ts"], e["ts"] + e["dur"]) for e in trace if e.get("name") == "model_run")
    kernels = sorted(
        (e for e in trace if e.get("cat") == "Node" and str(e["name"]).endswith(_KERNEL)),
        # Of two that begin together the longer holds the other, and comes first.
        key=lambda e: (e["ts"], -e["dur"]),
    )
    found: list[dict[_Key, float]] = [{} for _ in whole]
    # The run that an event lies in, and by thread the end of the last kernel that counted.
    at, until = 0, dict[Any, float]()
    for event in kernels:
        while at < len(whole) - 1 and event["ts"] > whole[at][1]:
            at += 1
        ends = event["ts"] + event["dur"]
        # Inside another kernel (If, Loop), whose time has it; one of no length may just follow.
        if ends <= until.get(event["tid"], 0.0) and event["dur"]:
            continue
        until[event["tid"]] = ends
        key = (event["name"].removesuffix(_KERNEL), str(event["args"].get("op_name", "")))
        # Microseconds to milliseconds; a kernel in a loop adds up.
        found[at][key] = found[at].get(key, 0.0) + event["dur"] / 1e3
    return found


def _layers(network: Layers, optimised: onnx.GraphProto, kernels: Sequence[_Key]) -> list[str]:
    """The layer of each kernel; empty where that is not known."""
    nodes = _nodes(optimised, kernels)
    values = [_values(network, name, node) for (name, _), node in zip(kernels, nodes, strict=True)]
    known = {value for own in values for value in own}
    found = [network.behind(own[0], known - set(own)) if own else "" for own in values]
    # Reversed, so that of several readers of a value the first one stays.
    readers = {
        name: number
        for number, node in reversed(list(enumerate(nodes)))
        for name in (node.input if node is not None else ())
    }
    # From the end, so that a chain of layout changes takes the name from what is behind it.
    for number in reversed(range(len(kernels))):
        node = nodes[number]
        if found[number] or node is None:
            continue
        # It works for the kernel that reads it, where that is of one layer alone.
        reader = next((readers[name] for name in node.output if name in readers), None)
        if reader is not None and JOINT not in found[reader]:
            found[number] = found[reader]
    return found


def _nodes(optimised: onnx.GraphProto, kernels: Sequence[_Key]) -> list[onnx.NodeProto | None]:
    """The node of each kernel: by its name, or by its place where it has none."""
    # The same kinds in the same order: then place decides, and names need not be unique.
    if [node.op_type for node in optimised.node] == [op for _, op in kernels]:
        return list(optimised.node)
    named = {node.name: node for node in optimised.node if node.name}
    return [named.get(name) for name, _ in kernels]


def _values(network: Layers, name: str, node: onnx.NodeProto | None) -> list[str]:
    """Values of the network that a kernel makes."""
    candidates = [name.removesuffix(_IN_BLOCKS) if name.endswith(_IN_BLOCKS) else ""]
    candidates += [*(node.output if node is not None else ()), network.made_by(name)]
    return [value for value in candidates if value in network]
